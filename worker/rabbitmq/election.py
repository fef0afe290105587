"""Who schedules: the worker that has the token in hand.

The token is a message in a queue of length one, which the broker gives to one consumer only, the *active* one. Every
worker consumes it. When the connection of the active one ends, the broker takes the token back and gives it to the
next. So there is one scheduler while there is a worker; that there are never two cannot be had (a worker cut off from
the broker needs a while to notice), and need not be: tickets issued twice cost work, not mail.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

import structlog
from pamqp.commands import Basic

from worker.clock import Clock
from worker.events.broker import Unconfirmed
from worker.rabbitmq.broker import Publisher
from worker.rabbitmq.consumer import Taken, begin
from worker.rabbitmq.lost import closing_told
from worker.rabbitmq.session import Session
from worker.rabbitmq.topology import REPORTS, SCHEDULER
from worker.service import ended

RENEW_SECONDS: Final = 60.0
"""So often the token in hand is exchanged for a fresh one. The broker closes a channel that holds a message for long
(30 minutes by default); and a scheduler that was deposed without being told finds out."""

ANSWER_SECONDS: Final = 20.0
"""The fresh token comes within this time, or another worker has it."""

END_SECONDS: Final = 5.0
"""How long a term may take to end once it is cancelled, before the token goes to another worker all the same."""

REPORTS_PREFETCH: Final = 500

Term = Callable[[AsyncIterator[bytes]], Coroutine[Any, Any, None]]
"""What a scheduler does, given what is reported to it, as it comes."""

_TOKEN: Final = b"whoever holds this unacknowledged schedules the polls\n"

_log = structlog.get_logger("scheduler")


async def elect(session: Session, term: Term, clock: Clock) -> None:
    """Do `term` whenever this worker is the scheduler, until the session is stopping.

    `term` is cancelled when its time is over. What it raises comes out here; one that returns has resigned, and another
    worker takes over.
    """
    publisher = await Publisher.open(session)
    channel = await session.channel(prefetch=1)
    tokens: asyncio.Queue[Taken] = asyncio.Queue()
    with closing_told():
        await begin(session, await channel.get_underlay_channel(), SCHEDULER, tokens.put_nowait)
    hand = Hand(publisher, tokens, clock)
    await hand.offer()
    stopping = asyncio.create_task(session.stopping.wait())
    try:
        while not stopping.done() and await hand.take(stopping):
            deposed = await _serve(session, term, hand, stopping)
            if not deposed:
                break
            _log.warning("another worker schedules the polls now")
        # Given back by itself, the token would only come again: this consumer is the active one.
        await session.release(channel)
    finally:
        await ended(stopping)


async def _serve(session: Session, term: Term, hand: "Hand", stopping: asyncio.Future[Any]) -> bool:
    """One term of office. Whether it ended because the token is gone."""
    reports = _Reports()
    channel = await session.channel(REPORTS_PREFETCH)
    with closing_told():
        await begin(session, await channel.get_underlay_channel(), REPORTS, reports.arrived.put_nowait)
    serving, holding = asyncio.ensure_future(term(reports)), asyncio.create_task(hand.hold())
    try:
        await asyncio.wait((serving, holding, stopping), return_when=asyncio.FIRST_COMPLETED)
        deposed = holding.done()
    finally:
        for each in (serving, holding):
            each.cancel()
        await asyncio.wait((serving, holding), timeout=END_SECONDS)
    for each in (serving, holding):
        if each.done() and not each.cancelled():
            each.result()
    await session.release(channel)
    return deposed


class Hand:
    """Where this worker holds the token when it is its turn."""

    def __init__(self, publisher: Publisher, tokens: asyncio.Queue[Taken], clock: Clock) -> None:
        self._publisher = publisher
        self._tokens = tokens
        self._clock = clock
        self._token: Taken | None = None

    async def offer(self) -> None:
        """A fresh token into the queue, in place of one that lies there. Raises Unconfirmed."""
        await self._publisher.publish("", SCHEDULER, _TOKEN, Basic.Properties())

    async def take(self, stopping: asyncio.Future[Any]) -> bool:
        """Wait for the token; whether it came before the session is stopping."""
        getting = asyncio.ensure_future(self._tokens.get())
        try:
            await asyncio.wait((getting, stopping), return_when=asyncio.FIRST_COMPLETED)
            self._token = getting.result() if getting.done() else None
        finally:
            await ended(getting)
        return self._token is not None

    async def hold(self) -> None:
        """Keep the token fresh. Returns when it is another worker's."""
        while self._token is not None:
            await self._clock.sleep(RENEW_SECONDS)
            try:
                await self.offer()
            except Unconfirmed:  # the broker is short of memory, perhaps; the one in hand is good for a while
                continue
            await self._token.ack()
            self._token = None
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    self._token = await self._tokens.get()
            except TimeoutError:
                return


class _Reports:
    """What is reported, as it comes. A report is acked when it is taken: the next scheduler gets the rest."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[Taken] = asyncio.Queue()

    def __aiter__(self) -> "_Reports":
        return self

    async def __anext__(self) -> bytes:
        taken = await self.arrived.get()
        await taken.ack()
        return taken.body
