"""Hands out the tickets of the fleet, as long as the broker says that this worker does.

What it knows it learns from reports; a new one begins without a memory, and takes back the tickets nobody holds yet.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import structlog

from worker import maillog, metrics
from worker.clock import Clock
from worker.events.broker import Fleet, Unconfirmed
from worker.inbound import ticket as tickets
from worker.inbound.listening import Listening
from worker.inbound.schedule import Schedule, Turn, Watch
from worker.inbound.ticket import Hint, Listened, Polled, PollTicket
from worker.profiles.directory import IncomingRoute
from worker.service import either

TOLD_FROM: Final = 2
"""Failures in a row before anybody hears of a trouble: one may be chance."""

_log = structlog.get_logger("inbound")


class Scheduler:
    """`capacity`: how many poll tickets one worker holds. `notifications`: whether to listen for hints at all."""

    def __init__(self, routes: Sequence[IncomingRoute], clock: Clock, *, capacity: int, notifications: bool) -> None:
        self._routes = routes
        self._clock = clock
        self._capacity = capacity
        self._notifications = notifications
        self._numbers = itertools.count(1)
        self._something = asyncio.Event()
        self._listening = Listening((), 0.0)
        self.schedule: Schedule | None = None
        """There while this worker is the scheduler."""

    def renew(self, routes: Sequence[IncomingRoute]) -> None:
        """From now on these are read."""
        listened = {(each.working, each.profile.credentials) for each in self._routes}
        self._routes = routes
        if self.schedule is None:
            return
        self.schedule.renew(routes, self._clock.monotonic())
        if listened != {(each.working, each.profile.credentials) for each in routes}:
            self._listening = self._listen()
        self._something.set()

    async def serve(self, fleet: Fleet, reports: AsyncIterator[bytes]) -> None:
        """A term of office. Ends by being cancelled."""
        self.schedule = schedule = Schedule(self._routes, self._clock.monotonic(), self._draws(), self._capacity)
        self._listening = self._listen()
        _log.info("scheduling polls", mailboxes=len(self._routes))
        metrics.scheduler.set(1)
        try:
            await fleet.recall()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(schedule, reports))
                tasks.create_task(self._issue(schedule, fleet))
        finally:
            if self.schedule is schedule:  # else the next term has begun already
                self.schedule = None
                metrics.scheduler.set(0)

    def _listen(self) -> Listening:
        """Groups with numbers unlike those of any scheduler before."""
        first = int(self._clock.jitter() * 2**40)
        return Listening(self._routes if self._notifications else (), self._clock.monotonic(), first)

    async def _hear(self, schedule: Schedule, reports: AsyncIterator[bytes]) -> None:
        async for body in reports:
            now = self._clock.monotonic()
            match tickets.read_report(body):
                case Polled() as report:
                    _tell(report, schedule.polled(report, now), now)
                case Hint() as hint:
                    schedule.heard(hint, now)
                case Listened() as report:
                    self._listening.ended(report, now)
                case None:
                    _log.warning("a report that nobody can read was dropped")
            self._something.set()

    async def _issue(self, schedule: Schedule, fleet: Fleet) -> None:
        while True:
            self._something.clear()
            listening = self._listening
            now = self._clock.monotonic()
            await asyncio.gather(*(self._poll(fleet, schedule, watch) for watch in schedule.take(now)))
            for each in listening.take(now):
                try:
                    await fleet.issue(tickets.write(each), listen=True)
                except Unconfirmed:
                    listening.ended(Listened(each.number, each.profile), now)
            now = self._clock.monotonic()
            await self._pause(min(schedule.next_at(now), self._listening.next_at(now)) - now)

    async def _poll(self, fleet: Fleet, schedule: Schedule, watch: Watch) -> None:
        working = watch.route.working
        ticket = PollTicket(
            next(self._numbers), working.profile, working.address, watch.note, watch.kept, watch.suspect
        )
        try:
            await fleet.issue(tickets.write(ticket))
        except Unconfirmed as error:
            _log.debug("a poll ticket was not issued", mailbox=working.address, cause=str(error))
            schedule.not_issued(watch, self._clock.monotonic())

    async def _pause(self, seconds: float) -> None:
        """Until the time is up or something was heard."""
        if seconds > 0:
            await either(self._clock.sleep(seconds), self._something.wait())

    def _draws(self) -> Iterator[float]:
        while True:
            yield self._clock.jitter()


def _tell(report: Polled, turn: Turn, now: float) -> None:
    if turn.began is not None and turn.began.failures == TOLD_FROM:
        maillog.paused(report.mailbox, report.profile, turn.began.reason, wait_seconds=round(turn.began.until - now))
    elif turn.ended is not None and turn.ended.failures >= TOLD_FROM:
        maillog.resumed(
            report.mailbox, report.profile, turn.ended.reason.code, after_seconds=round(now - turn.ended.since)
        )
