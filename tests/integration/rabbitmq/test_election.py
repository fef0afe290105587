"""Who schedules: one of all workers, another one at once when that one is gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime

import aio_pika
import pytest

from tests.integration.rabbitmq.watching import SECONDS, Queues
from tests.integration.rabbitmq.wire import wired
from worker.clock import SystemClock
from worker.rabbitmq import topology
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.connection import BrokerConnection
from worker.rabbitmq.election import RENEW_SECONDS, elect
from worker.rabbitmq.session import Session, connect
from worker.service import ended


class SteppingClock(SystemClock):
    """Its sleeps end when the test says so."""

    def __init__(self) -> None:
        self.asleep: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        assert seconds == RENEW_SECONDS
        over = asyncio.Event()
        await self.asleep.put(over)
        await over.wait()

    def now(self) -> datetime:
        raise AssertionError("no dates here")


@dataclass
class Office:
    """What a worker does while it is the scheduler, as the test sees it."""

    terms: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    heard: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    async def term(self, reports: AsyncIterator[bytes]) -> None:
        await self.terms.put("begun")
        try:
            async for report in reports:
                await self.heard.put(report)
        finally:
            self.terms.put_nowait("ended")

    async def next(self) -> str:
        async with asyncio.timeout(SECONDS):
            return await self.terms.get()

    async def report(self) -> bytes:
        async with asyncio.timeout(SECONDS):
            return await self.heard.get()


@contextlib.asynccontextmanager
async def standing(session: Session, office: Office, clock: SystemClock | None = None) -> AsyncIterator[None]:
    """A worker that stands for election over this session, until the end of the block."""
    electing = asyncio.create_task(elect(session, office.term, clock or SystemClock()))
    try:
        yield
        session.stopping.set()
        async with asyncio.timeout(SECONDS):
            await electing
    finally:
        electing.cancel()
        await asyncio.gather(electing, return_exceptions=True)


@contextlib.asynccontextmanager
async def worker(url: str, office: Office) -> AsyncIterator[BrokerConnection]:
    """One with a connection that is made again when it is lost."""
    connection = BrokerConnection(BrokerAddress.parse(url), SystemClock(), name="test")
    running = asyncio.create_task(connection.run(lambda session: elect(session, office.term, SystemClock())))
    try:
        yield connection
        connection.stop()
        async with asyncio.timeout(SECONDS):
            await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_stopping_the_scheduler_hands_over_at_once(amqp_url: str, queues: Queues) -> None:
    """Its session goes on meanwhile, as one does that ends the mail under way."""
    address = BrokerAddress.parse(amqp_url)
    first, second = Office(), Office()
    async with connect(address, name="first") as session, connect(address, name="second") as other:
        async with standing(session, first):
            assert await first.next() == "begun"
            async with standing(other, second):
                await queues.reach(topology.SCHEDULER, 1)  # the token that the second one offers
                assert second.terms.empty()
                session.stopping.set()
                assert await first.next() == "ended"
                assert await second.next() == "begun"
                assert not session.lost.done()
        assert await second.next() == "ended"
    await queues.reach(topology.SCHEDULER, 1)


@pytest.mark.parametrize("how", ["cut", "freeze"])
async def test_when_the_scheduler_is_lost_another_takes_over(amqp_url: str, how: str, queues: Queues) -> None:
    """A worker that is killed is cut off; one that hangs falls silent, which its heartbeat tells."""
    first, second = Office(), Office()
    async with wired(amqp_url) as (wire, url), worker(f"{url}?heartbeat=1", first):
        assert await first.next() == "begun"
        async with worker(amqp_url, second):
            await queues.reach(topology.SCHEDULER, 1)
            (wire.cut if how == "cut" else wire.freeze)()
            assert await second.next() == "begun"
            wire.thaw()
            assert await first.next() == "ended"
        assert await first.next() == "begun"


async def test_many_at_once_take_turns(amqp_url: str) -> None:
    offices = [Office() for _ in range(5)]
    async with contextlib.AsyncExitStack() as workers:
        connections = {id(each): await workers.enter_async_context(worker(amqp_url, each)) for each in offices}
        while offices:
            beginning = {asyncio.create_task(each.next()): each for each in offices}
            (first,), others = await asyncio.wait(beginning, return_when=asyncio.FIRST_COMPLETED)
            scheduler = beginning[first]
            assert (first.result(), {each.done() for each in others}) == ("begun", {False} if others else set())
            await ended(*others)
            assert all(each.terms.empty() for each in offices)
            connections[id(scheduler)].stop()
            assert await scheduler.next() == "ended"
            offices.remove(scheduler)


async def test_the_token_is_renewed_and_the_term_goes_on(session: Session, queues: Queues) -> None:
    office, clock = Office(), SteppingClock()
    async with standing(session, office, clock):
        assert await office.next() == "begun"
        for _ in range(3):
            await queues.put(topology.SCHEDULER, aio_pika.Message(b"offered by a worker that starts", delivery_mode=2))
            async with asyncio.timeout(SECONDS):
                (await clock.asleep.get()).set()
        async with asyncio.timeout(SECONDS):
            await clock.asleep.get()
        assert office.terms.empty()
        await queues.reach(topology.SCHEDULER, 0)
    await queues.reach(topology.SCHEDULER, 1)


async def test_what_a_term_raises_comes_out(session: Session) -> None:
    async def term(_reports: AsyncIterator[bytes]) -> None:
        raise LookupError("a defect")

    with pytest.raises(LookupError, match="a defect"):
        await elect(session, term, SystemClock())


async def test_a_scheduler_that_resigns_is_followed_by_another(amqp_url: str, session: Session) -> None:
    async def term(_reports: AsyncIterator[bytes]) -> None:
        """Returns at once."""

    office = Office()
    async with asyncio.timeout(SECONDS):
        await elect(session, term, SystemClock())
    async with worker(amqp_url, office):
        assert await office.next() == "begun"
        assert not session.lost.done()


async def test_reports_reach_the_scheduler_and_the_one_after_it(amqp_url: str, queues: Queues) -> None:
    first, second = Office(), Office()
    await queues.put(topology.REPORTS, aio_pika.Message(b"1"))
    async with worker(amqp_url, first):
        assert await first.report() == b"1"
        await queues.put(topology.REPORTS, aio_pika.Message(b"2"))
        assert await first.report() == b"2"
    await queues.put(topology.REPORTS, aio_pika.Message(b"3"))
    async with worker(amqp_url, second):
        assert await second.report() == b"3"
    await queues.reach(topology.REPORTS, 0)
    assert second.heard.empty()
