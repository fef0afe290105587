"""Carries what the workers tell each other over the fanout exchange: one small message at a time, at a bounded rate.

Nothing of it is kept or confirmed to anybody: what is lost is told again with the next message.
"""

import asyncio
import contextlib
from typing import Final, Protocol

import structlog
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from worker.clock import Clock
from worker.rabbitmq.lost import LOST, closing_told, told
from worker.rabbitmq.session import Session
from worker.rabbitmq.topology import FLEET, OUTBOUND
from worker.service import either

NEWS: Final = "news"
"""The type of such a message."""

PAUSE_SECONDS: Final = 0.25
TURN_SECONDS: Final = 1.0
"""The shortest and the longest time between two messages of a worker that has something to tell."""

HEARING_SECONDS: Final = 1.0
"""So long a new worker waits to be told by the others, before it begins."""

OLD_SECONDS: Final = 5
_SEND_SECONDS: Final = 2.0

_log = structlog.get_logger("fleet")


class Talk(Protocol):
    """What is to be told. `asked` is set when it cannot wait, `answered` when somebody else was heard."""

    asked: asyncio.Event
    answered: asyncio.Event

    def hello(self) -> bytes: ...
    def goodbye(self) -> bytes: ...
    def tell(self) -> bytes | None: ...


async def spread(
    session: Session, talk: Talk, clock: Clock, listening: asyncio.Event, introduced: asyncio.Event
) -> None:
    """Tell until the session is stopping. `introduced` is set when this worker has been told what the others know."""
    channel = await (await session.channel()).get_underlay_channel()
    await either(listening.wait(), session.stopping.wait())
    talk.answered.clear()
    await _say(channel, talk.hello())
    if await _others(channel):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARING_SECONDS):
                await either(talk.answered.wait(), session.stopping.wait())
    introduced.set()
    while not session.stopping.is_set():
        talk.asked.clear()
        if (news := talk.tell()) is not None:
            await _say(channel, news)
        await clock.sleep(PAUSE_SECONDS)
        await either(talk.asked.wait(), clock.sleep(TURN_SECONDS - PAUSE_SECONDS), session.stopping.wait())
    await _say(channel, talk.goodbye())


async def _others(channel: AbstractChannel) -> bool:
    """Whether anybody consumes what is to be sent. Raises one of `LOST`."""
    with closing_told():
        declared = await channel.queue_declare(OUTBOUND, passive=True)
    return bool(declared.consumer_count)


async def _say(channel: AbstractChannel, news: bytes) -> None:
    properties = Basic.Properties(message_type=NEWS, expiration=str(OLD_SECONDS * 1000))
    try:
        with closing_told():
            # Not mandatory: perhaps there is nobody.
            await channel.basic_publish(news, exchange=FLEET, properties=properties, timeout=_SEND_SECONDS)
    except LOST as error:
        _log.debug("news was not told", cause=told(error))
