"""The published profiles: one message in a queue that keeps the last, and an announcement to all workers.

Whoever reads takes the message in hand for a moment and puts it back. Whoever publishes keeps the one before in hand
meanwhile, so that two who publish at once do not overlook each other; put back behind a newer one it is dropped.

The broker does not tell whether nothing is there or somebody has it in hand: a worker that is suspended, say. A reader
reads again later. Whoever publishes asks the workers whether they know of any.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from worker.clock import Clock
from worker.rabbitmq.broker import Publisher
from worker.rabbitmq.lost import LOST, closing_told, told
from worker.rabbitmq.session import OPEN_SECONDS, Session
from worker.rabbitmq.topology import FLEET, PROFILES
from worker.service import either

ANNOUNCEMENT: Final = "profiles"
"""The type of the message that tells workers to read them again."""

TRIES: Final = 20
TRY_SECONDS: Final = 0.1
"""Somebody else may have the message in hand: it is asked for so often before it counts as not there."""

AGAIN_SECONDS: Final = 30.0
"""Announcements may be lost: so often the profiles are read without one. While none are published, each `TRY_SECONDS`
times `TRIES`."""

_log = structlog.get_logger("profiles")


@asynccontextmanager
async def in_hand(session: Session, clock: Clock) -> AsyncIterator[bytes | None]:
    """What was published last, None if nothing was or somebody else has it in hand; else nobody can read or publish
    meanwhile. Put back at the end.

    Raises one of `LOST`.
    """
    opened = await session.channel()
    channel = await opened.get_underlay_channel()
    try:
        yield await _get(channel, clock)
    finally:
        await session.release(opened)  # what was in hand goes back


async def published(session: Session, clock: Clock) -> bytes | None:
    """What was published last, None if nothing was or somebody has it in hand. Raises one of `LOST`."""
    async with in_hand(session, clock) as body:
        return body


async def publish(publisher: Publisher, body: bytes) -> None:
    """Keep it, and tell the workers. Raises Unconfirmed."""
    await publisher.publish("", PROFILES, body, Basic.Properties(content_type="application/json"))


async def announce(session: Session) -> None:
    """Tell the workers to read them again. Raises one of `LOST`."""
    opened = await session.channel()
    channel = await opened.get_underlay_channel()
    with closing_told():
        properties = Basic.Properties(message_type=ANNOUNCEMENT, expiration="60000")
        await channel.basic_publish(b"", exchange=FLEET, properties=properties, timeout=OPEN_SECONDS)
    await session.release(opened)


async def follow(
    session: Session, clock: Clock, announced: asyncio.Event, take: Callable[[bytes | None], Awaitable[None]]
) -> None:
    """Hand over what is published, now and whenever `announced` is set, until the session is stopping.

    A broker that is short of memory or disk answers nothing for a while: the session goes on, and so does this.
    """
    while not session.stopping.is_set():
        announced.clear()
        pause = AGAIN_SECONDS
        try:
            body = await published(session, clock)
        except LOST as error:
            _log.debug("the published profiles could not be read", cause=told(error))
        else:
            await take(body)
            pause = AGAIN_SECONDS if body else TRY_SECONDS
        await either(announced.wait(), session.stopping.wait(), clock.sleep(pause))


async def _get(channel: AbstractChannel, clock: Clock) -> bytes | None:
    for _ in range(TRIES):
        with closing_told():
            got = await channel.basic_get(PROFILES, no_ack=False)
        if isinstance(got.delivery, Basic.GetOk):
            return got.body
        await clock.sleep(TRY_SECONDS * (0.5 + clock.jitter()))
    return None
