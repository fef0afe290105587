"""From submitted to gone: where a mail can be seen on its way, the record of what left, and local delivery."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from worker.clock import Clock
from worker.sandbox.directory import Directory
from worker.sandbox.item import INTERNET_HEADERS, Item
from worker.sandbox.options import Options
from worker.sandbox.store import Folder, Store


@dataclass(frozen=True, slots=True)
class SentMail:
    """One mail that left: all that a test may ask of it, without the body."""

    number: int
    stamp: str
    message_id: str
    mailbox: str
    """The mailbox whose draft it was."""
    sent_from: str
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    attachments: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    size: int
    submitted_at: datetime
    left_at: datetime


class Departures:
    def __init__(self, store: Store, directory: Directory, options: Options, clock: Clock) -> None:
        self.sent: list[SentMail] = []
        self._store = store
        self._directory = directory
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
        self._record(item, mailbox)
        self._deliver(item)

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
        self._record(item, mailbox)
        self._deliver(item)

    def _record(self, item: Item, mailbox: str) -> None:
        now = self._clock.now()
        sent_from = item.from_.address if item.from_ else mailbox
        self.sent.append(
            SentMail(
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
                attachments=tuple(each.name for each in item.attachments),
                headers=tuple(item.headers()),
                size=item.size,
                submitted_at=item.sent_at or now,
                left_at=now,
            )
        )

    def _deliver(self, item: Item) -> None:
        if not self._options.deliver_locally:
            return
        for address in {each.address.casefold(): None for each in item.recipients}:
            user = self._directory.find(address)
            if user is None or not user.has_mailbox:
                continue
            copy = item.copied()
            copy.bcc = ()
            copy.is_read = copy.is_draft = False
            copy.created_at = copy.received_at = None
            # Only header fields travel with a mail; other named properties stay in the sender's mailbox.
            copy.properties = {key: each for key, each in item.properties.items() if key[0] == INTERNET_HEADERS}
            copy.attachments = self._store.named(item.attachments)
            copy.search_key = copy.conversation = b""
            self._store.add(copy, self._store.mailbox(user.address).folders["inbox"])
