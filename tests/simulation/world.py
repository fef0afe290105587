"""Several whole pipelines, a broker and an Exchange in one event loop under virtual time, with faults by seed.

A run has two phases: faults of every kind first, then calm, until nothing is left to do. What must hold is checked
apart from what makes the load (`check`); a failure is a seed, and the seed replays it.
"""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import orjson

from tests.simulation.broker import Message, SimulatedBroker, SimulatedSession, as_broker
from tests.simulation.exchange import Exchange, Faults
from tests.simulation.files import SimulatedFiles
from tests.simulation.virtual_time import EPOCH, VirtualClock
from worker.clock import rfc3339
from worker.mail.stamp import stamp_of
from worker.outbound.pipeline import Limits, Outbound
from worker.profiles.book import SETTLING, Book, Earlier
from worker.profiles.directory import Directory
from worker.profiles.loader import parse

LIMITS = Limits(
    max_event_bytes=1_000_000, horizon=timedelta(days=7), max_attempts=10, concurrency=4, patience_seconds=15.0
)
SOURCE = "/crm/simulated"


ACCOUNT = "router@contoso.example"


def directory(access: str = "impersonation") -> Directory:
    profile = {
        "name": "P",
        "direction": "outgoing",
        "server": "exchange",
        "location": "https://mail.contoso.example/EWS/Exchange.asmx",
        "username": ACCOUNT,
        "password": "env:PATH",
        "access": access,
    }
    return parse({"profile": [profile], "mailbox": [{"address": "*@contoso.example", "outgoing": "P"}]}, "simulated")


@dataclass
class Plan:
    """What one seed brings."""

    seed: int
    requests: int = 12
    mailboxes: int = 3
    workers: int = 3
    copies: int = 2
    racing: bool = False
    """All copies of all requests are published, within half a second: for races of two workers."""
    kill_every_seconds: float = 0.0
    faulty_seconds: float = 60.0
    unconfirmed: float = 0.0
    clock_skew_seconds: float = 0.0
    expiring: float = 0.0
    refused: float = 0.0
    linked: float = 0.0
    """Of the requests, how many have an attachment by URL; of those every fifth cannot be had."""
    unavailable: float = 0.0
    changes: tuple[float, ...] = ()
    """When other profiles are published: each moves the mail from the senders' mailboxes to the account's, or back."""
    denied: bool = False
    """The account may not send as anybody, for as long as things go wrong."""
    faults: Faults = field(default_factory=Faults)

    @classmethod
    def swarm(cls, seed: int) -> "Plan":
        """Each seed has some of the faults, at rates of its own."""
        draw = random.Random(seed)

        def chance(most: float) -> float:
            return draw.random() * most if draw.random() < 0.5 else 0.0

        return cls(
            seed,
            requests=draw.randint(1, 20),
            mailboxes=draw.randint(1, 4),
            workers=draw.randint(1, 4),
            copies=draw.randint(1, 3),
            racing=draw.random() < 0.3,
            kill_every_seconds=draw.choice((0, 0, 0.3, 1.0, 3.0)),
            unconfirmed=chance(0.1),
            clock_skew_seconds=chance(4),
            expiring=chance(0.5),
            refused=chance(0.3),
            faults=Faults(
                lost_request=chance(0.15),
                lost_answer=chance(0.2),
                late=chance(0.15),
                busy=chance(0.15),
                dwell_seconds=draw.choice((0, 0.2, 20)),
                latency_seconds=draw.choice((0.01, 0.1, 1.0)),
            ),
            linked=chance(1.0),
            unavailable=chance(0.5),
        )

    @classmethod
    def changing(cls, seed: int) -> "Plan":
        """Profiles change while mail is under way, long before calm: so it finishes, and moves, and comes again."""
        draw = random.Random(seed)
        plan = cls.swarm(seed)
        plan.changes = tuple(sorted(draw.uniform(0, 90) for _ in range(draw.choice((1, 1, 2, 3)))))
        plan.denied = draw.random() < 0.4
        plan.faulty_seconds = 800.0
        plan.kill_every_seconds = draw.choice((0, 3, 30))
        plan.racing = False
        return plan


class World:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = random.Random(plan.seed)
        self.broker = SimulatedBroker(plan.seed)
        self.exchange = Exchange(plan.seed, plan.faults)
        self.clock = VirtualClock(plan.seed)
        self.directories = {access: directory(access) for access in ("impersonation", "send-as")}
        self.sessions: dict[int, SimulatedSession] = {}
        copied = plan.copies > 1 or plan.kill_every_seconds or plan.unconfirmed
        self.may_give_up = bool(plan.changes and copied)
        """One copy of a request may take its draft out of a place that another one remembers."""
        self.refused: set[str] = set()
        self.expiring: set[str] = set()
        self.missing: set[str] = set()

    async def run(self) -> None:
        """Both phases. Raises TimeoutError when calm does not bring everything to an end within two virtual days."""
        self.broker.unconfirmed = self.plan.unconfirmed
        if self.plan.denied:
            self.exchange.denied.add(ACCOUNT)
        for number in range(self.plan.requests):
            asked_at = self.random.uniform(0, 100) if self.plan.changes else 0.0
            for _ in range(self.plan.copies if self.plan.racing else self.random.randint(1, self.plan.copies)):
                within = 0.5 if self.plan.racing else self.random.choice((0, 2, 60))
                if self.plan.changes and self.random.random() < 0.3:
                    within = 750
                delay = asked_at + self.random.uniform(0, within)
                self.broker.put_later(delay, self._event(number, asked_at))
        workers = [asyncio.create_task(self._worker(number)) for number in range(self.plan.workers)]
        await asyncio.sleep(self.plan.faulty_seconds)
        self.plan.faults.calm()
        self.exchange.denied.clear()
        self.broker.unconfirmed = 0.0
        self.plan.kill_every_seconds = 0.0
        self.plan.unavailable = 0.0
        async with asyncio.timeout(2 * 86400):
            while self.broker.queue or self.broker.parked or self._in_hand():  # noqa: ASYNC110 - virtual seconds
                await asyncio.sleep(1)
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)

    def _in_hand(self) -> bool:
        return any(session.unacked for session in self.sessions.values())

    async def _worker(self, number: int) -> None:
        """Start, work, be killed at any await, start again."""
        skew = self.plan.clock_skew_seconds * (self.random.random() - 0.5)
        while True:
            life = asyncio.create_task(self._life(number, skew))
            lifetime = self.plan.kill_every_seconds and self.random.expovariate(1 / self.plan.kill_every_seconds)
            try:
                await asyncio.wait([life], timeout=lifetime or None)
            finally:
                life.cancel()
                with suppress(asyncio.CancelledError):
                    await life
                self.sessions[number].close()
            await asyncio.sleep(self.random.uniform(0.05, 1))

    def _book(self, lag_seconds: float) -> Book:
        """What a worker works by that hears of each change so much later."""
        now = asyncio.get_running_loop().time()
        heard = [moment for moment in self.plan.changes if moment + lag_seconds <= now]
        in_turn = [self.directories[("impersonation", "send-as")[turn % 2]] for turn in range(len(heard) + 1)]
        earlier = [
            Earlier(f"revision {turn}", EPOCH + timedelta(seconds=moment) + SETTLING, in_turn[turn])
            for turn, moment in enumerate(heard)
        ]
        return Book(in_turn[-1], f"revision {len(heard)}", tuple(earlier))

    async def _life(self, number: int, skew: float) -> None:
        lag_seconds = self.random.uniform(0, 3)
        session = self.sessions[number] = SimulatedSession(self.broker)
        clock = VirtualClock(self.random.getrandbits(32), skew)
        async with asyncio.TaskGroup() as tasks:
            outbound = Outbound(
                as_broker(session),
                self.exchange,
                lambda: self._book(lag_seconds),
                clock,
                tasks,
                files=SimulatedFiles(self.random, self.plan),
                limits=LIMITS,
                correlation_key=b"key",
            )
            while True:
                delivery = await session.next()
                tasks.create_task(outbound.take(delivery))

    def _event(self, number: int, asked_at: float) -> Message:
        """Every copy of a request is the same to the byte."""
        draw = random.Random(self.plan.seed * 1000 + number)
        email_id = f"mail-{number}"
        if draw.random() < self.plan.refused:
            self.refused.add(email_id)
        data: dict[str, object] = {
            "email_id": email_id,
            "from": {"address": f"user{draw.randrange(self.plan.mailboxes)}@contoso.example"},
            "to": [{"address": "x@customer.example"}],
            "subject": f"refuse {number}" if email_id in self.refused else f"mail {number}",
            "body": {"text": "hello"},
        }
        if draw.random() < self.plan.expiring:
            self.expiring.add(email_id)
            data["expires_at"] = rfc3339(EPOCH + timedelta(seconds=asked_at + draw.uniform(0, 50)))
        if draw.random() < self.plan.linked:
            there = draw.random() < 0.8
            data["attachments"] = [{"name": "a.pdf", "url": f"https://files.example/{'there' if there else 'missing'}"}]
            if not there:
                self.missing.add(email_id)
        event = {
            "specversion": "1.0",
            "id": f"event-{number}",
            "source": SOURCE,
            "type": "crm.email.send.v1",
            "time": rfc3339(EPOCH + timedelta(seconds=asked_at)),
            "data": data,
        }
        return Message(orjson.dumps(event), bulk=draw.random() < 0.3)


def check(world: World) -> None:
    """What always holds (docs/delivery-rules.md), as far as it can be seen from outside."""
    states: dict[str, Counter[str]] = {}
    accepted_ids: dict[str, set[object]] = {}
    for event in world.broker.statuses:
        data = event["data"]
        assert isinstance(data, dict)
        email_id = data["email_id"]
        states.setdefault(email_id, Counter())[str(event["type"])] += 1
        if event["type"] == "crm.email.accepted.v1":
            accepted_ids.setdefault(email_id, set()).add(event["id"])
    for number in range(world.plan.requests):
        email_id = f"mail-{number}"
        left = len(world.exchange.left.get(stamp_of(SOURCE, f"event-{number}"), []))
        seen = states.get(email_id, Counter())
        assert left <= 1, f"I1: {left} mails left for {email_id}"
        assert not (seen["crm.email.accepted.v1"] and not left), f"I2: {email_id} accepted, and none left"
        assert not (seen["crm.email.failed.v1"] and left), f"I3: {email_id} failed, and a mail left"
        if email_id not in world.refused and not world.may_give_up:
            # For a refused request it is possible: a worker dies between retiring its draft and reporting, and a
            # delivery that remembers the draft can only say that it is gone. Safe, and left to a person.
            assert not seen["crm.email.unresolved.v1"], f"I6: {email_id} unresolved without interference"
        assert len(accepted_ids.get(email_id, ())) <= 1, f"{email_id} has several accepted events"
        assert seen.keys() - {"crm.email.deferred.v1"}, f"L: {email_id} never came to an end: {seen}"
        assert not (left and email_id in world.missing), f"{email_id} left without its file"
        given_up = world.may_give_up and seen["crm.email.unresolved.v1"]
        if email_id not in world.refused | world.expiring | world.missing and not given_up:
            assert left == 1, f"L: {email_id} never left"
