"""Several workers that read mailboxes, a broker and an Exchange in one event loop under virtual time, with faults by
seed. As in `world.py`: faults of every kind first, then calm, then what must hold is checked.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.simulation.fleet import FleetSession, SimulatedFleet, as_ports
from tests.simulation.inbox import Inbox, Inboxes, InboxFaults, Item
from tests.simulation.virtual_time import VirtualClock
from worker.fleet.pauses import Pauses
from worker.inbound import cursor as cursors
from worker.inbound.identity import event_id
from worker.inbound.intake import Intake, Rules
from worker.inbound.listener import Listener
from worker.inbound.poll import Desk
from worker.inbound.poller import Poller
from worker.inbound.scheduler import Scheduler
from worker.mail.address import Address
from worker.mail.incoming import File, IncomingMail, Sink
from worker.profiles.directory import Directory
from worker.profiles.loader import parse

POLL_SECONDS = 10.0
CALM_SECONDS = 300.0
"""So soon after the last fault every mail must have arrived: pauses, polls and walks included."""


class MemoryStore:
    """The attachment store in memory. What is written under a key that was there must be the same."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    @asynccontextmanager
    async def writing(self, key: str) -> AsyncIterator[Sink]:
        parts: list[bytes] = []

        async def sink(part: bytes) -> None:
            parts.append(part)

        yield sink
        assert self.objects.setdefault(key, b"".join(parts)) == b"".join(parts)

    def url(self, key: str) -> str:
        return f"memory:///{key}"


@dataclass
class Plan:
    """What one seed brings."""

    seed: int
    mails: int = 30
    present: int = 5
    """Mails that lie there before anything begins."""
    mailboxes: int = 3
    workers: int = 3
    start: str = "now"
    after: str = "leave"
    notifications: bool = True
    kill_every_seconds: float = 0.0
    faulty_seconds: float = 60.0
    unconfirmed: float = 0.0
    denied: bool = False
    """The first mailbox lets nobody in until the faults end."""
    faults: InboxFaults = field(default_factory=InboxFaults)

    @classmethod
    def swarm(cls, seed: int) -> "Plan":
        """Each seed has some of the faults, at rates of its own."""
        draw = random.Random(seed)

        def chance(most: float) -> float:
            return draw.random() * most if draw.random() < 0.5 else 0.0

        return cls(
            seed,
            mails=draw.randint(1, 60),
            present=draw.choice((0, 0, 5, 40)),
            mailboxes=draw.randint(1, 4),
            workers=draw.randint(1, 4),
            start=draw.choice(("now", "all")),
            after=draw.choice(("leave", "leave", "mark-read", "move:Done", "delete")),
            notifications=draw.random() < 0.5,
            kill_every_seconds=draw.choice((0, 0, 0.3, 1.0, 3.0)),
            unconfirmed=chance(0.1),
            denied=draw.random() < 0.2,
            faults=InboxFaults(
                lost_request=chance(0.15),
                lost_answer=chance(0.2),
                late=chance(0.15),
                busy=chance(0.15),
                state_lost=chance(0.1),
                vanish=chance(0.1),
                moved=chance(0.2),
                damaged=chance(0.1),
                unheard=chance(0.5),
                line_lost=chance(0.5),
                latency_seconds=draw.choice((0.01, 0.1, 1.0)),
            ),
        )


def directory(plan: Plan) -> Directory:
    profile = {
        "name": "In",
        "direction": "incoming",
        "server": "exchange",
        "location": "https://mail.contoso.example/EWS/Exchange.asmx",
        "username": "router@contoso.example",
        "password": "env:PATH",
        "start": plan.start,
        "after": plan.after,
        "poll_seconds": POLL_SECONDS,
    }
    mailboxes = [{"address": address(number), "incoming": "In"} for number in range(plan.mailboxes)]
    return parse({"profile": [profile], "mailbox": mailboxes}, "simulated")


def address(number: int) -> str:
    return f"user{number}@contoso.example"


class World:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = random.Random(plan.seed)
        self.fleet = SimulatedFleet(plan.seed)
        self.inboxes = Inboxes(plan.seed, plan.faults)
        self.store = MemoryStore()
        self.routes = directory(plan).incoming()
        self.items: list[tuple[str, Item]] = []
        self.present: set[str] = set()
        """Search keys of what was there before, and is not owed with start = "now"."""

    async def run(self) -> None:
        """Both phases."""
        for _ in range(self.plan.present):
            self._deliver()
        self.present = {item.mail.search_key for _, item in self.items}
        await asyncio.sleep(2)
        if self.plan.denied:
            self.inboxes.inbox(address(0)).denied = True
        self.fleet.unconfirmed = self.plan.unconfirmed
        workers = [asyncio.create_task(self._worker()) for _ in range(self.plan.workers)]
        if self.plan.start == "now":
            await self._first_notes()
        for _ in range(self.plan.mails):
            asyncio.get_running_loop().call_later(self.random.uniform(0, self.plan.faulty_seconds), self._deliver)
        await asyncio.sleep(self.plan.faulty_seconds)
        self._calm()
        await asyncio.sleep(CALM_SECONDS)
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)

    async def _first_notes(self) -> None:
        """What comes before a mailbox was first looked at is owed to nobody, so nothing may come until then."""
        waiting = {address(number) for number in range(self.plan.mailboxes)}
        if self.plan.denied:
            self.inboxes.inbox(address(0)).denied = False
        async with asyncio.timeout(3600):
            while any(not self.inboxes.inbox(each).notes for each in waiting):  # noqa: ASYNC110 - virtual seconds
                await asyncio.sleep(0.5)
        if self.plan.denied:
            self.inboxes.inbox(address(0)).denied = True

    def _calm(self) -> None:
        self.plan.faults.calm()
        self.fleet.unconfirmed = 0.0
        self.plan.kill_every_seconds = 0.0
        self.inboxes.inbox(address(0)).denied = False

    def _deliver(self) -> None:
        to = address(self.random.randrange(self.plan.mailboxes))
        number = len(self.items)
        shared = self.random.random() < 0.1  # a Message-ID that several mails have
        files = (File(f"file-{number}", "a.bin", "application/octet-stream", 5, content=b"file%d" % number),)
        mail = IncomingMail(
            "",
            None,
            message_id=f"<{0 if shared else number}@customer.example>",
            from_=Address("x@customer.example"),
            subject=f"mail {number}",
            text="hello",
            files=files if self.random.random() < 0.3 else (),
        )
        self.items.append((to, self.inboxes.deliver(to, mail)))

    async def _worker(self) -> None:
        """Start, work, be killed at any await, start again."""
        while True:
            session = FleetSession(self.fleet)
            life = asyncio.create_task(self._life(session))
            every = self.plan.kill_every_seconds
            try:
                await asyncio.wait([life], timeout=self.random.expovariate(1 / every) if every else None)
                assert not life.done(), life.exception()
            finally:
                life.cancel()
                with suppress(asyncio.CancelledError):
                    await life
                session.close()
            await asyncio.sleep(self.random.uniform(0.05, 1))

    async def _life(self, session: FleetSession) -> None:
        clock = VirtualClock(self.random.getrandbits(32))
        broker, fleet = as_ports(session)
        intake = Intake(self.store, Rules(key=b"key", prefix="CRM:", inline_bytes=3, most_bytes=1000), clock)
        desk = Desk(broker, fleet, intake, clock)
        pauses, began_at = Pauses(clock), clock.now()
        poller = Poller(desk, self.inboxes, self.routes, pauses, known_at=lambda _: began_at, concurrency=4)
        listener = Listener(fleet, self.inboxes, frozenset(route.working for route in self.routes), pauses)
        scheduler = Scheduler(self.routes, clock, capacity=10, notifications=self.plan.notifications)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._elected(session, scheduler))
            tasks.create_task(self._listens(session, listener, tasks))
            while True:
                delivery = await session.next(self.fleet.polls)
                tasks.create_task(poller.take(delivery))

    async def _elected(self, session: FleetSession, scheduler: Scheduler) -> None:
        await session.elected()
        await scheduler.serve(session, session.heard())

    async def _listens(self, session: FleetSession, listener: Listener, tasks: asyncio.TaskGroup) -> None:
        while True:
            delivery = await session.next(self.fleet.listens)
            tasks.create_task(listener.take(delivery))


def check(world: World) -> None:
    """Nothing missing, nothing twice under two ids, nothing that was never owed, every cursor at the end."""
    published = Counter(str(event["id"]) for event in world.fleet.events if event["key"] == "email.received")
    quarantined = {(ticket.mailbox, ticket.item) for ticket, _ in world.fleet.dead}
    for ticket, _ in world.fleet.dead:
        damaged = [item for _, item in world.items if item.damage == "all"]
        assert damaged, f"{ticket.item} is in quarantine, and nothing is unreadable"
    owed = set()
    for to, item in world.items:
        mail_id = event_id(to, item.mail)
        owed.add(mail_id)
        if item.mail.search_key in world.present and world.plan.start == "now":
            assert mail_id not in published, f"{item.mail.subject} was there before, and was published"
        elif item.place == "":
            if item.damage == "all":
                assert (to, item.mail.id) in quarantined, f"{item.mail.subject} is unreadable, and not in quarantine"
            else:
                assert mail_id in published, f"{item.mail.subject} lies in the Inbox, and was never published"
        elif item.place in ("Done", "Deleted Items"):
            assert mail_id in published, f"{item.mail.subject} was put away, and never published"
    assert set(published) <= owed, "events whose ids are no mail's"
    for number in range(world.plan.mailboxes):
        inbox = world.inboxes.inbox(address(number))
        kept = [cursor for note in inbox.notes if (cursor := cursors.read(note)) is not None]
        # A request that is processed late can put an older cursor in place of the last one: no harm, but no rest.
        resting = kept if world.plan.faults.was_late else kept[-1:]
        assert any(_at_the_end(inbox, cursor) for cursor in resting), f"{address(number)} is at {kept[-1]}"
        if world.plan.after in ("move:Done", "delete"):
            left = [item for item in inbox.there if item.mail.search_key not in world.present and not item.damage]
            assert not left, f"{len(left)} mails are published and still in the Inbox of {address(number)}"


def _at_the_end(inbox: Inbox, cursor: cursors.Cursor) -> bool:
    """Behind it there is nothing, or only what has gone: that is passed without a note."""
    generation, _, place = cursor.state.partition(":")
    behind = inbox.log[int(place or 0) :] if generation == str(inbox.generation) else inbox.log
    return not cursor.walking and all(each not in inbox.ids for each in behind)
