"""A connection to the broker that is made again whenever it is lost.

What belongs to one connection lives in a `Session` and ends with it: channels, delivery tags, unacked deliveries. A
reconnect begins with nothing, and the broker gives again what was not settled. (aio-pika's robust connections restore
channels and consumers by themselves; an ack with a delivery tag of the connection before would then settle something
else, so they are not used.)
"""

import asyncio
import contextlib
import logging
import os
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar

import aio_pika
import aiormq.abc
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.connection import make_url
from aio_pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    AuthenticationError,
    ChannelInvalidStateError,
    ChannelPreconditionFailed,
    IncompatibleProtocolError,
    InvalidFrameError,
    ProbableAuthenticationError,
    ProtocolSyntaxError,
)
from aiormq.abc import DeliveredMessage
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from aiormq.exceptions import ChannelAccessRefused
from yarl import URL

from worker import metrics
from worker.clock import Clock
from worker.events.broker import Unconfirmed
from worker.rabbitmq import topology
from worker.rabbitmq.address import VARIABLE, BrokerAddress, Unavailable
from worker.rabbitmq.unreadable import replace_unreadable

FIRST_DELAY_SECONDS: Final = 0.2
LAST_DELAY_SECONDS: Final = 10.0
SETTLED_SECONDS: Final = 10.0
"""A session that lasted so long was a good one: the back-off starts anew."""

OPEN_SECONDS: Final = 15.0
CLOSE_SECONDS: Final = 5.0
HUNG_UP_SECONDS: Final = 1.0
"""A connection that did not close in order is cut; what it consists of notices within this time."""

LOOK_SECONDS: Final = 1.0

LOST: Final = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError)
"""What aio-pika and aiormq raise when connection or channel are gone or do not answer."""

_CONNECTING: Final = re.compile(r"\[Errno (\d+)\] Connect call failed")
_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")

Answer = TypeVar("Answer")
Deliver = Callable[[DeliveredMessage], Coroutine[Any, Any, None]]

_log = structlog.get_logger("broker")

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


class BrokerConnection:
    """Keeps a session going until told to stop. `connected` is for whoever reports on health."""

    def __init__(self, address: BrokerAddress, clock: Clock, *, name: str) -> None:
        self._address = address
        self._clock = clock
        self._name = name
        self._stopping = asyncio.Event()
        self.connected = False

    def stop(self) -> None:
        """End in order: sessions see `stopping`; `run` returns when the work has, or at once while there is none."""
        self._stopping.set()

    async def run(self, work: Callable[[Session], Awaitable[None]]) -> None:
        """Do `work` over a session, again with a new one whenever it was lost, until `work` returns.

        When a session is lost, its work is cancelled and has ended before the next one begins. What `work` raises,
        other than that the session was lost, is a defect and comes out here.
        """
        failures = 0
        last_cause = ""
        while not self._stopping.is_set():
            began: float | None = None
            try:
                async with connect(self._address, name=self._name, stopping=self._stopping) as session:
                    _log.info("broker connected", broker=str(self._address))
                    began, last_cause = self._clock.monotonic(), ""
                    await self._work(session, work)
                    return
            except Unavailable as error:
                if error.cause != last_cause and not self._stopping.is_set():  # else it is nobody's trouble any more
                    _log.warning("broker lost", broker=str(self._address), cause=error.cause, remedy=error.remedy)
                last_cause = error.cause
            if began is not None and self._clock.monotonic() - began > SETTLED_SECONDS:
                failures = 0
            await self._pause(failures)
            failures += 1

    async def _work(self, session: Session, work: Callable[[Session], Awaitable[None]]) -> None:
        """Returns when `work` did; raises Unavailable when the session was lost first."""
        task = asyncio.ensure_future(work(session))
        watch = asyncio.create_task(self._watch(session))
        self._report(connected=True)
        try:
            await asyncio.wait((task, watch, session.lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._report(connected=False)
            await ended(task, watch)
        for each in (task, watch):
            error = None if each.cancelled() else each.exception()
            if error is not None and not _is_loss(error):
                raise error
            if error is not None:
                session.end(told(error))
        if task.cancelled() or session.lost.done():
            raise Unavailable(f"the connection was lost: {session.lost.result()}", "none, it is tried again")

    async def _watch(self, session: Session) -> None:
        """aio-pika does not tell that the broker has blocked the connection: it must be asked."""
        while True:
            blocked = await session.blocked()
            if blocked == session.flowing.is_set():
                metrics.broker_blocked.set(blocked)
                session.flowing.clear() if blocked else session.flowing.set()
                _log.warning(
                    "broker takes no messages: it is short of memory or disk" if blocked else "broker goes on",
                    broker=str(self._address),
                )
            await self._clock.sleep(LOOK_SECONDS)

    def _report(self, *, connected: bool) -> None:
        self.connected = connected
        metrics.broker_connected.set(connected)
        metrics.broker_blocked.set(False)

    async def _pause(self, failures: int) -> None:
        delay = min(LAST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(failures, 10))
        sleep = asyncio.ensure_future(self._clock.sleep(delay * (0.5 + self._clock.jitter() / 2)))
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((sleep, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(sleep, stop)


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


async def _begin(channel: aiormq.abc.AbstractChannel, queue: str, deliver: Deliver) -> str:
    begun = await channel.basic_consume(queue, deliver)
    assert begun.consumer_tag is not None
    return begun.consumer_tag


async def _ignore(_message: DeliveredMessage) -> None:
    """It goes back when the channel closes."""


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
            raise _explained(error, address) from error
        raise
    return connection


async def _declared(connection: AbstractConnection, address: BrokerAddress) -> None:
    try:
        with closing_told():
            async with asyncio.timeout(OPEN_SECONDS), connection.channel() as channel:
                await topology.declare(channel)
    except LOST as error:
        raise _explained(error, address) from error


def _explained(error: BaseException, address: BrokerAddress) -> Unavailable:
    """The one table from what went wrong to what a person can do about it."""
    server, answer = address.server, told(error)
    match error:
        case ProbableAuthenticationError() | AuthenticationError():
            cause = f"{server} refused to sign in the user {address.user}: {answer}"
            remedy = f"correct user and password, or the client certificate, in {VARIABLE}"
        case ChannelAccessRefused():
            cause = f"the user {address.user} may not do what is needed in the vhost {address.vhost!r}: {answer}"
            remedy = "grant configure, write and read on 'crm[.]mail.*|amq[.]default'"
        case ChannelPreconditionFailed():
            cause = f"an exchange or queue is there already, but a different one: {answer}"
            remedy = "delete it, or give the CRM organisation a vhost of its own"
        case InvalidFrameError() if "Connection.Close" in answer:  # to opening the vhost; the text is lost in aiormq
            cause = f"{server} does not let the user {address.user} into the vhost {address.vhost!r}"
            remedy = "make the vhost, or grant the user access to it; RabbitMQ's log tells the reason"
        case (
            ProtocolSyntaxError()
            | IncompatibleProtocolError()
            | AMQPConnectionError(__cause__=asyncio.IncompleteReadError() | ConnectionResetError())
        ):
            cause = f"{server} does not answer in AMQP 0-9-1"
            remedy = f"check host, port and amqp:// or amqps:// in {VARIABLE}, and that RabbitMQ is not just stopping"
        case TimeoutError():
            cause = f"{server} does not answer"
            remedy = "check the address, firewalls and the state of RabbitMQ"
        case AMQPConnectionError(__cause__=ssl.SSLError() as refusal):
            cause = f"{server}: no TLS connection: {told(refusal)}"
            remedy = f"check cafile, certfile and keyfile in {VARIABLE}"
        case _:
            cause = f"{server} cannot be reached: {answer}"
            remedy = f"check {VARIABLE} and that RabbitMQ runs"
    return Unavailable(cause, remedy)


def _is_loss(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_loss(each) for each in error.exceptions)
    return isinstance(error, (*LOST, Unconfirmed))


def told(error: BaseException | None) -> str:
    """What an error says, in one line of bounded length."""
    if error is None:
        return "closed"
    if isinstance(error, BaseExceptionGroup):
        return told(error.exceptions[0])
    text = _CONNECTING.sub(lambda found: os.strerror(int(found[1])), " ".join(str(error).split()))
    text = _ERRNO.sub("", text) or ("no answer in time" if isinstance(error, TimeoutError) else "")
    return (text or type(error).__name__)[:500]


@contextlib.contextmanager
def closing_told() -> Iterator[None]:
    """Makes a lost connection one of `LOST`. aiormq answers what still waits for a channel that has closed with
    CancelledError or with a bare Exception: cancelled, the waiting task was not.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError("closed") from None
    except Exception as error:
        if type(error) is Exception:
            raise ConnectionResetError("closed") from error
        raise


async def unbroken(call: Coroutine[Any, Any, Answer]) -> Answer:
    """Do a call of the broker to its end, also where the caller is cancelled meanwhile: aiormq closes the channel of a
    call that was broken off, and with the channel the session goes, and with the session all work under way.
    """
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait((task,), timeout=CLOSE_SECONDS)
        await ended(task)
        raise


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what still runs, and wait until it has ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
