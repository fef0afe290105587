"""The broker port in memory: queues, acks, redelivery, delay tiers, confirms that come late or not at all."""

import asyncio
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from worker import retry
from worker.events.broker import Broker, Burial, Delivery, Marks, Unconfirmed
from worker.mail.trace import NOWHERE, TraceContext


@dataclass
class Message:
    body: bytes
    headers: dict[str, object] = field(default_factory=dict)
    bulk: bool = False
    redelivered: bool = False


class SimulatedBroker:
    """What all workers share."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.queue: deque[Message] = deque()
        self.statuses: list[dict[str, object]] = []
        self.dead: list[tuple[Message, Burial]] = []
        self.unconfirmed = 0.0
        self.parked = 0
        self.wakened = asyncio.Event()

    def put(self, message: Message) -> None:
        self.queue.append(message)
        self.wakened.set()

    def put_later(self, seconds: float, message: Message) -> None:
        self.parked += 1

        def back() -> None:
            self.parked -= 1
            self.put(message)

        asyncio.get_running_loop().call_later(seconds, back)


class SimulatedSession:
    """One worker's connection. Implements `Broker`; `close` gives what it had in hand to the others."""

    def __init__(self, broker: SimulatedBroker) -> None:
        self.broker = broker
        self.open = True
        self.unacked: dict[int, Message] = {}
        self._tag = 0

    async def next(self) -> "SimulatedDelivery":
        """Whoever is first gets it, and chance decides who that is: else one worker would get all."""
        await asyncio.sleep(self.broker.random.uniform(0, 0.01))
        while not self.broker.queue:
            self.broker.wakened.clear()
            await self.broker.wakened.wait()
            await asyncio.sleep(self.broker.random.uniform(0, 0.01))
        message = self.broker.queue.popleft()
        self._tag += 1
        self.unacked[self._tag] = message
        return SimulatedDelivery(self, self._tag, message)

    def close(self) -> None:
        self.open = False
        for message in self.unacked.values():
            message.redelivered = True
            self.broker.put(message)
        self.unacked.clear()

    async def publish(self, routing_key: str, body: bytes, message_id: str, context: TraceContext = NOWHERE) -> None:
        event = orjson.loads(body)
        assert event["id"] == message_id
        await self._confirmed(lambda: self.broker.statuses.append({"key": routing_key, **event}))

    async def park(self, delivery: Delivery, delay_seconds: float, headers: Marks) -> None:
        copy = Message(delivery.body, {**delivery.headers, **headers}, delivery.bulk)
        await self._confirmed(lambda: self.broker.put_later(retry.tier(delay_seconds), copy))

    async def bury(self, delivery: Delivery, burial: Burial) -> None:
        copy = Message(delivery.body, dict(delivery.headers), delivery.bulk)
        await self._confirmed(lambda: self.broker.dead.append((copy, burial)))

    async def _confirmed(self, act: object) -> None:
        assert callable(act)
        self._alive()
        await asyncio.sleep(self.broker.random.uniform(0.0005, 0.01))
        self._alive()
        draw = self.broker.random.random()
        if draw < self.broker.unconfirmed / 2:
            raise Unconfirmed("refused")
        act()
        if draw < self.broker.unconfirmed:
            raise Unconfirmed("taken, but not confirmed")
        await asyncio.sleep(self.broker.random.uniform(0.0005, 0.01))
        self._alive()

    def _alive(self) -> None:
        if not self.open:
            raise Unconfirmed("connection lost")


@dataclass
class SimulatedDelivery:
    session: SimulatedSession
    tag: int
    message: Message
    content_type: str = "application/cloudevents+json"
    message_id: str = ""

    @property
    def body(self) -> bytes:
        return self.message.body

    @property
    def headers(self) -> Mapping[str, object]:
        return self.message.headers

    @property
    def bulk(self) -> bool:
        return self.message.bulk

    @property
    def redelivered(self) -> bool:
        return self.message.redelivered

    async def ack(self) -> None:
        if not self.session.open:
            raise Unconfirmed("connection lost")
        del self.session.unacked[self.tag]

    async def give_back(self) -> None:
        if self.session.open:
            message = self.session.unacked.pop(self.tag)
            message.redelivered = True
            self.session.broker.put(message)


def as_broker(session: SimulatedSession) -> Broker:
    """Says to the type checker that the session is the port."""
    return session
