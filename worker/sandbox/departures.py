"""From submitted to gone: where a mail can be seen on its way, the record of what left, local delivery, and what the
world outside answers.
"""

import asyncio
import contextlib
from collections.abc import Callable

from worker.clock import Clock
from worker.sandbox.arrivals import Arrivals
from worker.sandbox.correspondents import ANSWERS, Trip, tags
from worker.sandbox.item import INTERNET_HEADERS, Item
from worker.sandbox.mime import render
from worker.sandbox.options import Options
from worker.sandbox.sent_mail import SentMail
from worker.sandbox.soap import Refusal
from worker.sandbox.store import Folder, Store


class Departures:
    def __init__(self, store: Store, arrivals: Arrivals, options: Options, clock: Clock) -> None:
        self.sent: list[SentMail] = []
        self._store = store
        self._arrivals = arrivals
        self._options = options
        self._clock = clock
        self._held: list[Callable[[], None]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def in_transit(self) -> int:
        """Mails submitted that have not left yet."""
        return len(self._held) + len(self._under_way)

    def begin(self, item: Item, save_to: Folder | None, wait_seconds: float = 0.0) -> None:
        """Submit an item of the store: from now on it only moves forward. Leaves at once unless it is to dwell."""
        item.is_submitted = True
        item.sent_at = self._clock.now()
        self._store.touch(item)
        dwell = self._options.dwell
        if dwell.held == "no" and not (wait_seconds or dwell.in_drafts_seconds or dwell.in_outbox_seconds):
            self._leave(item, save_to)
            return
        if dwell.held != "no":
            if dwell.held == "outbox":
                self._to_outbox(item)
            self._held.append(lambda: self._leave(item, save_to))
            return
        in_outbox = dwell.in_outbox_seconds + wait_seconds
        task = asyncio.create_task(self._travel(item, save_to, dwell.in_drafts_seconds, in_outbox))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def release(self) -> int:
        """Let everything that is held go on; how many that was."""
        held, self._held = self._held, []
        for leave in held:
            leave()
        return len(held)

    async def stop(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def leave_at_once(self, item: Item, mailbox: str) -> None:
        """A mail of which nothing is kept in the store."""
        item.source = b""  # it is written as it leaves
        mail = self._record(item, mailbox)
        self._deliver(item)
        self._answered(mail, item)

    async def _travel(self, item: Item, save_to: Folder | None, in_drafts: float, in_outbox: float) -> None:
        if in_drafts:
            await self._clock.sleep(in_drafts)
        if in_outbox:
            self._to_outbox(item)
            await self._clock.sleep(in_outbox)
        self._leave(item, save_to)

    def _to_outbox(self, item: Item) -> None:
        if item.folder is not None:
            self._store.move(item, item.folder.mailbox.folders["outbox"])

    def _leave(self, item: Item, save_to: Folder | None) -> None:
        if item.folder is None:  # deleted on the way: the mail was taken back
            return
        mailbox = item.folder.mailbox.address
        item.is_submitted = item.is_draft = False
        if save_to is None:
            self._store.remove(item)
        else:
            self._store.move(item, save_to)
        mail = self._record(item, mailbox)
        self._deliver(item)
        self._answered(mail, item)

    def answer(self, mail: SentMail, recipient: str, kind: str, text: str = "", source: bytes = b"") -> Item:
        """Let the world outside answer a mail that left: `kind` is one of `ANSWERS`. The answer lies in the mailbox of
        the sender then. Raises Refusal ErrorNonExistentMailbox.
        """
        answer = ANSWERS[kind]
        trip = Trip(mail, recipient, source or self._copy(mail), self._clock.now(), text)
        return self._arrivals.arrive(mail.sent_from, answer.write(trip), item_class=answer.item_class)

    def _copy(self, mail: SentMail) -> bytes:
        """The mail as it left: from its sent copy, or as much of it as the record tells."""
        folder = self._arrivals.mailbox(mail.mailbox).folders["sentitems"]
        for item in reversed(folder.items.values()):
            if item.message_id == mail.message_id:
                return render(item)
        fields = [f"From: {mail.sent_from}", f"To: {', '.join(mail.to)}", f"Message-ID: {mail.message_id}"]
        return "\r\n".join([*fields, "", ""]).encode()

    def _answered(self, mail: SentMail, item: Item) -> None:
        """What the addresses of the recipients order."""
        for recipient in (*mail.to, *mail.cc, *mail.bcc):
            if "+" not in recipient or self._arrivals.directory.find(recipient) is not None:
                continue
            for kind in tags(recipient):
                with contextlib.suppress(Refusal):  # the sender has no mailbox here
                    self.answer(mail, recipient, kind, source=render(item))

    def _record(self, item: Item, mailbox: str) -> SentMail:
        now = self._clock.now()
        sent_from = item.from_.address if item.from_ else mailbox
        mail = SentMail(
            number=len(self.sent) + 1,
            stamp=item.stamp,
            message_id=item.message_id,
            mailbox=mailbox,
            sent_from=sent_from,
            sender=item.sender.address if item.sender else sent_from,
            to=tuple(each.address for each in item.to),
            cc=tuple(each.address for each in item.cc),
            bcc=tuple(each.address for each in item.bcc),
            subject=item.subject,
            in_reply_to=item.in_reply_to,
            references=item.references,
            attachments=tuple(each.name for each in item.attachments),
            headers=tuple(item.headers()),
            size=item.size,
            submitted_at=item.sent_at or now,
            left_at=now,
        )
        self.sent.append(mail)
        return mail

    def _deliver(self, item: Item) -> None:
        if not self._options.deliver_locally:
            return
        for address in {each.address.casefold(): None for each in item.recipients}:
            copy = item.copied()
            copy.bcc = ()
            copy.is_read = False
            # Only header fields travel with a mail; other named properties stay in the sender's mailbox.
            copy.properties = {key: each for key, each in item.properties.items() if key[0] == INTERNET_HEADERS}
            with contextlib.suppress(Refusal):  # it is no mailbox of ours
                self._arrivals.arrive(address, copy)
