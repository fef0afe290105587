"""Tickets and reports over a real broker: none is lost with whoever had it in hand."""

import asyncio

import aio_pika
import pytest

from scripts.eventually import eventually
from tests.integration.rabbitmq.watching import SECONDS, Inbox, Queues
from tests.integration.rabbitmq.wire import wired
from worker.events.broker import Burial, Unconfirmed
from worker.rabbitmq import topology
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.broker import Publisher
from worker.rabbitmq.consumer import consume
from worker.rabbitmq.dead_letters import DeadLetters
from worker.rabbitmq.session import Session, connect
from worker.rabbitmq.tickets import RabbitFleet

BURIAL = Burial("unreadable", "ErrorItemCorrupt", "see the mail in Outlook", attempts=1, first_seen_at="2026-11-23")


@pytest.fixture
async def fleet(session: Session) -> RabbitFleet:
    return await RabbitFleet.open(session, await Publisher.open(session))


async def test_each_goes_to_its_queue(fleet: RabbitFleet, queues: Queues) -> None:
    await asyncio.gather(fleet.issue(b"poll"), fleet.issue(b"listen", listen=True), fleet.report(b"report"))
    assert (await queues.get(topology.POLLS)).body == b"poll"
    assert (await queues.get(topology.LISTENS)).body == b"listen"
    assert (await queues.get(topology.REPORTS)).body == b"report"


async def test_what_nobody_has_taken_is_recalled_and_nothing_else(
    session: Session, fleet: RabbitFleet, queues: Queues
) -> None:
    inbox = Inbox()
    await fleet.issue(b"taken")
    consuming = asyncio.create_task(consume(session, {topology.POLLS: (1, inbox.take)}))
    taken = await inbox.next()
    await asyncio.gather(*(fleet.issue(b"waiting", listen=listen) for listen in (True, False, False)))
    await queues.put(topology.ITEMS, aio_pika.Message(b"put back by a person", delivery_mode=2))

    async def both_wait() -> bool:
        return await fleet.waiting() == 2

    await eventually(both_wait, SECONDS)
    assert await fleet.recall() == 3
    assert await fleet.waiting() == 0
    await queues.reach(topology.ITEMS, 1)
    await taken.ack()
    session.stopping.set()
    await consuming
    await queues.reach(topology.POLLS, 0)


@pytest.mark.parametrize("call", ["recall", "waiting"])
async def test_one_that_is_cancelled_while_it_asks_costs_nobody_the_session(amqp_url: str, call: str) -> None:
    async with wired(amqp_url) as (wire, url), connect(BrokerAddress.parse(url), name="test") as session:
        fleet = await RabbitFleet.open(session, await Publisher.open(session))
        for steps in range(1, 9):  # wherever it is between asking and the answer, which does not come before
            wire.freeze()
            asking = asyncio.create_task(getattr(fleet, call)())
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            wire.thaw()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert await fleet.waiting() == 0
        assert not session.lost.done()


async def test_the_ticket_of_a_worker_that_dies_goes_to_another(
    amqp_url: str, fleet: RabbitFleet, queues: Queues
) -> None:
    first, second = Inbox(), Inbox()

    async def work(inbox: Inbox, session: Session) -> None:
        await consume(session, {topology.POLLS: (1, inbox.take)})

    await asyncio.gather(fleet.issue(b"1"), fleet.issue(b"2"))
    async with wired(amqp_url) as (wire, url), connect(BrokerAddress.parse(url), name="first") as doomed:
        dying = asyncio.create_task(work(first, doomed))
        held = await first.next()
        async with connect(BrokerAddress.parse(amqp_url), name="second") as session:
            surviving = asyncio.create_task(work(second, session))
            other = await second.next()
            await other.ack()
            wire.cut()
            again = await second.next()
            assert (again.body, again.redelivered) == (held.body, True)
            with pytest.raises(Unconfirmed):
                await held.ack()
            await again.ack()
            session.stopping.set()
            await surviving
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
    await queues.reach(topology.POLLS, 0)


async def test_a_ticket_that_a_stopping_worker_keeps_goes_back(
    amqp_url: str, fleet: RabbitFleet, queues: Queues
) -> None:
    inbox = Inbox()
    await fleet.issue(b"1")
    async with connect(BrokerAddress.parse(amqp_url), name="stopping") as session:
        consuming = asyncio.create_task(consume(session, {topology.POLLS: (1, inbox.take)}))
        await inbox.next()
        session.stopping.set()
        await consuming
        assert await queues.count(topology.POLLS) == 0
    await queues.reach(topology.POLLS, 1)


async def test_what_is_quarantined_is_issued_by_a_replay(amqp_url: str, fleet: RabbitFleet, queues: Queues) -> None:
    await fleet.quarantine(b"item", "item-1", BURIAL)
    async with connect(BrokerAddress.parse(amqp_url), name="dead") as session:
        (letter,) = [each async for each in DeadLetters(session).letters()]
    assert (letter.id, letter.reason, letter.queue, letter.body) == ("item-1", "unreadable", topology.ITEMS, b"item")
    async with connect(BrokerAddress.parse(amqp_url), name="dead") as session:
        assert (await DeadLetters(session).replay({"item-1"}, lambda: None)).done == 1
    assert (await queues.get(topology.ITEMS)).body == b"item"


async def test_without_a_queue_it_is_unconfirmed(fleet: RabbitFleet, queues: Queues) -> None:
    await queues.channel.queue_delete(topology.LISTENS)
    with pytest.raises(Unconfirmed, match="leads to no queue"):
        await fleet.issue(b"1", listen=True)
    with pytest.raises(Unconfirmed, match="no queue"):
        await fleet.recall()
