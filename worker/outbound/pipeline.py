"""The way of a send request, on one screen:

    take -> decode -> admit -> (files by URL) -> lane [ draft -> look -> send ] -> report -> settle

`take` decides what is to be done with a message of the queue; the lane does it; `settle` ends it. Whatever happens in
between, the message stays unacked until the broker has confirmed what became of it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from worker import metrics
from worker.clock import Clock, rfc3339
from worker.events.broker import Broker, Delivery
from worker.events.decode import Invalid, SendRequest, decode
from worker.fleet.pace import Pace, Pacing
from worker.fleet.pauses import Pauses
from worker.fleet.peers import Peers
from worker.fleet.quota import Allowed, Quota
from worker.mail.files import LinkedFiles
from worker.mail.outcome import Deferred, Reason, Rejected, Scope, Unresolved
from worker.mail.trace import OFF, MailSpan, TraceContext, Tracing, steps
from worker.mail.transport import Transport
from worker.outbound.entry import Entry, LookFor, Outcome
from worker.outbound.history import History
from worker.outbound.lanes import Lanes
from worker.outbound.render import render
from worker.outbound.settle import GRACE, Settlement, waited_too_long
from worker.profiles.book import Book, Way
from worker.profiles.model import Profile

_log = structlog.get_logger("outbound")

LATEST: Final = timedelta(hours=1)
"""What was ordered for the very end of the horizon is still taken up, so long after its time."""


def taken_until(request: SendRequest, horizon: timedelta) -> datetime:
    """A request that is taken up later than this is too old."""
    until = request.time + horizon
    return until if request.send_after is None else max(until, request.send_after + LATEST)


def lifetime(horizon: timedelta) -> timedelta:
    """How long after its `time` a request may still be under way, at most."""
    return horizon + GRACE + LATEST


@dataclass(frozen=True, slots=True)
class Limits:
    max_event_bytes: int
    horizon: timedelta
    max_attempts: int
    concurrency: int
    patience_seconds: float
    """How long a lane may be without an answer before what waits in it is given back."""
    prefetch: int = 100
    """So many requests are in hand at once."""
    max_wait: timedelta = timedelta(days=3)
    """How long a request waits for a mailbox, profile or server in trouble before it fails."""


class Outbound:
    """The pipeline over one session with the broker. `tasks` is the session's: when it ends, all work in it ends."""

    def __init__(  # noqa: PLR0913 - the ports it stands between
        self,
        broker: Broker,
        transport: Transport,
        book: Callable[[], Book],
        clock: Clock,
        tasks: asyncio.TaskGroup,
        *,
        files: LinkedFiles,
        limits: Limits,
        correlation_key: bytes | None = None,
        pauses: Pauses | None = None,
        pace: Pace | None = None,
        quota: Quota | None = None,
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._book = book
        self._clock = clock
        self._limits = limits
        self._key = correlation_key
        self._pauses = pauses or Pauses(clock)
        self._pace = pace or Pace(clock, Peers(clock, ""))
        self._settlement = Settlement(
            broker, clock, max_attempts=limits.max_attempts, horizon=limits.horizon, max_wait=limits.max_wait
        )
        self._lanes = Lanes(
            transport,
            self._pauses,
            self._pace,
            quota or Quota(clock, Peers(clock, "")),
            clock,
            self._settle,
            tasks,
            files=files,
            concurrency=limits.concurrency,
            patience_seconds=limits.patience_seconds,
            batch_mails=max(1, limits.prefetch // 2 // limits.concurrency),
        )
        self._in_progress = 0

    async def take(self, delivery: Delivery) -> None:
        """One message of the queue. Returns when it is settled or handed to its lane."""
        self._in_progress += 1
        since = self._clock.monotonic()
        try:
            await self._take(delivery)
        except Exception:  # noqa: BLE001 - a bug must cost its own message, not the worker
            _log.exception("a bug stopped a message", message_id=delivery.message_id)
            self._ended(await self._settlement.abandon(delivery), "", since)

    @property
    def in_progress(self) -> int:
        """Requests taken and not yet settled."""
        return self._in_progress

    @property
    def active_mailboxes(self) -> int:
        """How many mailboxes mail is being sent from, or waits for its turn."""
        return self._lanes.active

    async def drain(self) -> None:
        """End what is under way, begin nothing else."""
        await self._lanes.drain()

    def close(self) -> None:
        """Forget what was not settled: with the session it has become the broker's again."""
        self._lanes.close()
        self._in_progress = 0

    async def _take(self, delivery: Delivery) -> None:
        now, since = self._clock.now(), self._clock.monotonic()
        request = decode(
            delivery.body,
            delivery.content_type,
            delivery.headers,
            now=now,
            max_bytes=self._limits.max_event_bytes,
            horizon_days=self._limits.horizon / timedelta(days=1),
        )
        match request:
            case Invalid():
                self._ended(await self._settlement.refuse(delivery, request), "", since)
            case SendRequest() if (due_at := _due_at(request)) and due_at > now:
                delay_seconds, history = (due_at - now).total_seconds(), History.read(delivery.headers, now)
                self._ended(await self._settlement.wait(delivery, request.event_id, delay_seconds, history), "", since)
            case SendRequest():
                await self._admit(delivery, request, now)

    async def _admit(self, delivery: Delivery, request: SendRequest, now: datetime) -> None:
        history = History.read(delivery.headers, now)
        way = self._book().outgoing(request.sender.address, request.time, now, history.begun_in)
        if isinstance(way, Reason):
            entry = self._entry(delivery, request, history, None, now)
            perhaps_sent = entry.doubt or entry.unlooked  # and nowhere to look for it
            await self._settle(entry, Unresolved(way) if perhaps_sent else Rejected(way))
            return
        if (delay := self._behind(delivery, request, history, way, now)) is not None:
            due_at = history.due_at or rfc3339(now + timedelta(seconds=delay))
            later = replace(history, due_at=due_at)
            since, event_id = self._clock.monotonic(), request.event_id
            self._ended(await self._settlement.wait(delivery, event_id, delay, later), way.route.profile.name, since)
            return
        entry = self._entry(delivery, request, history, way, now)
        if held := self._lanes.hold(entry):
            await self._settle(entry, held)
        else:
            self._lanes.submit(entry)

    def _behind(
        self, delivery: Delivery, request: SendRequest, history: History, way: Way, now: datetime
    ) -> float | None:
        """The short way of a mail that waits in a long line anyway: in how many seconds its turn is. None where there
        is more to it.
        """
        perhaps_sent = delivery.redelivered or history.unlooked or history.doubt
        if perhaps_sent or request.expires_at or way.closes_at or self._verdict(request, history, now):
            return None
        route = way.route
        return self._pace.behind(route.working, _pacing(route.profile), bulk=delivery.bulk, due_in=history.due_in(now))

    def _entry(
        self, delivery: Delivery, request: SendRequest, history: History, way: Way | None, now: datetime
    ) -> Entry:
        span = self._span(delivery, request, history, way)
        context = span.context
        entry = Entry(
            message=render(request, self._key),
            time=request.time,
            email_id=request.email_id,
            event_id=request.event_id,
            source=request.source,
            profile=way.route.profile.name if way else "",
            mailbox=request.sender.address,
            history=history,
            places=way.places if way else (),
            closes_at=way.closes_at if way else None,
            opens_at=way.opens_at if way else None,
            traceparent=context.traceparent or request.traceparent,
            tracestate=context.tracestate,
            span=span,
            expires_at=request.expires_at,
            pacing=_pacing(way.route.profile) if way else Pacing(),
            allowed=_allowed(way.route.profile) if way else Allowed(),
            max_bytes=way.route.profile.max_message_bytes if way else None,
            last_attempt=history.attempts + 1 >= self._limits.max_attempts,
            verdict=self._verdict(request, history, now),
            bulk=delivery.bulk,
            taken_at=self._clock.monotonic(),
            deliveries=[delivery],
            doubt=history.doubt,
            begun_in=history.begun_in,
            unlooked=history.unlooked or delivery.redelivered,
        )
        if entry.verdict or entry.unlooked or history.doubt or history.attempts or history.waits:
            entry.step = LookFor()
        return entry

    def _span(self, delivery: Delivery, request: SendRequest, history: History, way: Way | None) -> MailSpan:
        return self._tracing.send(
            TraceContext(request.traceparent, request.tracestate),
            delivery.headers,
            stamp=request.stamp,
            event_id=request.event_id,
            email_id=request.email_id,
            sender=request.sender.address,
            profile=way.route.profile.name if way else "",
            attempt=history.attempts + 1,
            bulk=delivery.bulk,
        )

    def _verdict(self, request: SendRequest, history: History, now: datetime) -> Reason | None:
        """Why a request ends unsent from the outset; even then only after a look (rule 8)."""
        if now > taken_until(request, self._limits.horizon):
            return Reason(
                "too-old",
                Scope.MESSAGE,
                f"the event's time, {rfc3339(request.time)}, lies further back than the horizon",
                "publish it as a new event; or raise MAILROUTER_HORIZON_DAYS on all workers, then replay it",
            )
        if history.attempts >= self._limits.max_attempts:
            return Reason(
                "attempts-exhausted",
                Scope.MESSAGE,
                f"given up after {history.attempts} attempts; the last one ended with {history.told}",
                "see the deferrals before for the cause, then 'mailrouter dead replay ID'",
            )
        if history.waited(now) > self._limits.max_wait:
            return waited_too_long(self._limits.max_wait, f"the last time for {history.told}", "")
        return None

    async def _settle(self, entry: Entry, outcome: Outcome) -> None:
        name = "abandoned"
        try:
            with steps("settle", [entry.span]) as told:
                name = await self._settlement.settle(entry, outcome)
                told([name])
        except Exception:  # noqa: BLE001 - likewise
            _log.exception("a bug stopped a settlement", event_id=entry.event_id)
            for delivery in entry.deliveries:
                name = await self._settlement.abandon(delivery)
        entry.span.end(name, outcome.reason if isinstance(outcome, Deferred | Rejected | Unresolved) else None)
        for _ in entry.deliveries:
            self._ended(name, entry.profile, entry.taken_at)

    def _ended(self, outcome: str, profile: str, since: float) -> None:
        metrics.outbound_total.labels(outcome, profile).inc()
        metrics.outbound_seconds.observe(self._clock.monotonic() - since)
        self._in_progress -= 1


def _allowed(profile: Profile) -> Allowed:
    return Allowed(profile.profile_max_concurrency, profile.profile_requests_per_minute)


def _pacing(profile: Profile) -> Pacing:
    return Pacing(profile.messages_per_minute, profile.max_concurrency)


def _due_at(request: SendRequest) -> datetime | None:
    """When the request is to be taken up; one that expires before is taken up then, to be reported."""
    return (
        min((each for each in (request.send_after, request.expires_at) if each), default=None)
        if request.send_after
        else None
    )
