"""How much is in hand at once: by count, by bytes, and nothing new while the broker takes nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aio_pika

from tests.integration.rabbitmq.watching import SECONDS, Inbox, Queues
from worker.events.broker import Delivery
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.consumer import Load, consume
from worker.rabbitmq.session import Session, connect
from worker.rabbitmq.topology import OUTBOUND
from worker.service import ended

KIB = 1024


class Hand:
    """Keeps what it takes until it is told to settle."""

    def __init__(self) -> None:
        self.held: list[Delivery] = []
        self.most_bytes = self.most = 0
        self.changed = asyncio.Condition()

    async def take(self, delivery: Delivery) -> None:
        async with self.changed:
            self.held.append(delivery)
            self.most = max(self.most, len(self.held))
            self.most_bytes = max(self.most_bytes, sum(len(each.body) for each in self.held))
            self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS), self.changed:
            await self.changed.wait_for(condition)


@asynccontextmanager
async def consuming(url: str, hand: Hand | Inbox, most_bytes: int) -> AsyncIterator[Session]:
    async with connect(BrokerAddress.parse(url), name="consumer") as session:
        task = asyncio.create_task(consume(session, {OUTBOUND: (20, hand.take)}, most_bytes))
        try:
            yield session
        finally:
            session.stopping.set()
            await asyncio.wait([task], timeout=SECONDS)
            await ended(task)


async def test_no_more_bytes_than_allowed_and_nothing_is_left(amqp_url: str, queues: Queues) -> None:
    hand = Hand()
    async with consuming(amqp_url, hand, 10 * KIB):
        for number in range(15):
            await queues.put(OUTBOUND, aio_pika.Message(bytes(4 * KIB), message_id=str(number)))
        settled: set[str] = set()
        while len(settled) < 15:
            await hand.until(lambda: bool(hand.held))
            delivery = hand.held.pop()
            await delivery.ack()
            settled.add(delivery.message_id)
    assert hand.most_bytes <= 10 * KIB
    assert hand.most == 2


async def test_one_that_is_larger_than_all_may_be_is_taken_alone(amqp_url: str, queues: Queues) -> None:
    hand = Hand()
    async with consuming(amqp_url, hand, KIB):
        await queues.put(OUTBOUND, aio_pika.Message(bytes(4 * KIB)))
        await hand.until(lambda: bool(hand.held))
        await hand.held.pop().ack()


async def test_nothing_is_begun_while_the_broker_takes_nothing(amqp_url: str, queues: Queues) -> None:
    inbox = Inbox()
    async with consuming(amqp_url, inbox, KIB) as session:
        session.flowing.clear()
        await queues.put(OUTBOUND, aio_pika.Message(b"{}"))
        while (await queues.channel.declare_queue(OUTBOUND, passive=True)).declaration_result.message_count:
            assert inbox.empty
        assert inbox.empty
        session.flowing.set()
        await (await inbox.next()).ack()


async def test_nothing_is_begun_that_comes_after_the_session_was_given_up(amqp_url: str, queues: Queues) -> None:
    inbox = Inbox()
    async with consuming(amqp_url, inbox, KIB) as session:
        await queues.consumers(OUTBOUND, 1)
        session.end("somebody found it of no use")
        await queues.put(OUTBOUND, aio_pika.Message(b"{}"))
        await queues.reach(OUTBOUND, 0)
    assert inbox.empty


def test_after_what_was_too_much_fewer_are_taken_at_once() -> None:
    load = Load(10 * KIB)
    assert load.take(4 * KIB)
    assert load.take(4 * KIB)
    assert not load.take(4 * KIB)
    assert load.heavy.is_set()
    assert load.smaller(20) == 1
    load.settle(4 * KIB)
    assert load.light.is_set()
