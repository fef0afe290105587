"""One connection to the broker, from its beginning to its end.

What belongs to it lives in a `Session` and ends with it: channels, delivery tags, unacked deliveries.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

import aio_pika
import aiormq.abc
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.connection import make_url
from aiormq.abc import DeliveredMessage
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from worker.rabbitmq import topology
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.lost import LOST, closing_told, explained, told
from worker.rabbitmq.unreadable import replace_unreadable

OPEN_SECONDS: Final = 15.0
CLOSE_SECONDS: Final = 5.0
HUNG_UP_SECONDS: Final = 1.0
"""A connection that did not close in order is cut; what it consists of notices within this time."""

Deliver = Callable[[DeliveredMessage], Coroutine[Any, Any, None]]

# What it reports as errors are lost connections; they are told here, in one line with the remedy.
logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)
replace_unreadable()


class Session:
    """One connection from its beginning to its end. `stopping` is set when the work is to come to an end; `flowing`
    while the broker takes messages.
    """

    def __init__(self, connection: AbstractConnection, stopping: asyncio.Event) -> None:
        self._connection = connection
        self.stopping = stopping
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._consumed: set[tuple[aiormq.abc.AbstractChannel, str]] = set()
        connection.close_callbacks.add(self._closed)

    async def channel(self, prefetch: int = 0) -> AbstractChannel:
        """A channel with confirms; an unroutable message raises. When it closes, the session is over.

        Raises one of `LOST`.
        """
        with closing_told():
            async with asyncio.timeout(OPEN_SECONDS):
                channel = await self._connection.channel(on_return_raises=True)
                channel.close_callbacks.add(self._closed)
                if prefetch:
                    await channel.set_qos(prefetch)
        return channel

    async def consume(self, channel: aiormq.abc.AbstractChannel, queue: str, deliver: Deliver) -> str:
        """Begin to consume; the consumer's tag. Raises one of `LOST`."""
        self._consumed.add((channel, queue))
        return await _begin(channel, queue, deliver)

    async def release(self, channel: AbstractChannel) -> None:
        """Close one channel in good order. What is not settled on it goes back at once. Raises one of `LOST`."""
        channel.close_callbacks.discard(self._closed)
        underlay = await channel.get_underlay_channel()
        self._consumed = {each for each in self._consumed if each[0] is not underlay}
        with closing_told():
            async with asyncio.timeout(CLOSE_SECONDS):
                await channel.close()

    async def flush(self) -> None:
        """Return when the queues have taken every ack.

        Acks have no answer. Of a burst of them, a channel of RabbitMQ sends a part to a quorum queue and keeps the rest
        until the queue has taken that part; what it keeps is lost when the channel closes. Beginning and cancelling a
        consumer goes the same way and is answered: once for the part that was sent, once for the rest.
        """
        for channel, queue in self._consumed:
            await channel.basic_qos(prefetch_count=1)
            for _ in range(2):
                await channel.basic_cancel(await _begin(channel, queue, _ignore))

    def end(self, cause: str) -> None:
        """Give the session up: somebody found it of no use."""
        if not self.lost.done():
            self.lost.set_result(cause)

    async def blocked(self) -> bool:
        """Whether the broker takes no messages for now, being short of memory or disk."""
        transport = self._connection.transport
        if transport is None:
            return False
        try:
            async with asyncio.timeout(0.05):  # returns at once unless blocked
                await transport.ready()
        except TimeoutError:
            return True
        return False

    def _closed(self, _closed: object, cause: BaseException | None) -> None:
        self.end(told(cause))


@contextlib.asynccontextmanager
async def connect(
    address: BrokerAddress, *, name: str, stopping: asyncio.Event | None = None
) -> AsyncIterator[Session]:
    """One session with the topology declared; closed at the end. Raises Unavailable where that cannot be had."""
    line = _Line()
    connection = await _opened(address, name, line)
    try:
        await _declared(connection, address)
        session = Session(connection, stopping or asyncio.Event())
        yield session
        if not session.lost.done():
            with contextlib.suppress(*LOST), closing_told():
                async with asyncio.timeout(CLOSE_SECONDS):
                    await session.flush()
    finally:
        closing = asyncio.gather(connection.close(), return_exceptions=True)
        try:
            await asyncio.wait((closing,), timeout=CLOSE_SECONDS)
        finally:
            line.hang_up()
            await asyncio.wait((closing,), timeout=HUNG_UP_SECONDS)


class _Line(TransportFactory):
    """What is under a connection, to be cut. aiormq closes one only when all is written, even where it is cancelled
    meanwhile, and a broker that is short of memory reads nothing.
    """

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **options: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, self._writer = await factory.create(url, **options)
        return reader, self._writer

    def hang_up(self) -> None:
        """At once, whatever is not written yet."""
        if self._writer is not None:
            self._writer.transport.abort()


async def _opened(address: BrokerAddress, name: str, line: _Line) -> AbstractConnection:
    connection = aio_pika.Connection(make_url(address.connectable(name)), ssl_context=address.tls())
    connection.kwargs["transport_factory"] = line
    try:
        with closing_told():
            async with asyncio.timeout(OPEN_SECONDS):
                await connection.connect()
    except BaseException as error:
        await connection.close()  # else it tries that when it is collected, perhaps where there is no event loop
        if isinstance(error, LOST):
            raise explained(error, address) from error
        raise
    return connection


async def _declared(connection: AbstractConnection, address: BrokerAddress) -> None:
    try:
        with closing_told():
            async with asyncio.timeout(OPEN_SECONDS), connection.channel() as channel:
                await topology.declare(channel)
    except LOST as error:
        raise explained(error, address) from error


async def _begin(channel: aiormq.abc.AbstractChannel, queue: str, deliver: Deliver) -> str:
    begun = await channel.basic_consume(queue, deliver)
    assert begun.consumer_tag is not None
    return begun.consumer_tag


async def _ignore(_message: DeliveredMessage) -> None:
    """It goes back when the channel closes."""
