"""The CRM's side of the broker: it publishes requests, and notes the status events and the mail that come back."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aio_pika.connection import make_url

from scripts.queues import INBOUND_QUEUE, STATUS_QUEUE
from worker.rabbitmq.lost import LOST, closing_told

Event = dict[str, Any] | bytes | aio_pika.Message
"""What is published as it is, or in structured mode."""


@dataclass(kw_only=True)
class CrmSide:
    """It speaks to the broker at `broker_url`; the other fields are what it heard from there."""

    broker_url: str = ""
    statuses: list[dict[str, Any]] = field(default_factory=list, init=False)
    states: dict[str, dict[str, str]] = field(default_factory=dict, init=False)
    """For each e-mail the ids of its status events and their states; repeats fall away, as with any consumer."""
    reached: Counter[str] = field(default_factory=Counter, init=False)
    """How many e-mails have reached each state."""
    received: list[dict[str, Any]] = field(default_factory=list, init=False)
    """What came in, as it was published, repeats and all."""
    inbound: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    """What came in, by event id: repeats fall away."""
    _heard: asyncio.Condition = field(default_factory=asyncio.Condition, init=False)

    async def publish(self, events: Iterable[Event], *, key: str = "email.send", copies: int = 1) -> int:
        """As a CRM does: confirmed, and again whatever the broker did not confirm. How many events."""
        count = 0
        waiting = list(events)
        while waiting:
            with contextlib.suppress(*LOST), closing_told():
                async with connected(self.broker_url) as connection:
                    channel = await connection.channel(on_return_raises=True)
                    exchange = await channel.get_exchange("crm.mail")
                    while waiting:
                        batch = waiting[:200]
                        await asyncio.gather(
                            *(exchange.publish(message(each), key, timeout=30) for each in batch for _ in range(copies))
                        )
                        del waiting[: len(batch)]
                        count += len(batch)
            await asyncio.sleep(0.2 if waiting else 0)
        return count

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take the status events and what came in as a CRM does, through every loss of the connection."""
        listeners = [asyncio.create_task(self._listen(each)) for each in (STATUS_QUEUE, INBOUND_QUEUE)]
        try:
            yield
        finally:
            ended = [each for each in listeners if not each.cancel()]
            await asyncio.gather(*listeners, return_exceptions=True)
            if ended:
                raise RuntimeError(f"nobody listened any more: {ended}")

    async def _listen(self, name: str) -> None:
        while True:
            with contextlib.suppress(*LOST), closing_told():
                async with connected(self.broker_url) as connection:
                    channel = await connection.channel()
                    await channel.set_qos(500)
                    queue = await channel.get_queue(name)
                    async with queue.iterator() as messages:
                        async for each in messages:
                            await self._take(each)
            await asyncio.sleep(0.2)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        event = orjson.loads(message.body)
        event["_heard_at"] = time.monotonic()
        event["_heard_wall"] = time.time()
        self._note(event)  # before the ack, which may be taken although its connection is lost
        await message.ack()
        async with self._heard:
            self._heard.notify_all()

    def _note(self, event: dict[str, Any]) -> None:
        if event["type"] == "crm.email.received.v1":
            self.received.append(event)
            self.inbound.setdefault(event["id"], event)
            return
        self.statuses.append(event)
        state = event["type"].split(".")[2]
        known = self.states.setdefault(event["data"]["email_id"], {})
        self.reached[state] += state not in known.values()
        known[event["id"]] = state

    def about(self, email_id: str) -> list[dict[str, Any]]:
        """The status events about an e-mail, in order, repeats dropped."""
        found: dict[str, dict[str, Any]] = {}
        for each in self.statuses:
            if each["data"]["email_id"] == email_id:
                found.setdefault(each["id"], each)
        return list(found.values())

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition on what the CRM got holds. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self._heard:
            await self._heard.wait_for(condition)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[AbstractConnection]:
    """A connection; closed in any case, also one that was never made: it would try that when it is collected."""
    connection = aio_pika.Connection(make_url(url))
    try:
        await connection.connect()
        yield connection
    finally:
        await connection.close()


def message(event: Event) -> aio_pika.Message:
    """As a CRM publishes it: structured mode, persistent; a message is published as it is."""
    if isinstance(event, aio_pika.Message):
        return event
    body = event if isinstance(event, bytes) else orjson.dumps(event)
    return aio_pika.Message(
        body,
        content_type="application/cloudevents+json",
        message_id=None if isinstance(event, bytes) else event.get("id"),
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
