"""Takes messages out of queues, each over a channel with a prefetch of its own."""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping

from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from worker.events.broker import Delivery, Headers, Unconfirmed
from worker.rabbitmq.connection import LOST, Session, closing_told, told
from worker.rabbitmq.topology import BULK

Take = Callable[[Delivery], Awaitable[None]]


class Taken:
    """A message of the broker, as the port's `Delivery`. `properties` are all it came with."""

    def __init__(self, message: DeliveredMessage, channel: AbstractChannel, queue: str) -> None:
        self.queue = queue
        self.properties: Basic.Properties = message.header.properties
        self._channel = channel
        self._message = message
        self._settled = False

    @property
    def body(self) -> bytes:
        return self._message.body

    @property
    def headers(self) -> Headers:
        return self.properties.headers or {}

    @property
    def content_type(self) -> str:
        return self.properties.content_type or ""

    @property
    def message_id(self) -> str:
        return self.properties.message_id or ""

    @property
    def bulk(self) -> bool:
        return self.queue == BULK

    @property
    def redelivered(self) -> bool:
        return bool(self._message.redelivered)

    async def ack(self) -> None:
        """Alone, never with what came before it: acks overtake each other. A second one does nothing."""
        if self._settled or (tag := self._message.delivery_tag) is None:
            return
        try:
            with closing_told():
                # Nothing answers an ack. It is written when this returns: closing drops what only waits to be.
                await self._channel.basic_ack(tag, wait=True)
        except LOST as error:
            raise Unconfirmed(f"the connection this message came over is gone: {told(error)}") from error
        self._settled = True

    async def give_back(self) -> None:
        if self._settled or (tag := self._message.delivery_tag) is None:
            return
        self._settled = True
        with contextlib.suppress(*LOST), closing_told():
            await self._channel.basic_nack(tag, requeue=True, wait=True)


async def consume(session: Session, queues: Mapping[str, tuple[int, Take]]) -> None:
    """Call what each queue is mapped to, as a task, for each of its messages, until the session is stopping. Returns
    when the calls have.

    At most so many messages of a queue are unacked at once, whether or not the calls have returned. What a call raises
    is a defect and comes out here, in an ExceptionGroup.
    """
    try:
        channels = {
            queue: await (await session.channel(prefetch)).get_underlay_channel()
            for queue, (prefetch, _) in queues.items()
        }
    except LOST as error:
        session.end(told(error))
        return
    async with asyncio.TaskGroup() as calls:
        try:
            with closing_told():
                consumers = {
                    queue: await begin(session, channels[queue], queue, functools.partial(_call, session, calls, take))
                    for queue, (_, take) in queues.items()
                }
                await session.stopping.wait()
                for queue, channel in channels.items():
                    await channel.basic_cancel(consumers[queue])
        except LOST as error:
            session.end(told(error))


async def begin(session: Session, channel: AbstractChannel, queue: str, came: Callable[[Taken], None]) -> str:
    """Begin to consume; the consumer's tag. When the broker ends it, the session is over. Raises one of `LOST`."""

    async def deliver(message: DeliveredMessage) -> None:
        came(Taken(message, channel, queue))

    channel.on_consumer_cancel_callbacks.add(lambda _: session.end(f"the broker has cancelled consuming {queue}"))
    return await session.consume(channel, queue, deliver)


def _call(session: Session, calls: asyncio.TaskGroup, take: Take, delivery: Taken) -> None:
    if not session.stopping.is_set():  # what still comes then goes back with the channel
        calls.create_task(_awaited(take(delivery)))


async def _awaited(call: Awaitable[None]) -> None:
    await call
