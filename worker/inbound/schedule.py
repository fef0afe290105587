"""When each mailbox is polled: state and decisions, no I/O. Times are seconds of a monotonic clock.

A mailbox is *waiting* for its time, *ready* for its turn, or *out* with a poller; never two of these at once. Of one
profile no more are out than its share, so that a server which does not answer leaves room for the others. Trouble of
one mailbox pauses that mailbox; trouble of a profile or its server pauses the profile, and one mailbox at a time probes
it.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from worker.inbound.ticket import Hint, Polled
from worker.mail.outcome import Reason, Scope
from worker.mail.transport import WorkingMailbox
from worker.profiles.directory import IncomingRoute

WAITS: Final = (2, 5, 15, 30, 60)
"""Seconds until a mailbox or profile in trouble is tried again; the last one repeats."""

LOST_SECONDS: Final = 1260.0
"""A poll not reported after so long is forgotten: somewhat longer than any poll takes."""

SUSPECT_FROM: Final = 5
"""Polls in a row that got stuck at the same mail, before that mail counts as the cause."""

_TIMES: Final = 4
"""So many times of a mailbox are remembered, of which at most two still count: each hint leaves one behind."""

START_SECONDS: Final = 0.01
"""Between the first polls of two mailboxes, so that a fleet that starts does not fall upon a server."""


@dataclass(slots=True)
class Trouble:
    """Failures in a row, and what the last one said. `since`: when the first of them was."""

    reason: Reason
    since: float
    until: float
    failures: int = 1


@dataclass(slots=True, eq=False)
class Watch:
    """One mailbox. `note` is the last known cursor; `heard`: something may have come while it was out. `missed_at` is
    when it is next seen to whether it has been out for too long.
    """

    route: IncomingRoute
    due_at: float
    out_since: float | None = None
    missed_at: float | None = None
    ready: bool = False
    heard: bool = False
    note: str = ""
    kept: bool = True
    polled_at: float | None = None
    trouble: Trouble | None = None
    stuck: str = ""
    stuck_polls: int = 0

    @property
    def waits_until(self) -> float | None:
        """None while it waits for no time: it is ready, or out."""
        return None if self.ready or self.out_since is not None else self.due_at

    @property
    def suspect(self) -> str:
        """The mail that is taken to be the cause of the trouble, "" for none."""
        return self.stuck if self.stuck_polls >= SUSPECT_FROM else ""


@dataclass(slots=True, eq=False)
class Lane:
    """The mailboxes of one profile that are ready, first come first served, and how many are out."""

    share: int
    ready: deque[Watch] = field(default_factory=deque)
    out: int = 0
    trouble: Trouble | None = None

    def free(self, now: float) -> bool:
        if self.trouble is not None:
            return now >= self.trouble.until and self.out == 0
        return self.out < self.share


@dataclass(frozen=True, slots=True)
class Turn:
    """What a report changed about who is in trouble: for the log."""

    began: Trouble | None = None
    ended: Trouble | None = None


class Schedule:
    """`capacity`: how many tickets one worker holds; the profiles share it. `jitter` draws numbers in [0, 1)."""

    def __init__(self, routes: Sequence[IncomingRoute], now: float, jitter: Iterator[float], capacity: int) -> None:
        self._jitter = jitter
        self._capacity = capacity
        self.lanes: dict[str, Lane] = {}
        self.watches: dict[WorkingMailbox, Watch] = {}
        self._times: list[tuple[float, int, Watch]] = []
        self._serial = itertools.count()
        self.renew(routes, now)

    def renew(self, routes: Sequence[IncomingRoute], now: float) -> None:
        """From now on these are read. Those that were read before go on; a trouble is forgotten where the profile or
        the mailbox's entry is another one now: it may have been put right.
        """
        wanted = {route.working: route for route in routes}
        for working in self.watches.keys() - wanted.keys():
            self._drop(self.watches.pop(working))
        profiles = {route.profile.name for route in routes}
        share = max(1, self._capacity // max(1, len(profiles)))
        self.lanes = {name: self.lanes.get(name, Lane(share)) for name in profiles}
        for lane in self.lanes.values():
            lane.share = share
        new = [route for working, route in wanted.items() if not self._goes_on(working, route, now)]
        for number, route in enumerate(new):
            spread = min(number * START_SECONDS, route.profile.poll_seconds)
            watch = self.watches[route.working] = Watch(route, now + spread)
            self._wait(watch, watch.due_at)

    def take(self, now: float) -> list[Watch]:
        """The mailboxes whose turn it is; they are out from now on."""
        while self._times and self._times[0][0] <= now:
            at, _, watch = heapq.heappop(self._times)
            if self.watches.get(watch.route.working) is not watch:
                continue  # not read any more
            if at == watch.missed_at:
                self._look_for(watch, now)
            elif at == watch.waits_until:
                self._make_ready(watch)
        return [watch for lane in self.lanes.values() for watch in self._taken(lane, now)]

    def next_at(self, now: float) -> float:
        """When there may be something to take; in the past if there is already."""
        times = [lane.trouble.until for lane in self.lanes.values() if lane.trouble and lane.ready and lane.out == 0]
        if any(lane.ready and lane.free(now) for lane in self.lanes.values()):
            times.append(now)
        if self._times:
            times.append(self._times[0][0])
        return min(times, default=now + LOST_SECONDS)

    def count(self, *, troubled: bool) -> int:
        """How many mailboxes are in trouble, of their own or with their profile; or how many are not."""
        return sum(
            troubled == bool(watch.trouble or self.lanes[watch.route.profile.name].trouble)
            for watch in self.watches.values()
        )

    def longest_seconds(self, scope: Scope, now: float) -> float:
        """How long ago the oldest trouble of a scope began; 0 for none."""
        troubles = [each.trouble for each in self.watches.values()] + [each.trouble for each in self.lanes.values()]
        return max((now - each.since for each in troubles if each and each.reason.scope is scope), default=0.0)

    def not_issued(self, watch: Watch, now: float) -> None:
        """Its ticket did not get out: again in a while."""
        self._back(watch)
        self._wait(watch, now + WAITS[0])

    def heard(self, hint: Hint, now: float) -> None:
        """Poll these as soon as they may be polled."""
        for address in hint.mailboxes:
            watch = self.watches.get(WorkingMailbox(hint.profile, address))
            if watch is None or watch.trouble is not None:
                continue
            if watch.out_since is not None:
                watch.heard = True
            elif not watch.ready:
                self._wait(watch, now)

    def polled(self, report: Polled, now: float) -> Turn:
        """A mailbox is back."""
        watch = self.watches.get(WorkingMailbox(report.profile, report.mailbox))
        if watch is None:
            return Turn()
        began = watch.out_since
        self._back(watch)
        watch.note, watch.kept = report.note, report.kept
        watch.stuck_polls = (
            watch.stuck_polls + 1 if report.stuck and report.stuck == watch.stuck else bool(report.stuck)
        )
        watch.stuck = report.stuck
        if report.reason is not None:
            return self._failed(watch, report.reason, report.retry_after_seconds, now)
        lane = self.lanes[report.profile]
        turn = Turn(ended=watch.trouble or lane.trouble)
        watch.trouble = lane.trouble = None
        watch.polled_at = now
        if report.more:
            self._make_ready(watch)
        else:
            pace = watch.route.profile.poll_seconds * (0.8 + 0.2 * next(self._jitter))
            self._wait(watch, now if watch.heard else max(now, (began or now) + pace))
        return turn

    def _drop(self, watch: Watch) -> None:
        self._back(watch)
        if watch.ready:
            self.lanes[watch.route.profile.name].ready.remove(watch)

    def _goes_on(self, working: WorkingMailbox, route: IncomingRoute, now: float) -> bool:
        """Whether it was read before."""
        watch = self.watches.get(working)
        if watch is None:
            return False
        if watch.route != route:
            watch.route = route
            self.lanes[working.profile].trouble = None
            if watch.trouble is not None:
                watch.trouble = None
                self._wait(watch, now)
        return True

    def _failed(self, watch: Watch, reason: Reason, told_seconds: float | None, now: float) -> Turn:
        lane = self.lanes[watch.route.profile.name]
        if reason.scope in (Scope.PROFILE, Scope.SERVER):
            self._wait(watch, now)
            if lane.trouble is not None and now < lane.trouble.until:
                return Turn()  # it was out already when the trouble began
            lane.trouble = self._again(lane.trouble, reason, told_seconds, now)
            return Turn(began=lane.trouble)
        watch.trouble = self._again(watch.trouble, reason, told_seconds, now)
        self._wait(watch, watch.trouble.until)
        return Turn(began=watch.trouble)

    def _again(self, before: Trouble | None, reason: Reason, told_seconds: float | None, now: float) -> Trouble:
        failures = before.failures + 1 if before else 1
        wait = WAITS[min(failures, len(WAITS)) - 1] * (1 + 0.2 * next(self._jitter))
        return Trouble(reason, before.since if before else now, now + max(wait, told_seconds or 0.0), failures)

    def _taken(self, lane: Lane, now: float) -> Iterable[Watch]:
        while lane.ready and lane.free(now):
            watch = lane.ready.popleft()
            watch.ready, watch.heard, watch.out_since = False, False, now
            lane.out += 1
            if watch.missed_at is None:
                self._miss(watch, now + LOST_SECONDS)
            yield watch

    def _miss(self, watch: Watch, at: float) -> None:
        watch.missed_at = at
        self._push(at, watch)

    def _look_for(self, watch: Watch, now: float) -> None:
        """Whoever is out for too long is taken for back; who went out since is looked for later."""
        watch.missed_at = None
        if watch.out_since is None:
            return
        if now < watch.out_since + LOST_SECONDS:
            self._miss(watch, watch.out_since + LOST_SECONDS)
            return
        self._back(watch)
        self._make_ready(watch)

    def _back(self, watch: Watch) -> None:
        if watch.out_since is not None:
            self.lanes[watch.route.profile.name].out -= 1
            watch.out_since = None

    def _make_ready(self, watch: Watch) -> None:
        if not watch.ready:
            watch.ready = True
            self.lanes[watch.route.profile.name].ready.append(watch)

    def _wait(self, watch: Watch, until: float) -> None:
        watch.due_at = until
        self._push(until, watch)

    def _push(self, at: float, watch: Watch) -> None:
        heapq.heappush(self._times, (at, next(self._serial), watch))
        if len(self._times) > _TIMES * max(1, len(self.watches)):
            self._times = [
                (time, next(self._serial), each)
                for each in self.watches.values()
                for time in (each.missed_at, each.waits_until)
                if time is not None
            ]
            heapq.heapify(self._times)
