"""The port `worker.events.broker` over one session: every publish confirmed, mandatory, persistent and bounded in time.

A message that leads to no queue gives the session up: the next one declares the topology anew, and a queue that
somebody deleted is back by then.
"""

import asyncio
from dataclasses import asdict
from typing import Final
from uuid import uuid4

from aiormq.exceptions import DeliveryError, PublishError
from pamqp import encode
from pamqp.commands import Basic

from worker import retry
from worker.events.broker import Burial, Delivery, Headers, HeaderValue, Marks, Unconfirmed
from worker.mail.trace import NOWHERE, TraceContext
from worker.rabbitmq.consumer import Taken
from worker.rabbitmq.frames import CONFIRM_SECONDS, Frames
from worker.rabbitmq.lost import LOST, closing_told, told
from worker.rabbitmq.session import Session
from worker.rabbitmq.topology import DEAD, MAIL, tier_name

CLOUDEVENTS_JSON: Final = "application/cloudevents+json"
_PERSISTENT: Final = 2
_TEXT_LENGTH: Final = 1000

HEADERS_BYTES: Final = 64 * 1024
"""The header frame of a message must fit into one frame of the connection (128 KiB by default); a larger one makes the
broker close the connection. A publisher's headers beyond this are left out of our copies."""

BROKER_HEADERS: Final = frozenset(
    {
        "CC",  # sender-selected distribution: would copy the message to further queues
        "BCC",
        "x-acquired-count",
        "x-death",  # how the message came here by our own tiers
        "x-delivery-count",
        "x-first-death-exchange",
        "x-first-death-queue",
        "x-first-death-reason",
        "x-last-death-exchange",
        "x-last-death-queue",
        "x-last-death-reason",
    }
)
"""Headers that mean something to the broker: never carried over from one message to its copy."""

BURIAL_HEADERS: Final = ("x-reason", "x-detail", "x-remedy", "x-attempts", "x-first-seen-at", "x-queue")


class Publisher:
    """Publishes over one channel; whatever is not confirmed raises Unconfirmed."""

    def __init__(self, session: Session, frames: Frames) -> None:
        self._session = session
        self._frames = frames
        self._under_way: dict[str, asyncio.Event] = {}

    @classmethod
    async def open(cls, session: Session) -> "Publisher":
        """Raises Unconfirmed when the session is lost already."""
        try:
            channel = await session.channel()
            return cls(session, Frames(await channel.get_underlay_channel()))
        except LOST as error:
            raise Unconfirmed(told(error)) from error

    async def publish(self, exchange: str, routing_key: str, body: bytes, properties: Basic.Properties) -> None:
        """As a persistent message, under an id of its own where the properties give none."""
        properties.delivery_mode = _PERSISTENT
        message_id = properties.message_id = properties.message_id or uuid4().hex
        while other := self._under_way.get(message_id):
            await other.wait()
        done = self._under_way[message_id] = asyncio.Event()
        try:
            with closing_told():
                await self._frames.publish(exchange, routing_key, body, properties)
        except (PublishError, DeliveryError, *LOST) as error:
            cause = _cause(error, exchange or routing_key)
            if isinstance(error, PublishError):
                self._session.end(cause)
            raise Unconfirmed(cause) from error
        finally:
            del self._under_way[message_id]
            done.set()


class RabbitBroker:
    """`park` and `bury` take deliveries of `consume` only: they copy all of a message, also what the port hides."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def publish(self, routing_key: str, body: bytes, message_id: str, context: TraceContext = NOWHERE) -> None:
        properties = Basic.Properties(
            content_type=CLOUDEVENTS_JSON,
            message_id=message_id,
            headers=None if context is NOWHERE else {name: each for name, each in asdict(context).items() if each},
        )
        await self._publisher.publish(MAIL, routing_key, body, properties)

    async def park(self, delivery: Delivery, delay_seconds: float, headers: Marks) -> None:
        tier, queue = tier_name(retry.tier(delay_seconds)), _taken(delivery).queue
        await self._publisher.publish(tier, queue, delivery.body, copied(delivery, headers))

    async def bury(self, delivery: Delivery, burial: Burial) -> None:
        headers = burial_headers(burial, _taken(delivery).queue)
        await self._publisher.publish("", DEAD, delivery.body, copied(delivery, headers))


def burial_headers(burial: Burial, queue: str) -> dict[str, HeaderValue]:
    """What a dead letter says of itself. `queue` is where a replay puts it."""
    headers: dict[str, HeaderValue] = {
        "x-reason": burial.reason,
        "x-detail": burial.detail,
        "x-remedy": burial.remedy,
        "x-attempts": burial.attempts,
        "x-first-seen-at": burial.first_seen_at,
        "x-queue": queue,
    }
    return {name: _bounded(value) for name, value in headers.items()}


def copied(delivery: Delivery, marks: Marks) -> Basic.Properties:
    """The properties of a copy of this message, with these headers; without those that are None.

    Left out are its expiration, which would cut a delay short or lose a dead letter, and its user id, which the
    broker accepts from that user only.
    """
    original = _taken(delivery).properties
    added = {name: _bounded(value) for name, value in marks.items() if value is not None}
    return Basic.Properties(
        content_type=original.content_type,
        content_encoding=original.content_encoding,
        headers={**_kept(delivery.headers, marks), **added},  # type: ignore[dict-item] # checked by _kept and bounded
        correlation_id=original.correlation_id,
        reply_to=original.reply_to,
        message_id=original.message_id,
        timestamp=original.timestamp,
        message_type=original.message_type,
        app_id=original.app_id,
    )


def _taken(delivery: Delivery) -> Taken:
    assert isinstance(delivery, Taken), "a delivery of another broker"
    return delivery


def _bounded(value: HeaderValue) -> HeaderValue:
    return value[:_TEXT_LENGTH] if isinstance(value, str) else value


def _kept(headers: Headers, marks: Marks) -> dict[str, object]:
    kept: dict[str, object] = {}
    size = 0
    for name, value in headers.items():
        if name in BROKER_HEADERS or name in marks:
            continue
        # A string that is not UTF-8 is read as bytes, which have no type of their own on the way out.
        carried = bytearray(value) if isinstance(value, bytes) else value
        try:
            size += len(encode.field_table({name: carried}))  # type: ignore[dict-item] # what it cannot take it says
        except (TypeError, ValueError, RecursionError):
            continue
        if size > HEADERS_BYTES:
            break
        kept[name] = carried
    return kept


def _cause(error: Exception, target: str) -> str:
    match error:
        case PublishError():
            return f"{target} leads to no queue"
        case DeliveryError():
            return f"the broker has refused a message for {target}: a queue is full"
        case TimeoutError():
            return f"the broker did not confirm a message for {target} within {CONFIRM_SECONDS:.0f} s"
        case _:
            return told(error)
