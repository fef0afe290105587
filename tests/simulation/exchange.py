"""A mailbox server as docs/delivery-rules.md demands it (E1-E5), with a network in front that loses, delays and cuts.

What a client asks for and what the server does are two things here, as in life: a request under way is processed
whether or not anybody still waits for the answer.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from tests.simulation.virtual_time import EPOCH
from worker.mail.message import Message, Spooled
from worker.mail.outcome import Deferred, Delivered, Reason, Rejected, Scope, Unknown
from worker.mail.stamp import Stamp
from worker.mail.transport import Draft, Drafted, DraftOutcome, Look, SendOutcome, Sight, WorkingMailbox

Result = TypeVar("Result")

LOST = Reason("no-answer", Scope.SERVER, "no answer")
BUSY = Reason("ErrorServerBusy", Scope.MAILBOX, "busy")
REFUSED = Reason("ErrorInvalidRecipients", Scope.MESSAGE, "refused")
DENIED = Reason("ErrorSendAsDenied", Scope.MAILBOX, "denied", "grant it")
STALE = Reason("ErrorItemNotFound", Scope.MESSAGE, "not found")


@dataclass
class Item:
    id: str
    change_key: int
    stamp: Stamp
    message_id: str
    subject: str
    created_at: datetime
    submitted: bool = False


@dataclass
class Store:
    """One mailbox. `left` counts what was submitted, by stamp: the invariant is about it."""

    drafts: dict[str, Item] = field(default_factory=dict)
    outbox: dict[str, Item] = field(default_factory=dict)
    sent: dict[str, Item] = field(default_factory=dict)


@dataclass
class Faults:
    """Chances per request. A swarm: each seed has some of them."""

    lost_request: float = 0.0
    lost_answer: float = 0.0
    late: float = 0.0
    busy: float = 0.0
    refused: float = 0.0
    dwell_seconds: float = 0.0
    latency_seconds: float = 0.1

    def calm(self) -> None:
        self.lost_request = self.lost_answer = self.late = self.busy = 0.0


class Exchange:
    def __init__(self, seed: int, faults: Faults) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.stores: dict[str, Store] = {}
        self.left: dict[Stamp, list[str]] = {}
        self.denied: set[str] = set()
        """Mailboxes nothing may be sent from."""
        self.requests = 0
        self._serial = 0

    def outgoing(self, mailbox: WorkingMailbox) -> "SimulatedMailbox":
        return SimulatedMailbox(self, self.stores.setdefault(mailbox.address, Store()), mailbox.address)

    def new_id(self) -> str:
        """Ids that say nothing about the order of creation, as Exchange's."""
        self._serial += 1
        return f"{self.random.getrandbits(40):010x}-{self._serial}"

    def delay(self) -> float:
        return self.random.uniform(0.001, self.faults.latency_seconds)

    def submit(self, store: Store, item: Item) -> None:
        """Handed to transport: from now on it has left, and moves forward through the folders, never back."""
        self.left.setdefault(item.stamp, []).append(item.subject)
        item.submitted = True
        item.change_key += 1
        dwell = self.faults.dwell_seconds
        if self.random.random() < 0.5:
            asyncio.get_running_loop().call_later(self.random.uniform(0, dwell), self._to_outbox, store, item)
        else:
            self._to_outbox(store, item)

    def _to_outbox(self, store: Store, item: Item) -> None:
        del store.drafts[item.id]
        item.id = self.new_id()
        store.outbox[item.id] = item
        dwell = self.faults.dwell_seconds
        asyncio.get_running_loop().call_later(self.random.uniform(0, dwell), self._to_sent, store, item)

    def _to_sent(self, store: Store, item: Item) -> None:
        del store.outbox[item.id]
        item.id = self.new_id()
        store.sent[item.id] = item


class SimulatedMailbox:
    """The port, over the simulated network."""

    def __init__(self, exchange: Exchange, store: Store, address: str) -> None:
        self._exchange = exchange
        self._store = store
        self._address = address

    async def draft(self, messages: Sequence[Message]) -> Sequence[DraftOutcome]:
        def act() -> Sequence[DraftOutcome]:
            for message in messages:
                assert all(isinstance(each.content, Spooled) for each in message.attachments), (
                    "drafted without its files"
                )
                now = asyncio.get_running_loop().time()
                item = Item(
                    self._exchange.new_id(),
                    0,
                    message.stamp,
                    message.message_id,
                    message.subject,
                    EPOCH + timedelta(seconds=int(now)),
                )
                self._store.drafts[item.id] = item
            return [Drafted()] * len(messages)

        answer = await self._request(act)
        return answer if not isinstance(answer, Deferred | Unknown) else [answer] * len(messages)

    async def look(self, floors: Mapping[Stamp, datetime]) -> Look | Deferred:
        """The three folders are read at three moments, in the order E2 asks for."""
        rows: list[tuple[str, Item]] = []
        for folder in ("drafts", "outbox", "sent"):
            answer = await self._request(partial(self._rows, folder))
            if isinstance(answer, Deferred | Unknown):
                return answer if isinstance(answer, Deferred) else Deferred(answer.reason)
            rows += answer
        sights = {}
        for stamp in floors:
            mine = [(folder, item) for folder, item in rows if item.stamp == stamp]
            left = [item.message_id for folder, item in mine if folder != "drafts" or item.submitted]
            live = sorted(
                Draft(item.created_at, item.id, str(item.change_key), item.message_id)
                for folder, item in mine
                if folder == "drafts" and not item.submitted
            )
            sights[stamp] = Sight(left[0] if left else None, tuple(live))
        return Look(sights)

    def _rows(self, folder: str) -> list[tuple[str, Item]]:
        items: dict[str, Item] = getattr(self._store, folder)
        return [
            (folder, Item(i.id, i.change_key, i.stamp, i.message_id, i.subject, i.created_at, i.submitted))
            for i in items.values()
        ]

    async def retire(self, drafts: Sequence[Draft]) -> None:
        def act() -> None:
            for draft in drafts:
                item = self._store.drafts.get(draft.id)
                if item and not item.submitted and str(item.change_key) == draft.version:
                    del self._store.drafts[draft.id]

        await self._request(act)

    async def send(self, drafts: Sequence[Draft]) -> Sequence[SendOutcome]:
        answer = await self._request(lambda: [self._send(draft) for draft in drafts])
        return answer if not isinstance(answer, Deferred | Unknown) else [answer] * len(drafts)

    def _send(self, draft: Draft) -> SendOutcome:
        item = self._store.drafts.get(draft.id)
        if item is None or item.submitted or str(item.change_key) != draft.version:
            return Unknown(STALE)
        if self._address in self._exchange.denied:
            return Deferred(DENIED)
        if item.subject.startswith("refuse"):
            return Rejected(REFUSED)
        self._exchange.submit(self._store, item)
        return Delivered(item.message_id)

    async def _request(self, act: Callable[[], Result]) -> Result | Deferred | Unknown:
        """Send, let the server act, wait for the answer; any of it may go wrong. Cancelled, only the wait stops."""
        exchange, faults = self._exchange, self._exchange.faults
        loop = asyncio.get_running_loop()
        exchange.requests += 1
        answer: asyncio.Future[Result | Deferred | Unknown] = loop.create_future()

        def reply(value: Result | Deferred | Unknown) -> None:
            if not answer.done():
                answer.set_result(value)

        def serve() -> None:
            loop.call_later(exchange.delay(), reply, act())

        draw = exchange.random.random()
        if draw < faults.busy:
            loop.call_later(exchange.delay(), reply, Deferred(BUSY, 3.0))
        elif (draw := draw - faults.busy) < faults.lost_request:
            loop.call_later(exchange.delay(), reply, Unknown(LOST))
        elif (draw := draw - faults.lost_request) < faults.lost_answer:
            loop.call_later(exchange.delay(), act)
            loop.call_later(2 * faults.latency_seconds, reply, Unknown(LOST))
        elif draw - faults.lost_answer < faults.late:
            loop.call_later(exchange.random.uniform(0, 40), act)
            loop.call_later(exchange.delay(), reply, Unknown(LOST))
        else:
            loop.call_later(exchange.delay(), serve)
        return await answer
