"""A connection to the broker that is made again whenever it is lost.

A reconnect begins with nothing, and the broker gives again what was not settled. (aio-pika's robust connections restore
channels and consumers by themselves; an ack with a delivery tag of the connection before would then settle something
else, so they are not used.)
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from worker import metrics
from worker.clock import Clock
from worker.rabbitmq.address import BrokerAddress, Unavailable
from worker.rabbitmq.lost import is_loss, told
from worker.rabbitmq.session import Session, connect
from worker.service import ended

FIRST_DELAY_SECONDS: Final = 0.2
LAST_DELAY_SECONDS: Final = 10.0
SETTLED_SECONDS: Final = 10.0
"""A session that lasted so long was a good one: the back-off starts anew."""

LOOK_SECONDS: Final = 1.0

_log = structlog.get_logger("broker")


class BrokerConnection:
    """Keeps a session going until told to stop. `connected` is for whoever reports on health."""

    def __init__(self, address: BrokerAddress, clock: Clock, *, name: str) -> None:
        self._address = address
        self._clock = clock
        self._name = name
        self._stopping = asyncio.Event()
        self.connected = False

    def stop(self) -> None:
        """End in order: sessions see `stopping`; `run` returns when the work has, or at once while there is none."""
        self._stopping.set()

    async def run(self, work: Callable[[Session], Awaitable[None]]) -> None:
        """Do `work` over a session, again with a new one whenever it was lost, until `work` returns.

        When a session is lost, its work is cancelled and has ended before the next one begins. What `work` raises,
        other than that the session was lost, is a defect and comes out here.
        """
        failures = 0
        last_cause = ""
        while not self._stopping.is_set():
            began: float | None = None
            try:
                async with connect(self._address, name=self._name, stopping=self._stopping) as session:
                    _log.info("broker connected", broker=str(self._address))
                    began, last_cause = self._clock.monotonic(), ""
                    await self._work(session, work)
                    return
            except Unavailable as error:
                if error.cause != last_cause and not self._stopping.is_set():  # else it is nobody's trouble any more
                    _log.warning("broker lost", broker=str(self._address), cause=error.cause, remedy=error.remedy)
                last_cause = error.cause
            if began is not None and self._clock.monotonic() - began > SETTLED_SECONDS:
                failures = 0
            await self._pause(failures)
            failures += 1

    async def _work(self, session: Session, work: Callable[[Session], Awaitable[None]]) -> None:
        """Returns when `work` did; raises Unavailable when the session was lost first."""
        task = asyncio.ensure_future(work(session))
        watch = asyncio.create_task(self._watch(session))
        self._report(connected=True)
        try:
            await asyncio.wait((task, watch, session.lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._report(connected=False)
            await ended(task, watch)
        for each in (task, watch):
            error = None if each.cancelled() else each.exception()
            if error is not None and not is_loss(error):
                raise error
            if error is not None:
                session.end(told(error))
        if task.cancelled() or session.lost.done():
            raise Unavailable(f"the connection was lost: {session.lost.result()}", "none, it is tried again")

    async def _watch(self, session: Session) -> None:
        """aio-pika does not tell that the broker has blocked the connection: it must be asked."""
        while True:
            blocked = await session.blocked()
            if blocked == session.flowing.is_set():
                metrics.broker_blocked.set(blocked)
                session.flowing.clear() if blocked else session.flowing.set()
                _log.warning(
                    "broker takes no messages: it is short of memory or disk" if blocked else "broker goes on",
                    broker=str(self._address),
                )
            await self._clock.sleep(LOOK_SECONDS)

    def _report(self, *, connected: bool) -> None:
        self.connected = connected
        metrics.broker_connected.set(connected)
        metrics.broker_blocked.set(False)

    async def _pause(self, failures: int) -> None:
        delay = min(LAST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(failures, 10))
        sleep = asyncio.ensure_future(self._clock.sleep(delay * (0.5 + self._clock.jitter() / 2)))
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((sleep, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(sleep, stop)
