"""The two flows, each with the ports it stands between: mail goes out, mail comes in. What outlives a session with the
broker is kept here.
"""

import asyncio
import functools
from datetime import datetime, timedelta
from typing import Final

from worker import metrics
from worker.access import server_of
from worker.attachments.fetch import Fetcher
from worker.attachments.store import open_store
from worker.clock import Clock
from worker.events.fleet import InboundState, OutboundState
from worker.ews.operations.create_item import MAX_REQUEST_BYTES
from worker.fleet.accord import Accord
from worker.fleet.pace import Pace
from worker.fleet.pauses import Pauses
from worker.fleet.peers import Peers
from worker.fleet.quota import Quota
from worker.inbound.intake import Intake, Rules
from worker.inbound.listener import Listener
from worker.inbound.overview import overview
from worker.inbound.poll import Desk
from worker.inbound.poller import Poller
from worker.inbound.scheduler import Scheduler
from worker.mail.incoming import IncomingTransport
from worker.mail.outcome import Scope
from worker.mail.store import AttachmentStore
from worker.mail.trace import Tracing
from worker.mail.transport import Transport, WorkingMailbox
from worker.outbound.pipeline import Limits, Outbound
from worker.profiles.book import Book
from worker.profiles.in_force import InForce
from worker.rabbitmq.broker import Publisher, RabbitBroker
from worker.rabbitmq.consumer import consume
from worker.rabbitmq.election import elect
from worker.rabbitmq.session import Session
from worker.rabbitmq.tickets import RabbitFleet
from worker.rabbitmq.topology import BULK, ITEMS, LISTENS, OUTBOUND, POLLS
from worker.settings import Settings

LISTENS_PREFETCH: Final = 50
"""Connections for notifications that one worker keeps open, at most."""

PAUSING: Final = tuple(scope for scope in Scope if scope.beyond_message)
"""What may be paused."""


def accord(settings: Settings, in_force: InForce, clock: Clock, name: str, *, sends: bool) -> Accord:
    """What this worker, of that name, knows together with the others. `sends`: whether it takes a share of limits."""
    asked = asyncio.Event()
    peers = Peers(clock, name, sends=sends)
    pauses = Pauses(
        clock,
        server_of=lambda mailbox: server_of(in_force.book, mailbox),
        probe_seconds=settings.ews_timeout_seconds + 5,
        rank=lambda: peers.rank,
        changed=lambda _key: asked.set(),
    )
    in_force.follow(lambda _book: pauses.forget())
    return Accord(clock, peers, Pace(clock, peers), Quota(clock, peers), pauses, asked)


class OutboundFlow:
    """The outbound pipeline, anew for each session with the broker; what may outlive one is kept here."""

    def __init__(  # noqa: PLR0913 - the ports it stands between
        self,
        settings: Settings,
        in_force: InForce,
        transport: Transport,
        clock: Clock,
        accord: Accord,
        *,
        key: bytes | None,
        tracing: Tracing,
    ) -> None:
        self._tracing = tracing
        self._settings = settings
        self._in_force = in_force
        self._transport = transport
        self._clock = clock
        self._key = key
        self._pace, self._quota, self._pauses = accord.pace, accord.quota, accord.pauses
        self._files = linked_files(settings)
        self._outbound: Outbound | None = None
        metrics.outbound_in_progress.set_function(lambda: self._outbound.in_progress if self._outbound else 0)
        metrics.mailboxes.labels("active").set_function(
            lambda: self._outbound.active_mailboxes if self._outbound else 0
        )
        metrics.mailboxes.labels("paused").set_function(lambda: self._pauses.mailboxes)
        metrics.mailboxes.labels("waiting").set_function(lambda: len(self._pace.states()))
        metrics.outbound_waiting.set_function(self._waiting)
        for scope in PAUSING:
            longest = metrics.longest_pause_seconds.labels("outgoing", scope)
            longest.set_function(functools.partial(self._pauses.longest_seconds, scope))
        self._limits = Limits(
            max_event_bytes=settings.max_event_bytes,
            horizon=timedelta(days=settings.horizon_days),
            max_attempts=settings.max_attempts,
            concurrency=settings.concurrency,
            patience_seconds=settings.ews_timeout_seconds / 4,
            max_wait=timedelta(hours=settings.max_wait_hours),
            prefetch=settings.prefetch,
        )

    def state(self) -> OutboundState:
        """What `mailrouter status` tells of it."""
        in_progress = self._outbound.in_progress if self._outbound else 0
        return OutboundState(
            in_progress=in_progress, paused=self._pauses.states(), waiting=(*self._quota.states(), *self._pace.states())
        )

    def _waiting(self) -> int:
        return sum(each.waiting for each in (*self._pace.states(), *self._pauses.states()))

    async def work(self, session: Session) -> None:
        """Returns when the session was told to stop and what was under way has ended."""
        async with asyncio.TaskGroup() as tasks:
            outbound = self._outbound = Outbound(
                RabbitBroker(await Publisher.open(session)),
                self._transport,
                lambda: self._in_force.book,
                self._clock,
                tasks,
                files=self._files,
                limits=self._limits,
                correlation_key=self._key,
                pauses=self._pauses,
                pace=self._pace,
                quota=self._quota,
                tracing=self._tracing,
            )
            try:
                await consume(
                    session,
                    {
                        OUTBOUND: (self._settings.prefetch, outbound.take),
                        BULK: (self._settings.bulk_prefetch, outbound.take),
                    },
                    self._settings.prefetch_bytes,
                )
                await outbound.drain()
            finally:
                self._outbound = None
                outbound.close()


class InboundFlow:
    """Reading mailboxes, anew for each session with the broker; what may outlive one is kept here."""

    def __init__(  # noqa: PLR0913 - the ports it stands between
        self,
        settings: Settings,
        in_force: InForce,
        transport: IncomingTransport,
        clock: Clock,
        pauses: Pauses,
        *,
        key: bytes | None,
        store: AttachmentStore,
        tracing: Tracing,
    ) -> None:
        self._tracing = tracing
        self._settings = settings
        self._in_force = in_force
        self._transport = transport
        self._clock = clock
        self._pauses = pauses
        rules = Rules(
            key=key,
            prefix=settings.tracking_prefix,
            inline_bytes=settings.inline_attachment_bytes,
            most_bytes=settings.max_attachment_bytes,
        )
        self._intake = Intake(store, rules, clock)
        self._scheduler = Scheduler(
            (), clock, capacity=settings.poll_prefetch, notifications=settings.notifications == "on"
        )
        self._known_at: dict[WorkingMailbox, datetime] = {}
        self._poller: Poller | None = None
        self._listener: Listener | None = None
        in_force.follow(self._renew)
        metrics.mailboxes.labels("read").set_function(lambda: self._count(troubled=False))
        metrics.mailboxes.labels("unread").set_function(lambda: self._count(troubled=True))
        for scope in PAUSING:
            longest = metrics.longest_pause_seconds.labels("incoming", scope)
            longest.set_function(functools.partial(self._longest_seconds, scope))

    def state(self) -> InboundState:
        """What `mailrouter status` tells of it."""
        polling = self._poller.polling if self._poller else 0
        now, monotonic = self._clock.now(), self._clock.monotonic()
        return overview(self._scheduler.schedule, polling, now=now, monotonic=monotonic)

    async def work(self, session: Session) -> None:
        """Returns when the session was told to stop and what was under way has ended."""
        publisher = await Publisher.open(session)
        fleet = await RabbitFleet.open(session, publisher)
        desk = Desk(RabbitBroker(publisher), fleet, self._intake, self._clock, session.stopping, self._tracing)
        routes = self._in_force.book.directory.incoming()
        poller = self._poller = Poller(
            desk,
            self._transport,
            routes,
            self._pauses,
            known_at=lambda working: self._known_at[working],
            concurrency=self._settings.concurrency,
        )
        listener = self._listener = Listener(
            fleet, self._transport, frozenset(route.working for route in routes), self._pauses
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_then_stop(session, listener))
                tasks.create_task(elect(session, functools.partial(self._scheduler.serve, fleet), self._clock))
                tickets = {
                    POLLS: (self._settings.poll_prefetch, poller.take),
                    ITEMS: (1, poller.take),
                    LISTENS: (LISTENS_PREFETCH, listener.take),
                }
                await consume(session, tickets)
        finally:
            self._poller = self._listener = None

    def _renew(self, book: Book) -> None:
        routes, now = book.directory.incoming(), self._clock.now()
        self._known_at = {route.working: self._known_at.get(route.working, now) for route in routes}
        self._scheduler.renew(routes)
        if self._poller and self._listener:
            self._poller.renew(routes)
            self._listener.renew(frozenset(route.working for route in routes))

    def _count(self, *, troubled: bool) -> int:
        schedule = self._scheduler.schedule
        return schedule.count(troubled=troubled) if schedule else 0

    def _longest_seconds(self, scope: Scope) -> float:
        schedule = self._scheduler.schedule
        return schedule.longest_seconds(scope, self._clock.monotonic()) if schedule else 0.0


async def _then_stop(session: Session, listener: Listener) -> None:
    await session.stopping.wait()
    listener.stop()


def linked_files(settings: Settings) -> Fetcher:
    """Where attachments by URL come from, and how much of them there may be."""
    return Fetcher(
        open_store(settings.attachment_store),
        settings.attachment_hosts or (),
        settings.attachment_networks or (),
        max_bytes=settings.max_attachment_bytes,
        mail_bytes=MAX_REQUEST_BYTES // 4 * 3,
    )
