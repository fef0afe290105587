"""Mailboxes to be read, as `worker.mail.incoming` has them, with a network in front that loses, delays and cuts, and
people who move and delete mail while it is read.

As in `tests/simulation/exchange.py`, a request under way is processed whether or not anybody waits for the answer.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from tests.simulation.virtual_time import EPOCH
from worker.mail.incoming import (
    Arrival,
    Changes,
    Fetched,
    File,
    Finish,
    Heard,
    IncomingMail,
    SentCopy,
    Sink,
    StateLost,
    Unreadable,
    Vanished,
)
from worker.mail.outcome import Deferred, Reason, Rejected, Scope
from worker.mail.transport import WorkingMailbox

Result = TypeVar("Result")
Damage = Literal["", "body", "all"]
"""What of a mail cannot be read: nothing, its body and headers, or all of it."""

LOST = Reason("no-answer", Scope.SERVER, "no answer")
BUSY = Reason("ErrorServerBusy", Scope.MAILBOX, "busy")
DENIED = Reason("ErrorAccessDenied", Scope.MAILBOX, "denied", "grant it")
CORRUPT = Reason("ErrorItemCorrupt", Scope.MESSAGE, "corrupt")
DEAF = Reason("ErrorExceededSubscriptionCount", Scope.MAILBOX, "deaf")

_PORTION_BYTES = 1000


@dataclass
class InboxFaults:
    """Chances per request; `vanish`, `moved` and `damaged` per mail, `unheard` per notification. See `Inboxes`."""

    lost_request: float = 0.0
    lost_answer: float = 0.0
    late: float = 0.0
    busy: float = 0.0
    state_lost: float = 0.0
    vanish: float = 0.0
    moved: float = 0.0
    damaged: float = 0.0
    unheard: float = 0.0
    line_lost: float = 0.0
    latency_seconds: float = 0.1
    was_late: bool = False
    """Whether there was ever such a fault: what it delayed may still come."""

    def __post_init__(self) -> None:
        self.was_late = self.late > 0

    def calm(self) -> None:
        """No faults any more, and nobody moves mail; what is damaged stays so."""
        self.lost_request = self.lost_answer = self.late = self.busy = self.state_lost = 0.0
        self.vanish = self.moved = self.unheard = self.line_lost = 0.0


@dataclass
class Item:
    """A mail with all that belongs to it. `place` is the Inbox (""), the folder it was moved to, "gone" for good."""

    mail: IncomingMail
    damage: Damage
    source: bytes
    embedded: Mapping[str, IncomingMail]
    contents: dict[str, bytes]
    place: str = ""
    read: bool = False


@dataclass
class Inbox:
    """One mailbox. `items` is everything that ever came in, by search key; `ids` what has which id now in the Inbox.

    `log` has the id of each appearance in the Inbox; a sync state is a place in it. `notes` is all that was ever kept.
    """

    items: dict[str, Item] = field(default_factory=dict)
    ids: dict[str, Item] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sent: dict[str, tuple[SentCopy, ...]] = field(default_factory=dict)
    generation: int = 0
    denied: bool = False
    deaf: bool = False
    untouchable: bool = False

    @property
    def there(self) -> list[Item]:
        """What lies in the Inbox."""
        return list(self.ids.values())


class Inboxes:
    """All mailboxes, by address, made when they are first named; implements `IncomingTransport`.

    With chance `vanish` a mail is deleted by somebody between the sync that told of it and the fetch; with chance
    `moved` it is moved away then, and back after a while, under another id.
    """

    def __init__(self, seed: int, faults: InboxFaults) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.requests = 0
        self._inboxes: dict[str, Inbox] = {}
        self._listeners: dict[object, tuple[dict[str, WorkingMailbox], Callable[[WorkingMailbox], None]]] = {}
        self._serial = 0

    def inbox(self, address: str) -> Inbox:
        return self._inboxes.setdefault(address.casefold(), Inbox())

    def incoming(self, mailbox: WorkingMailbox) -> "SimulatedInbox":
        return SimulatedInbox(self, mailbox.address)

    def deliver(
        self,
        address: str,
        mail: IncomingMail,
        *,
        damage: Damage | None = None,
        source: bytes = b"",
        embedded: Mapping[str, IncomingMail] | None = None,
    ) -> Item:
        """A mail comes in: it is given its id, and a time and a search key if it has none. What its files hold is
        taken out and given to who asks for `content`; `embedded` are the mails its files are, by the files' ids.
        """
        if damage is None:
            damage = self._draw_damage()
        self._serial += 1
        contents = {file.id: file.content or b"" for file in mail.files}
        for inner in (embedded or {}).values():
            contents |= {file.id: file.content or b"" for file in inner.files}
        mail = replace(
            mail,
            received_at=mail.received_at or self._now(),
            search_key=mail.search_key or f"key-{self._serial}",
            files=_without_content(mail.files),
        )
        inner_mails = {each: replace(one, files=_without_content(one.files)) for each, one in (embedded or {}).items()}
        item = Item(mail, damage, source, inner_mails, contents)
        inbox = self.inbox(address)
        assert mail.search_key not in inbox.items
        inbox.items[mail.search_key] = item
        self._appear(address, item)
        return item

    def move_out(self, address: str, item: Item, place: str = "Elsewhere") -> None:
        """Somebody moves a mail out of the Inbox; "gone" is for good."""
        inbox = self.inbox(address)
        if inbox.ids.pop(item.mail.id, None) is not None:
            item.place = place

    def move_back(self, address: str, item: Item) -> None:
        """It comes back into the Inbox, under another id."""
        if item.place not in ("", "gone"):
            item.place = ""
            self._appear(address, item)

    def lose_state(self, address: str) -> None:
        """The server forgets every sync state it ever gave out for this mailbox."""
        self.inbox(address).generation += 1

    def disturb(self, address: str, ids: Sequence[str]) -> None:
        """What people do to these mails just before they are fetched."""
        inbox, faults = self.inbox(address), self.faults
        for item in [inbox.ids[each] for each in ids if each in inbox.ids]:
            draw = self.random.random()
            if draw < faults.vanish:
                self.move_out(address, item, "gone")
            elif draw - faults.vanish < faults.moved:
                self.move_out(address, item)
                after = self.random.choice((0.01, 1.0, 120.0))
                asyncio.get_running_loop().call_later(after, self.move_back, address, item)

    async def listen(
        self, mailboxes: Sequence[WorkingMailbox], heard: Callable[[WorkingMailbox], None], seconds: float
    ) -> Heard:
        await asyncio.sleep(self.delay())
        deaf = [each for each in mailboxes if self.inbox(each.address).deaf or self.inbox(each.address).denied]
        hearing = [each for each in mailboxes if each not in deaf]
        if self.random.random() < self.faults.line_lost:
            seconds *= self.random.random()
        listener = object()
        self._listeners[listener] = ({each.address.casefold(): each for each in hearing}, heard)
        try:
            for each in hearing:
                heard(each)
            await asyncio.sleep(seconds)
        finally:
            del self._listeners[listener]
        return Heard(tuple((each, DEAF) for each in deaf))

    def delay(self) -> float:
        return self.random.uniform(0.001, self.faults.latency_seconds)

    def _appear(self, address: str, item: Item) -> None:
        self._serial += 1
        item.mail = replace(item.mail, id=f"{self.random.getrandbits(40):010x}-{self._serial}")
        inbox = self.inbox(address)
        inbox.ids[item.mail.id] = item
        inbox.log.append(item.mail.id)
        for mailboxes, heard in list(self._listeners.values()):
            mailbox = mailboxes.get(address.casefold())
            if mailbox is not None and self.random.random() >= self.faults.unheard:
                asyncio.get_running_loop().call_later(self.delay(), heard, mailbox)

    def _draw_damage(self) -> Damage:
        if self.random.random() >= self.faults.damaged:
            return ""
        return "body" if self.random.random() < 0.5 else "all"

    def _now(self) -> datetime:
        return EPOCH + timedelta(milliseconds=int(asyncio.get_running_loop().time() * 1000))


class SimulatedInbox:
    """The port, over the simulated network. It complains when two calls on it overlap."""

    def __init__(self, inboxes: Inboxes, address: str) -> None:
        self._inboxes = inboxes
        self._address = address
        self._inbox = inboxes.inbox(address)
        self._in_use = False

    async def recall(self) -> str | Deferred | None:
        return await self._request(lambda: self._inbox.notes[-1] if self._inbox.notes else None)

    async def keep(self, note: str) -> Deferred | None:
        return await self._request(lambda: self._inbox.notes.append(note))

    async def newest(self, since: datetime) -> tuple[Arrival, ...] | Deferred:
        def act() -> tuple[Arrival, ...]:
            times = [item.mail.received_at for item in self._inbox.there if item.mail.received_at is not None]
            second = max((each for each in times if each < since), default=since).replace(microsecond=0)
            return tuple(
                Arrival(item.mail.id, item.mail.received_at)
                for item in self._inbox.there
                if item.mail.received_at is not None and item.mail.received_at >= second
            )

        return await self._request(act)

    async def changes(self, state: str, most: int) -> Changes | StateLost | Deferred:
        if state and self._inboxes.random.random() < self._inboxes.faults.state_lost:
            self._inboxes.lose_state(self._address)
        return await self._request(lambda: self._changes(state, most))

    def _changes(self, state: str, most: int) -> Changes | StateLost:
        inbox = self._inbox
        generation, _, place = (state or f"{inbox.generation}:0").partition(":")
        if int(generation) != inbox.generation:
            return StateLost()
        start = int(place)
        page = inbox.log[start : start + most]
        arrivals = tuple(
            Arrival(each, inbox.ids[each].mail.received_at if each in inbox.ids else None)
            for each in page
            if each in inbox.ids or self._inboxes.random.random() < 0.5
        )
        end = start + len(page)
        return Changes(arrivals, f"{inbox.generation}:{end}", last=end >= len(inbox.log))

    async def fetch(self, ids: Sequence[str], *, bare: bool = False) -> Sequence[Fetched]:
        self._inboxes.disturb(self._address, ids)
        answer = await self._request(lambda: [self._fetched(each, bare=bare) for each in ids])
        return [answer] * len(ids) if isinstance(answer, Deferred) else answer

    def _fetched(self, item_id: str, *, bare: bool) -> IncomingMail | Vanished | Unreadable:
        item = self._inbox.ids.get(item_id)
        if item is None:
            return Vanished()
        if item.damage == "all" or (item.damage == "body" and not bare):
            return Unreadable(CORRUPT)
        return replace(item.mail, html=None, text=None, headers=(), bare=True) if bare else item.mail

    async def source(self, id: str, sink: Sink) -> Vanished | Unreadable | Deferred | None:  # noqa: A002 - the port's
        def act() -> bytes | Vanished | Unreadable:
            item = self._inbox.ids.get(id)
            if item is None:
                return Vanished()
            return Unreadable(CORRUPT) if item.damage else item.source

        return await self._poured(await self._request(act), sink)

    async def content(self, file: File, sink: Sink) -> Vanished | Unreadable | Deferred | None:
        def act() -> bytes | Vanished:
            return next((each.contents[file.id] for each in self._inbox.there if file.id in each.contents), Vanished())

        return await self._poured(await self._request(act), sink)

    async def embedded(self, file: File) -> Fetched:
        def act() -> IncomingMail | Vanished:
            return next((each.embedded[file.id] for each in self._inbox.there if file.id in each.embedded), Vanished())

        return await self._request(act)

    async def sent_in(self, conversation_id: str) -> tuple[SentCopy, ...] | Deferred:
        return await self._request(lambda: self._inbox.sent.get(conversation_id, ()))

    async def finish(self, ids: Sequence[str], how: Finish) -> Deferred | Rejected | None:
        return await self._request(lambda: self._finish(ids, how))

    def _finish(self, ids: Sequence[str], how: Finish) -> Rejected | None:
        if self._inbox.untouchable:
            return Rejected(DENIED)
        for item in [self._inbox.ids[each] for each in ids if each in self._inbox.ids]:
            if how == "mark-read":
                item.read = True
            else:
                place = "Deleted Items" if how == "delete" else how.removeprefix("move:")
                self._inboxes.move_out(self._address, item, place)
        return None

    async def _poured(
        self, answer: bytes | Vanished | Unreadable | Deferred, sink: Sink
    ) -> Vanished | Unreadable | Deferred | None:
        if not isinstance(answer, bytes):
            return answer
        for start in range(0, len(answer), _PORTION_BYTES):
            await sink(answer[start : start + _PORTION_BYTES])
        return None

    async def _request(self, act: Callable[[], Result]) -> Result | Deferred:
        """Send, let the server act, wait for the answer; any of it may go wrong. Cancelled, only the wait stops."""
        inboxes, faults, loop = self._inboxes, self._inboxes.faults, asyncio.get_running_loop()
        inboxes.requests += 1
        answer: asyncio.Future[Result | Deferred] = loop.create_future()

        def reply(value: Result | Deferred) -> None:
            if not answer.done():
                answer.set_result(value)

        def serve() -> None:
            loop.call_later(inboxes.delay(), reply, Deferred(DENIED) if self._inbox.denied else act())

        draw = inboxes.random.random()
        if draw < faults.busy:
            loop.call_later(inboxes.delay(), reply, Deferred(BUSY, 3.0))
        elif (draw := draw - faults.busy) < faults.lost_request:
            loop.call_later(inboxes.delay(), reply, Deferred(LOST))
        elif (draw := draw - faults.lost_request) < faults.lost_answer:
            loop.call_later(inboxes.delay(), act)
            loop.call_later(2 * faults.latency_seconds, reply, Deferred(LOST))
        elif draw - faults.lost_answer < faults.late:
            loop.call_later(inboxes.random.uniform(0, 40), act)
            loop.call_later(inboxes.delay(), reply, Deferred(LOST))
        else:
            loop.call_later(inboxes.delay(), serve)
        with self._alone():
            return await answer

    @contextmanager
    def _alone(self) -> Iterator[None]:
        assert not self._in_use, "two calls on one mailbox object overlap"
        self._in_use = True
        try:
            yield
        finally:
            self._in_use = False


def _without_content(files: tuple[File, ...]) -> tuple[File, ...]:
    return tuple(replace(file, content=None) for file in files)
