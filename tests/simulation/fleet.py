"""The broker as the inbound flow sees it, in memory: tickets that are given again unless acked, one scheduler elected,
reports to it, events for the CRM, dead letters; confirms that come late or not at all.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import orjson

from worker.events.broker import Broker, Burial, Delivery, Fleet, Marks, Unconfirmed
from worker.inbound import ticket as tickets
from worker.inbound.ticket import PollTicket
from worker.mail.trace import NOWHERE, TraceContext


class SimulatedFleet:
    """What all workers share. `scheduler` is the session that holds the token."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.polls: deque[tuple[bytes, bool]] = deque()
        self.listens: deque[tuple[bytes, bool]] = deque()
        self.events: list[dict[str, object]] = []
        self.dead: list[tuple[PollTicket, Burial]] = []
        self.unconfirmed = 0.0
        self.sessions: list[FleetSession] = []
        self.changed = asyncio.Event()

    def wake(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    @property
    def scheduler(self) -> "FleetSession | None":
        """The session that has been there longest, as with a single active consumer."""
        return next(iter(self.sessions), None)


class FleetSession:
    """One worker's connection. Implements `Broker.publish` and `Fleet`; `close` gives back what it had in hand."""

    def __init__(self, fleet: SimulatedFleet) -> None:
        self.fleet = fleet
        self.open = True
        self.unacked: dict[int, tuple[deque[tuple[bytes, bool]], bytes]] = {}
        self.reports: asyncio.Queue[bytes] = asyncio.Queue()
        self._tag = 0
        fleet.sessions.append(self)
        fleet.wake()

    def close(self) -> None:
        if not self.open:
            return
        self.open = False
        self.fleet.sessions.remove(self)
        for queue, body in self.unacked.values():
            queue.append((body, True))
        self.unacked.clear()
        self.fleet.wake()

    async def elected(self) -> None:
        """Return when this session holds the token."""
        while self.fleet.scheduler is not self:
            await self.fleet.changed.wait()

    async def next(self, queue: deque[tuple[bytes, bool]]) -> "FleetDelivery":
        await asyncio.sleep(self.fleet.random.uniform(0, 0.01))
        while not queue:
            await self.fleet.changed.wait()
            await asyncio.sleep(self.fleet.random.uniform(0, 0.01))
        body, redelivered = queue.popleft()
        self._tag += 1
        self.unacked[self._tag] = (queue, body)
        return FleetDelivery(self, self._tag, body, redelivered)

    async def heard(self) -> AsyncIterator[bytes]:
        while True:
            yield await self.reports.get()

    async def publish(self, routing_key: str, body: bytes, message_id: str, context: TraceContext = NOWHERE) -> None:
        event = orjson.loads(body)
        assert event["id"] == message_id
        await self._confirmed(lambda: self.fleet.events.append({"key": routing_key, **event}))

    async def issue(self, ticket: bytes, *, listen: bool = False) -> None:
        queue = self.fleet.listens if listen else self.fleet.polls
        await self._confirmed(lambda: queue.append((ticket, False)))
        self.fleet.wake()

    async def report(self, report: bytes) -> None:
        def act() -> None:
            if self.fleet.scheduler is not None:
                self.fleet.scheduler.reports.put_nowait(report)

        await self._confirmed(act)

    async def recall(self) -> int:
        count = len(self.fleet.polls) + len(self.fleet.listens)
        self.fleet.polls.clear()
        self.fleet.listens.clear()
        return count

    async def quarantine(self, ticket: bytes, message_id: str, burial: Burial) -> None:
        read = tickets.read(ticket, PollTicket)
        assert read is not None
        await self._confirmed(lambda: self.fleet.dead.append((read, burial)))

    async def waiting(self) -> int:
        return len(self.fleet.polls)

    async def park(self, delivery: Delivery, delay_seconds: float, headers: Marks) -> None:
        raise AssertionError("nothing inbound is parked")

    async def bury(self, delivery: Delivery, burial: Burial) -> None:
        raise AssertionError("nothing inbound is buried")

    async def _confirmed(self, act: object) -> None:
        assert callable(act)
        self._alive()
        await asyncio.sleep(self.fleet.random.uniform(0.0005, 0.01))
        self._alive()
        draw = self.fleet.random.random()
        if draw < self.fleet.unconfirmed / 2:
            raise Unconfirmed("refused")
        act()
        if draw < self.fleet.unconfirmed:
            raise Unconfirmed("taken, but not confirmed")
        await asyncio.sleep(self.fleet.random.uniform(0.0005, 0.01))
        self._alive()

    def _alive(self) -> None:
        if not self.open:
            raise Unconfirmed("connection lost")


@dataclass
class FleetDelivery:
    session: FleetSession
    tag: int
    body: bytes
    redelivered: bool
    content_type: str = "application/json"
    message_id: str = ""
    bulk: bool = False
    headers: Mapping[str, object] = field(default_factory=dict)

    async def ack(self) -> None:
        if not self.session.open:
            raise Unconfirmed("connection lost")
        self.session.unacked.pop(self.tag, None)

    async def give_back(self) -> None:
        if self.session.open:
            queue, body = self.session.unacked.pop(self.tag)
            queue.append((body, True))
            self.session.fleet.wake()


def as_ports(session: FleetSession) -> tuple[Broker, Fleet]:
    """Says to the type checker that the session is both ports."""
    return session, session
