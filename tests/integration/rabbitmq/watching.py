"""What a test needs to watch the queues of a real broker."""

import asyncio
import functools
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aiormq.abc import ChannelFrame
from pamqp import commands
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from scripts.eventually import eventually
from worker.events.broker import Delivery
from worker.rabbitmq.consumer import Take
from worker.rabbitmq.topology import BULK, OUTBOUND

SECONDS = 20.0
"""The longest a test waits for anything."""


class Inbox:
    """What `consume` has given, for the test to take one by one."""

    def __init__(self) -> None:
        self._deliveries: asyncio.Queue[Delivery] = asyncio.Queue()

    async def take(self, delivery: Delivery) -> None:
        await self._deliveries.put(delivery)

    async def next(self) -> Delivery:
        async with asyncio.timeout(SECONDS):
            return await self._deliveries.get()

    @property
    def empty(self) -> bool:
        return self._deliveries.empty()


def outbound(take: Take, prefetch: int = 10) -> dict[str, tuple[int, Take]]:
    """Both queues of send requests, for `consume`."""
    return {OUTBOUND: (prefetch, take), BULK: (prefetch, take)}


class Queues:
    """A view of the queues over a connection of its own."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel) -> None:
        self.channel = channel

    async def put(self, queue: str, message: aio_pika.Message) -> None:
        await self.channel.default_exchange.publish(message, queue)

    async def put_raw(self, queue: str, body: bytes, properties: dict[str, Any], *changes: tuple[bytes, bytes]) -> None:
        """Publish what no library would: with these properties only, bytes of the frames changed afterwards."""
        channel = await self.channel.get_underlay_channel()
        frames: list[Frame | ContentHeader | ContentBody] = [
            commands.Basic.Publish(exchange="", routing_key=queue),
            ContentHeader(properties=commands.Basic.Properties(**properties), body_size=len(body)),
            ContentBody(body),
        ]
        payload = ChannelFrame.marshall(channel_number=channel.number, frames=frames).payload
        for old, new in changes:
            assert old in payload
            assert len(new) == len(old)
            payload = payload.replace(old, new)
        await channel.connection.write_queue.put(ChannelFrame(payload=payload, should_close=False))

    async def get(self, queue: str) -> AbstractIncomingMessage:
        """Take the next message out, waiting for one."""
        found = await self.channel.get_queue(queue)
        taken: list[AbstractIncomingMessage] = []

        async def came() -> bool:
            message = await found.get(fail=False, no_ack=True)
            taken.extend([message] if message else [])
            return bool(taken)

        await eventually(came, SECONDS)
        return taken[0]

    async def collect(self, ids: set[str], *queues: str) -> dict[str, list[str]]:
        """Take messages out of these queues until each id has come at least once; the ids by queue."""
        came: dict[str, list[str]] = {queue: [] for queue in queues}
        missing = set(ids)
        complete = asyncio.Event()

        async def note(queue: str, message: AbstractIncomingMessage) -> None:
            came[queue].append(message.message_id or "")
            missing.discard(message.message_id or "")
            if not missing:
                complete.set()

        for queue in queues:
            await (await self.channel.get_queue(queue)).consume(functools.partial(note, queue), no_ack=True)
        async with asyncio.timeout(SECONDS):
            await complete.wait()
        return came

    async def count(self, queue: str) -> int:
        """Messages that are ready, not those unacked."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def consumers(self, queue: str, count: int) -> None:
        """Wait until so many consume the queue."""

        async def so_many() -> bool:
            return (await self.channel.declare_queue(queue, passive=True)).declaration_result.consumer_count == count

        await eventually(so_many, SECONDS)

    async def reach(self, queue: str, count: int) -> None:
        """Wait until the queue holds so many."""

        async def so_many() -> bool:
            return await self.count(queue) == count

        await eventually(so_many, SECONDS)
