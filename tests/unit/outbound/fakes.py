"""Scripted doubles of the ports: what was asked of them is kept in order."""

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from worker.events.broker import Burial, Delivery, Marks, Unconfirmed
from worker.mail.message import Link, Message, Spooled
from worker.mail.outcome import Deferred, Delivered, Rejected
from worker.mail.stamp import Stamp
from worker.mail.trace import NOWHERE, TraceContext
from worker.mail.transport import Draft, Drafted, DraftOutcome, Look, SendOutcome, Sight, WorkingMailbox


class StubClock:
    """Stands still until it is moved; to sleep moves it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 8, 0, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)

    def jitter(self) -> float:
        return 0.5


@dataclass
class Journal:
    """Everything that was done, in order, as (what, details)."""

    lines: list[tuple[str, Any]] = field(default_factory=list)

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.lines]

    def of(self, kind: str) -> list[Any]:
        return [details for each, details in self.lines if each == kind]


@dataclass
class FakeDelivery:
    journal: Journal
    body: bytes = b"{}"
    headers: dict[str, object] = field(default_factory=dict)
    content_type: str = "application/cloudevents+json"
    message_id: str = "event-1"
    bulk: bool = False
    redelivered: bool = False

    async def ack(self) -> None:
        self.journal.lines.append(("ack", self))

    async def give_back(self) -> None:
        self.journal.lines.append(("give_back", self))


class FakeBroker:
    """`full` names what it does not confirm: "publish", "park", "bury"."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.full: set[str] = set()
        self.contexts: list[TraceContext] = []

    async def publish(self, routing_key: str, body: bytes, message_id: str, context: TraceContext = NOWHERE) -> None:
        self._write("publish", (routing_key, orjson.loads(body), message_id))
        self.contexts.append(context)

    async def park(self, delivery: Delivery, delay_seconds: float, headers: Marks) -> None:
        self._write("park", (delay_seconds, dict(headers), delivery))

    async def bury(self, delivery: Delivery, burial: Burial) -> None:
        self._write("bury", (burial, delivery))

    def _write(self, kind: str, details: object) -> None:
        if kind in self.full:
            raise Unconfirmed(f"{kind}: queue full")
        self.journal.lines.append((kind, details))


class FakeMailbox:
    """A mailbox without trouble, unless a script says what it answers next to `draft` or to `look`."""

    def __init__(self, journal: Journal, name: str = "") -> None:
        self.journal = journal
        self.name = name
        self.drafts: dict[Stamp, Draft] = {}
        self.draft_script: list[DraftOutcome | Exception] = []
        self.look_script: list[Look | Deferred] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls = 0

    async def draft(self, messages: Sequence[Message]) -> Sequence[DraftOutcome]:
        self.calls += 1
        assert self.calls == 1, "calls on one mailbox overlap"
        await self.gate.wait()
        for each in (each for message in messages for each in message.attachments):
            assert isinstance(each.content, bytes) or (
                isinstance(each.content, Spooled) and not each.content.file.closed
            )
        self.journal.lines.append(("draft", (self.name, [message.stamp for message in messages])))
        self.calls -= 1
        if self.draft_script:
            answer = self.draft_script.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return [answer] * len(messages)
        for message in messages:
            self.drafts[message.stamp] = Draft(StubClock().now(), f"id-{message.stamp}", "1", message.message_id)
        return [Drafted()] * len(messages)

    async def look(self, floors: Mapping[Stamp, datetime]) -> Look | Deferred:
        self.journal.lines.append(("look", (self.name, list(floors))))
        await asyncio.sleep(0)
        if self.look_script:
            return self.look_script.pop(0)
        return Look({stamp: Sight(live=(self.drafts[stamp],)) for stamp in floors if stamp in self.drafts})

    async def retire(self, drafts: Sequence[Draft]) -> None:
        self.journal.lines.append(("retire", (self.name, list(drafts))))

    async def send(self, drafts: Sequence[Draft]) -> Sequence[SendOutcome]:
        self.journal.lines.append(("send", (self.name, list(drafts))))
        await asyncio.sleep(0)
        return [Delivered(draft.message_id) for draft in drafts]


class FakeFiles:
    """Files by URL: what a URL names in `script` comes next, else content; behind `gates` it is waited for."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.script: dict[str, list[Deferred | Rejected | Exception]] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.spools: list[io.BytesIO] = []
        self.under_way = self.most = 0

    async def fetch(self, links: Sequence[Link]) -> tuple[Spooled, ...] | Deferred | Rejected:
        url = links[0].url
        self.journal.lines.append(("fetch", [link.url for link in links]))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if url in self.gates:
                await self.gates[url].wait()
        finally:
            self.under_way -= 1
        if self.script.get(url):
            answer = self.script[url].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        spool = io.BytesIO(b"content")
        self.spools.append(spool)
        return tuple(Spooled(spool, 0, 7) for _ in links)


class FakeTransport:
    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.mailboxes: dict[str, FakeMailbox] = {}
        self.gone: set[WorkingMailbox] = set()
        """No profile leads there any more."""

    def outgoing(self, mailbox: WorkingMailbox) -> FakeMailbox:
        assert mailbox not in self.gone, mailbox
        return self.mailboxes.setdefault(mailbox.address, FakeMailbox(self.journal, mailbox.address))
