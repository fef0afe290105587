"""Requests through the whole outbound flow, and mails through a poll, with what traces them kept in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.simulation.fleet import FleetSession, SimulatedFleet, as_ports
from tests.simulation.inbound_world import MemoryStore, Plan, address, directory
from tests.simulation.inbox import Inboxes, InboxFaults
from tests.simulation.virtual_time import VirtualClock
from tests.unit.outbound.fakes import FakeBroker, FakeDelivery, FakeFiles, FakeTransport, Journal, StubClock
from worker.clock import Clock
from worker.fleet.pauses import Pauses
from worker.inbound import ticket as tickets
from worker.inbound.intake import Intake, Rules
from worker.inbound.poll import Desk
from worker.inbound.poller import Poller
from worker.inbound.ticket import PollTicket
from worker.mail.incoming import IncomingMail
from worker.mail.trace import OFF, Tracing
from worker.outbound.pipeline import Limits, Outbound
from worker.profiles.book import Book
from worker.profiles.loader import parse
from worker.tracing.context import ChosenIds
from worker.tracing.spans import Spans

KEY: Final = b"key"
SUBJECT, BODY = "the offer for Xaver", "what only the two of them may read"
PROFILE: Final = {
    "name": "Out",
    "direction": "outgoing",
    "server": "exchange",
    "location": "https://mail.contoso.example/EWS/Exchange.asmx",
    "username": "router@contoso.example",
    "password": "env:PATH",
    "user_type": "administrator",
    "access": "impersonation",
}
BOOK: Final = Book(
    parse({"profile": [PROFILE], "mailbox": [{"address": "*@contoso.example", "outgoing": "Out"}]}, "-"), "-"
)


class TickingClock(StubClock):
    """A millisecond goes by with each look at it. Who sleeps is not woken: nothing takes long."""

    def now(self) -> datetime:
        self.seconds += 0.001
        return super().now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


class Memory:
    """`spans` are those that ended, in order."""

    def __init__(self, clock: Clock) -> None:
        self._kept = InMemorySpanExporter()
        ids = ChosenIds()
        provider = TracerProvider(id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracing = Spans(provider.get_tracer("tests"), ids, clock)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._kept.get_finished_spans()


@dataclass
class Desks:
    """One worker's, on the way out. `traced`: whether it traces."""

    traced: bool = True
    clock: StubClock = field(default_factory=TickingClock)
    journal: Journal = field(default_factory=Journal)

    def __post_init__(self) -> None:
        self.transport = FakeTransport(self.journal)
        self.broker = FakeBroker(self.journal)
        self.memory = Memory(self.clock)

    async def take(self, *deliveries: FakeDelivery) -> None:
        tracing: Tracing = self.memory.tracing if self.traced else OFF
        async with asyncio.TaskGroup() as tasks:
            outbound = Outbound(
                self.broker,
                self.transport,
                lambda: BOOK,
                self.clock,
                tasks,
                files=FakeFiles(self.journal),
                limits=Limits(12 * 2**20, timedelta(days=7), 10, 4, patience_seconds=15.0),
                correlation_key=KEY,
                tracing=tracing,
            )
            for each in deliveries:
                await outbound.take(each)
            while outbound.in_progress:  # noqa: ASYNC110 - until all are settled, which nobody tells
                await asyncio.sleep(0)
            await outbound.drain()

    def delivery(
        self, event_id: str = "event-1", *, headers: dict[str, object] | None = None, **attributes: Any
    ) -> FakeDelivery:
        event = {
            "specversion": "1.0",
            "id": event_id,
            "source": "/crm",
            "type": "crm.email.send.v1",
            "time": "2026-11-23T08:00:00Z",
            "data": {
                "email_id": "mail-1",
                "from": {"address": "anna@contoso.example"},
                "to": [{"address": "xaver@customer.example"}],
                "subject": SUBJECT,
                "body": {"text": BODY},
            },
            **attributes,
        }
        return FakeDelivery(self.journal, orjson.dumps(event), headers or {}, message_id=event_id)

    @property
    def statuses(self) -> list[dict[str, Any]]:
        return [event for _, event, _ in self.journal.of("publish")]

    def process(self) -> list[ReadableSpan]:
        return [span for span in self.memory.spans if span.name.startswith("process")]

    def steps(self, parent: ReadableSpan) -> list[ReadableSpan]:
        above = parent.context
        return [span for span in self.memory.spans if span.parent and span.parent.span_id == above.span_id]


async def polled(*mails: IncomingMail, denied: bool = False) -> tuple[Memory, list[dict[str, Any]]]:
    """What a poll of a mailbox with these mails leaves: spans, and events as they were published."""
    fleet, inboxes, clock = SimulatedFleet(1), Inboxes(1, InboxFaults()), VirtualClock()
    for each in mails:
        inboxes.deliver(address(0), each)
    inboxes.inbox(address(0)).denied = denied
    session, memory = FleetSession(fleet), Memory(clock)
    broker, port = as_ports(session)
    intake = Intake(MemoryStore(), Rules(key=KEY, prefix="CRM:", inline_bytes=3, most_bytes=1000), clock)
    desk = Desk(broker, port, intake, clock, tracing=memory.tracing)
    routes = directory(Plan(1, mailboxes=1, start="all")).incoming()
    poller = Poller(desk, inboxes, routes, Pauses(clock), known_at=lambda _: clock.now(), concurrency=1)
    await session.issue(tickets.write(PollTicket(0, "In", address(0))))
    async with asyncio.timeout(3600):
        await poller.take(await session.next(fleet.polls))
    return memory, fleet.events
