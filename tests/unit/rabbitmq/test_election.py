"""Holding the token, in virtual time: a scheduler that was deposed finds out, one that is not goes on."""

import asyncio
from typing import cast

from pamqp.commands import Basic

from tests.simulation import virtual_time
from worker.events.broker import Unconfirmed
from worker.rabbitmq.broker import Publisher
from worker.rabbitmq.consumer import Taken
from worker.rabbitmq.election import ANSWER_SECONDS, RENEW_SECONDS, Hand


class Token:
    def __init__(self) -> None:
        self.acks = 0

    async def ack(self) -> None:
        self.acks += 1


class TokenQueue:
    """The broker: what is offered is given to this worker, or to another one, or is not taken at all."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[Taken] = asyncio.Queue()
        self.offered = 0
        self.elsewhere = self.full = False

    async def publish(self, _exchange: str, _routing_key: str, _body: bytes, _properties: Basic.Properties) -> None:
        self.offered += 1
        if self.full:
            raise Unconfirmed("short of memory")
        if not self.elsewhere:
            self.given.put_nowait(cast("Taken", Token()))


def test_it_is_kept_fresh_until_it_goes_elsewhere() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        queue = TokenQueue()
        hand = Hand(cast("Publisher", queue), queue.given, virtual_time.VirtualClock())
        await hand.offer()
        assert await hand.take(loop.create_future())
        holding = asyncio.create_task(hand.hold())

        await asyncio.sleep(3.5 * RENEW_SECONDS)
        assert (queue.offered, holding.done()) == (4, False)
        queue.full = True
        await asyncio.sleep(10 * RENEW_SECONDS)
        assert (queue.offered, holding.done()) == (14, False), "what is in hand is good for a while"
        queue.full = False
        queue.elsewhere = True
        await holding
        assert loop.time() == 14 * RENEW_SECONDS + ANSWER_SECONDS

    virtual_time.run(scenario())


def test_the_one_before_is_acked_when_a_fresh_one_is_there() -> None:
    async def scenario() -> None:
        queue = TokenQueue()
        hand = Hand(cast("Publisher", queue), queue.given, virtual_time.VirtualClock())
        first = Token()
        queue.given.put_nowait(cast("Taken", first))
        assert await hand.take(asyncio.get_running_loop().create_future())
        queue.full = True
        holding = asyncio.create_task(hand.hold())
        await asyncio.sleep(1.5 * RENEW_SECONDS)
        assert first.acks == 0
        queue.full = False
        await asyncio.sleep(RENEW_SECONDS)
        assert first.acks == 1
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)

    virtual_time.run(scenario())
