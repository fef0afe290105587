"""Takes messages out of queues, each over a channel with a prefetch of its own.

How many messages are in hand is bounded by the prefetch, how large they are together by `Load`: what comes beyond that
goes back, and the queue is consumed again, with a smaller prefetch for a while, when half of the load is settled. While
the broker takes no messages (it is short of memory or disk) none is begun: what became of it could not be told.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from worker.events.broker import Delivery, Headers, Unconfirmed
from worker.rabbitmq.frames import Frames
from worker.rabbitmq.lost import LOST, closing_told, told
from worker.rabbitmq.session import Session
from worker.rabbitmq.topology import BULK
from worker.service import either

MOST_BYTES: Final = 64 * 2**20
"""What the messages of a queue that are in hand may have together; a single one may have more."""

SMALLER_SECONDS: Final = 60.0
"""How long the prefetch stays smaller."""

Take = Callable[[Delivery], Coroutine[Any, Any, None]]


class Taken:
    """A message of the broker, as the port's `Delivery`. `properties` are all it came with."""

    def __init__(
        self,
        message: DeliveredMessage,
        frames: Frames,
        queue: str,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self.queue = queue
        self._told = settled
        self.properties: Basic.Properties = message.header.properties
        self._frames = frames
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
                await self._frames.ack(tag)  # written, when this returns: closing drops what only waits to be
        except LOST as error:
            raise Unconfirmed(f"the connection this message came over is gone: {told(error)}") from error
        self._settled = True
        self._told()

    async def give_back(self) -> None:
        if self._settled or (tag := self._message.delivery_tag) is None:
            return
        self._settled = True
        self._told()
        with contextlib.suppress(*LOST), closing_told():
            await self._frames.give_back(tag)


@dataclass(slots=True)
class Load:
    """What of a queue is in hand. `heavy` is set when a message came that was too much, `light` while there is room."""

    most_bytes: int
    messages: int = 0
    bytes: int = 0
    largest: int = 1
    heavy: asyncio.Event = field(default_factory=asyncio.Event)
    light: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, size: int) -> bool:
        """Whether there is room for it. A single message always has."""
        self.largest = max(self.largest, size)
        if self.messages and self.bytes + size > self.most_bytes:
            self.heavy.set()
            self.light.clear()
            return False
        self.messages += 1
        self.bytes += size
        return True

    def settle(self, size: int) -> None:
        self.messages -= 1
        self.bytes -= size
        if 2 * self.bytes <= self.most_bytes:
            self.light.set()

    def smaller(self, prefetch: int) -> int:
        """So many of the largest that came would have been no more than half."""
        return max(1, min(prefetch, self.most_bytes // 2 // self.largest))


async def consume(session: Session, queues: Mapping[str, tuple[int, Take]], most_bytes: int = MOST_BYTES) -> None:
    """Call what each queue is mapped to, as a task, for each of its messages, until the session is stopping. Returns
    when the calls have.

    At most so many messages of a queue are unacked at once, whether or not the calls have returned, and of no more than
    `most_bytes`. What a call raises is a defect and comes out here, in an ExceptionGroup.
    """
    async with asyncio.TaskGroup() as calls:
        for queue, (prefetch, take) in queues.items():
            came = functools.partial(_call, session, calls, take)
            calls.create_task(_feed(session, queue, prefetch, Load(most_bytes), came))


async def _feed(session: Session, queue: str, prefetch: int, load: Load, came: Callable[[Taken], None]) -> None:
    """Consume one queue until the session is stopping, or lost."""
    allowed = prefetch
    try:
        channel = await (await session.channel(prefetch)).get_underlay_channel()
        frames = Frames(channel)
        _end_when_cancelled(session, channel, queue)
        while not session.stopping.is_set():
            load.heavy.clear()
            with closing_told():
                consumer = await _consume(session, channel, frames, queue, came, load)
                waits = [session.stopping.wait(), load.heavy.wait()]
                await either(*waits, *([asyncio.sleep(SMALLER_SECONDS)] if allowed < prefetch else []))
                await channel.basic_cancel(consumer)
                allowed = load.smaller(prefetch) if load.heavy.is_set() else prefetch
                if load.heavy.is_set():
                    await either(session.stopping.wait(), load.light.wait())
                load.largest = 1
                await channel.basic_qos(prefetch_count=allowed)
    except LOST as error:
        session.end(told(error))


async def begin(session: Session, channel: AbstractChannel, queue: str, came: Callable[[Taken], None]) -> str:
    """Begin to consume; the consumer's tag. When the broker ends it, the session is over. Raises one of `LOST`."""
    _end_when_cancelled(session, channel, queue)
    return await _consume(session, channel, Frames(channel), queue, came)


async def _consume(  # noqa: PLR0913, PLR0917 - what is consumed, and what becomes of it
    session: Session,
    channel: AbstractChannel,
    frames: Frames,
    queue: str,
    came: Callable[[Taken], None],
    load: Load | None = None,
) -> str:
    async def deliver(message: DeliveredMessage) -> None:
        size = len(message.body)
        if load is None:
            return came(Taken(message, frames, queue))
        if not load.take(size):
            return await Taken(message, frames, queue).give_back()
        taken = Taken(message, frames, queue, functools.partial(load.settle, size))
        await session.flowing.wait()
        return came(taken)

    return await session.consume(channel, queue, deliver)


def _end_when_cancelled(session: Session, channel: AbstractChannel, queue: str) -> None:
    channel.on_consumer_cancel_callbacks.add(lambda _: session.end(f"the broker has cancelled consuming {queue}"))


def _call(session: Session, calls: asyncio.TaskGroup, take: Take, delivery: Taken) -> None:
    if not session.stopping.is_set() and not session.lost.done():  # what still comes then goes back with the channel
        calls.create_task(take(delivery))
