"""Connections that are refused, cut or lost with their broker, and what a worker is left with."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime

import aio_pika
import pytest

from scripts.eventually import eventually
from scripts.private_broker import PrivateBroker
from tests.integration.rabbitmq.watching import SECONDS, Inbox, Queues, outbound
from tests.integration.rabbitmq.wire import wired
from tests.node import started
from worker.clock import SystemClock
from worker.events.broker import Unconfirmed
from worker.metrics import REGISTRY
from worker.rabbitmq import topology
from worker.rabbitmq.address import BrokerAddress, Unavailable
from worker.rabbitmq.broker import Publisher, RabbitBroker
from worker.rabbitmq.connection import BrokerConnection
from worker.rabbitmq.consumer import consume
from worker.rabbitmq.fleet import Asker
from worker.rabbitmq.frames import Frames
from worker.rabbitmq.session import CLOSE_SECONDS, Session, connect


class ImpatientClock(SystemClock):
    """Never sleeps; remembers how long it was asked to."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def jitter(self) -> float:
        return 1.0

    def now(self) -> datetime:
        raise AssertionError("no dates here")


class SlowClock(ImpatientClock):
    """Between any two looks at it half a minute has passed."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = itertools.count(0.0, 30.0)

    def monotonic(self) -> float:
        return next(self._seconds)


class Sessions:
    """A worker's side: hands out each session its `BrokerConnection` gets, and waits with it."""

    def __init__(self) -> None:
        self._begun: asyncio.Queue[Session] = asyncio.Queue()
        self.cancelled = 0

    async def work(self, session: Session) -> None:
        await self._begun.put(session)
        try:
            await session.stopping.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def next(self) -> Session:
        async with asyncio.timeout(SECONDS):
            return await self._begun.get()


@contextlib.asynccontextmanager
async def running(
    connection: BrokerConnection, work: Callable[[Session], Awaitable[None]]
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(connection.run(work))
    try:
        yield task
        connection.stop()
        async with asyncio.timeout(SECONDS):
            await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def to(url: str) -> BrokerConnection:
    return BrokerConnection(BrokerAddress.parse(url), SystemClock(), name="test")


def up(connection: BrokerConnection) -> bool:
    return connection.connected


async def until(condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return condition()

    await eventually(holds, SECONDS)


async def test_a_cut_wire_ends_the_session_and_a_new_one_begins(amqp_url: str) -> None:
    sessions = Sessions()
    async with wired(amqp_url) as (wire, url):
        connection = to(url)
        assert not up(connection)
        async with running(connection, sessions.work):
            first = await sessions.next()
            assert up(connection)
            wire.cut()
            second = await sessions.next()
            assert first is not second
            assert first.lost.done()
            assert sessions.cancelled == 1, "the work of a lost session goes on"
            assert up(connection)
    assert not up(connection)


async def test_what_was_not_settled_comes_again_after_a_cut(amqp_url: str) -> None:
    inboxes: asyncio.Queue[Inbox] = asyncio.Queue()

    async def work(session: Session) -> None:
        inbox = Inbox()
        await inboxes.put(inbox)
        await consume(session, outbound(inbox.take, 5))

    async with wired(amqp_url) as (wire, url), running(to(url), work):
        async with connect(BrokerAddress.parse(amqp_url), name="publisher") as session:
            broker = RabbitBroker(await Publisher.open(session))
            await broker.publish("email.send", b"1", "1")
            await broker.publish("email.send", b"2", "2")
        inbox = await inboxes.get()
        settled, unsettled = await inbox.next(), await inbox.next()
        await settled.ack()
        async with watching(amqp_url) as queues:
            await queues.reach(topology.OUTBOUND, 0)
        wire.cut()
        inbox = await inboxes.get()
        again = await inbox.next()
        assert (again.body, again.redelivered) == (b"2", True)
        with pytest.raises(Unconfirmed):
            await unsettled.ack()
        await unsettled.give_back()
        await again.ack()


async def test_a_publish_on_a_wire_that_is_cut_is_unconfirmed(amqp_url: str) -> None:
    async with (
        wired(amqp_url) as (wire, url),
        connect(BrokerAddress.parse(url), name="test") as session,
    ):
        broker = RabbitBroker(await Publisher.open(session))
        wire.freeze()  # the request leaves, the answer never comes
        publishing = [asyncio.create_task(broker.publish("email.accepted", b"{}", str(n))) for n in range(50)]
        await asyncio.sleep(0)
        wire.cut()
        async with asyncio.timeout(SECONDS):
            answers = await asyncio.gather(*publishing, return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unconfirmed}
        async with asyncio.timeout(SECONDS):
            await session.lost
        with pytest.raises(Unconfirmed):
            await broker.publish("email.accepted", b"{}", "later")


async def test_a_publish_that_is_not_confirmed_in_time_is_unconfirmed(amqp_url: str) -> None:
    async with (
        wired(amqp_url) as (wire, url),
        connect(BrokerAddress.parse(url), name="test") as session,
    ):
        channel = await (await session.channel()).get_underlay_channel()
        broker = RabbitBroker(Publisher(session, Frames(channel, confirm_seconds=0.2)))

        async def confirmed() -> bool:
            """A disk may take longer than that."""
            try:
                await broker.publish("email.accepted", b"{}", "carried")
            except Unconfirmed:
                return False
            return True

        await eventually(confirmed, SECONDS)
        wire.freeze()
        for turn in range(2):
            with pytest.raises(Unconfirmed, match="did not confirm"):
                await asyncio.gather(*(broker.publish("email.accepted", b"{}", f"{turn} {n}") for n in range(5)))
        given_up = asyncio.create_task(broker.publish("email.accepted", b"{}", "given up"))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        wire.thaw()
        await eventually(confirmed, SECONDS)
        assert not session.lost.done()


async def test_a_wire_that_carries_nothing_any_more_is_noticed(amqp_url: str) -> None:
    """Nobody closes such a connection: only the heartbeat tells. It takes three of them."""
    sessions = Sessions()
    async with wired(amqp_url) as (wire, url), running(to(f"{url}?heartbeat=1"), sessions.work):
        session = await sessions.next()
        broker = RabbitBroker(await Publisher.open(session))
        wire.freeze()
        with pytest.raises(Unconfirmed):
            await broker.publish("email.accepted", b"{}", "1")
        await until(session.lost.done)
        wire.thaw()
        await sessions.next()


async def test_a_wire_that_takes_nothing_does_not_hold_up_the_end(amqp_url: str) -> None:
    """What is still to be written is given up, as the connection is."""
    async with wired(amqp_url) as (wire, url), asyncio.timeout(2 * CLOSE_SECONDS):
        async with connect(BrokerAddress.parse(url), name="test") as session:
            broker = RabbitBroker(await Publisher.open(session))
            wire.freeze()
            body = bytes(2**20)
            publishing = [asyncio.create_task(broker.publish("email.accepted", body, str(n))) for n in range(30)]
            await wire.held.wait()
        answers = await asyncio.gather(*publishing, return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unconfirmed}


async def test_a_burst_of_acks_right_before_the_end_is_not_lost(amqp_url: str) -> None:
    inbox = Inbox()
    async with watching(amqp_url) as queues:
        async with connect(BrokerAddress.parse(amqp_url), name="test") as session:
            for number in range(1000):
                await queues.put(topology.OUTBOUND, aio_pika.Message(str(number).encode(), delivery_mode=2))
            consuming = asyncio.create_task(consume(session, outbound(inbox.take, 1000)))
            deliveries = [await inbox.next() for _ in range(1000)]
            session.stopping.set()
            await consuming
            await asyncio.gather(*(delivery.ack() for delivery in deliveries))
        await queues.consumers(topology.OUTBOUND, 0)
        assert await queues.count(topology.OUTBOUND) == 0


@pytest.mark.parametrize("clock", [ImpatientClock(), SlowClock()], ids=["refused at once", "not answered for long"])
async def test_a_broker_that_comes_later_is_waited_for(amqp_url: str, clock: ImpatientClock) -> None:
    sessions = Sessions()
    async with wired(amqp_url) as (wire, url):
        await wire.unplug()
        connection = BrokerConnection(BrokerAddress.parse(url), clock, name="test")
        async with running(connection, sessions.work):
            await until(lambda: len(clock.slept) > 8)
            assert not up(connection)
            assert clock.slept[:8] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
            await wire.plug_in()
            await sessions.next()
            assert up(connection)


async def test_stopped_while_there_is_no_broker_it_ends_at_once(amqp_url: str) -> None:
    async with wired(amqp_url) as (wire, url):
        await wire.unplug()
        async with running(to(url), Sessions().work):
            await asyncio.sleep(0)


async def test_a_defect_in_the_work_comes_out(amqp_url: str) -> None:
    async def work(session: Session) -> None:
        raise LookupError("a defect")

    with pytest.raises(LookupError, match="a defect"):
        await to(amqp_url).run(work)


async def test_a_defect_in_what_takes_deliveries_comes_out(amqp_url: str) -> None:
    async def take(delivery: object) -> None:
        raise LookupError("a defect")

    async with connect(BrokerAddress.parse(amqp_url), name="publisher") as session:
        await RabbitBroker(await Publisher.open(session)).publish("email.send", b"1", "1")
    with pytest.raises(ExceptionGroup) as caught:
        await to(amqp_url).run(lambda session: consume(session, outbound(take, 5)))
    assert caught.group_contains(LookupError, match="a defect")
    async with watching(amqp_url) as queues:
        await queues.reach(topology.OUTBOUND, 1)


async def test_a_queue_deleted_under_a_consumer_is_made_again(amqp_url: str) -> None:
    sessions = Sessions()

    async def work(session: Session) -> None:
        consuming = asyncio.create_task(consume(session, outbound(Inbox().take, 5)))
        try:
            await sessions.work(session)
        finally:
            consuming.cancel()
            await asyncio.gather(consuming, return_exceptions=True)

    async with watching(amqp_url) as queues, running(to(amqp_url), work):
        session = await sessions.next()
        await queues.consumers(topology.BULK, 1)
        await queues.channel.queue_delete(topology.BULK)
        assert "cancelled consuming crm.mail.outbound.bulk" in await session.lost
        await sessions.next()
        assert await queues.count(topology.BULK) == 0


@pytest.mark.parametrize(
    ("change", "cause", "remedy"),
    [
        (("guest:guest", "guest:wr0ng"), "refused to sign in the user 'guest'", "correct user and password"),
        (("guest:guest", "nobody:wr0ng"), "refused to sign in the user 'nobody'", "correct user and password"),
        (("/test-", "/nowhere-"), "does not let the user 'guest' into the vhost 'nowhere-", "make the vhost"),
        (("127.0.0.1", "127.0.0.2"), "cannot be reached: ", "that RabbitMQ runs"),
        (("127.0.0.1", "nowhere.invalid"), "cannot be reached: ", "that RabbitMQ runs"),
    ],
)
async def test_why_not_is_told_with_a_remedy(amqp_url: str, change: tuple[str, str], cause: str, remedy: str) -> None:
    url = amqp_url.replace(*change)
    if url == amqp_url:
        pytest.skip("the given broker's URL is another one")
    with pytest.raises(Unavailable) as caught:
        async with connect(BrokerAddress.parse(url), name="test"):
            pass
    told = str(caught.value)
    assert cause in told
    assert remedy in told
    assert "wr0ng" not in told
    assert "\n" not in told
    assert "Errno" not in told


async def test_something_else_than_a_broker_is_told(amqp_url: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match=r"does not answer in AMQP 0-9-1\. Remedy: check host, port"):
            async with connect(BrokerAddress.parse(f"amqp://127.0.0.1:{port}"), name="test"):
                pass


async def test_a_queue_that_is_a_different_one_is_told(amqp_url: str) -> None:
    async with watching(amqp_url) as queues:
        await queues.channel.declare_queue(topology.DEAD, durable=True)
    with pytest.raises(Unavailable, match=r"different one: .*crm\.mail\.dead.* Remedy: delete it, or give the CRM"):
        async with connect(BrokerAddress.parse(amqp_url), name="test"):
            pass


@pytest.fixture(scope="module")
def node() -> Iterator[PrivateBroker]:
    with started() as broker:
        yield broker


async def test_a_broker_short_of_memory_is_noticed_and_waited_for(node: PrivateBroker) -> None:
    sessions = Sessions()
    connection = to(node.url)
    async with running(connection, sessions.work):
        broker = RabbitBroker(await Publisher.open(await sessions.next()))
        await asyncio.to_thread(node.control, "set_vm_memory_high_watermark", "absolute", "1")
        try:
            publishing = asyncio.create_task(broker.publish("email.accepted", b"{}", "1"))
            await until(lambda: REGISTRY.get_sample_value("mailrouter_broker_blocked") == 1.0)
            assert up(connection)
            assert not publishing.done()
        finally:
            await asyncio.to_thread(node.control, "set_vm_memory_high_watermark", "0.4")
        await until(lambda: REGISTRY.get_sample_value("mailrouter_broker_blocked") == 0.0)
        async with asyncio.timeout(SECONDS):
            await publishing


async def test_who_asks_a_broker_short_of_memory_does_not_wait_for_long(node: PrivateBroker) -> None:
    """It takes one message from each connection, and reads nothing more."""
    async with connect(BrokerAddress.parse(node.url), name="test") as session:
        asker = await Asker.open(session)
        await asyncio.to_thread(node.control, "set_vm_memory_high_watermark", "absolute", "1")
        try:
            async with asyncio.timeout(SECONDS):
                state = await asker.ask()
                with pytest.raises(TimeoutError):
                    await asker.ask()
        finally:
            await asyncio.to_thread(node.control, "set_vm_memory_high_watermark", "0.4")
    assert state.workers == ()
    assert topology.OUTBOUND in {each.name for each in state.queues}


async def test_everything_survives_the_broker_killed_and_restarted(node: PrivateBroker) -> None:
    sessions = Sessions()
    connection = to(node.url)
    async with running(connection, sessions.work):
        session = await sessions.next()
        broker = RabbitBroker(await Publisher.open(session))
        await broker.publish("email.send", b"waiting", "1")
        await broker.publish("email.received", b"event", "2")
        inbox = Inbox()
        consuming = asyncio.create_task(consume(session, outbound(inbox.take, 5)))
        delivery = await inbox.next()
        await broker.park(delivery, 1, {"x-attempts": 7})
        await asyncio.to_thread(node.kill)
        await until(lambda: not up(connection))
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
        await asyncio.to_thread(node.restart)

        session = await sessions.next()
        inbox = Inbox()
        consuming = asyncio.create_task(consume(session, outbound(inbox.take, 5)))
        came = [await inbox.next(), await inbox.next()]
        assert [each.body for each in came] == [b"waiting", b"waiting"], "neither the message nor its parked copy"
        assert {each.headers.get("x-attempts") for each in came} == {None, 7}
        async with watching(node.url) as queues:
            assert (await queues.get(topology.INBOUND)).body == b"event"
        connection.stop()
        await consuming


@contextlib.asynccontextmanager
async def watching(url: str) -> AsyncIterator[Queues]:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        yield Queues(channel)
