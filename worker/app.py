"""The composition root: the one place that knows every part. Parts meet here, and nowhere else."""

import asyncio
import contextlib
import functools
import hashlib
import os
import re
import socket
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import structlog

from worker import __version__, metrics
from worker.attachments.fetch import Fetcher
from worker.attachments.store import open_store
from worker.clock import Clock, SystemClock, rfc3339
from worker.events.fleet import InboundState, OutboundState, WorkerState
from worker.ews.autodiscover.lookup import Lookup
from worker.ews.client import EwsTransport
from worker.ews.connect_to import ConnectTo
from worker.ews.endpoint import Account, BasicSignIn, Endpoint, NtlmSignIn, OAuthSignIn
from worker.ews.operations.create_item import MAX_REQUEST_BYTES
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
from worker.monitoring.http import serve_http
from worker.outbound.accord import Accord
from worker.outbound.pace import Pace
from worker.outbound.pauses import Pauses
from worker.outbound.peers import Peers
from worker.outbound.pipeline import Limits, Outbound, lifetime
from worker.profiles import local
from worker.profiles.book import Book
from worker.profiles.directory import Directory
from worker.profiles.file import ProfilesFile
from worker.profiles.in_force import InForce
from worker.profiles.published import PublishedProfiles
from worker.profiles.warnings import warnings
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.broker import Publisher, RabbitBroker
from worker.rabbitmq.connection import BrokerConnection, Session
from worker.rabbitmq.consumer import consume
from worker.rabbitmq.election import elect
from worker.rabbitmq.fleet import answer_questions
from worker.rabbitmq.news import spread
from worker.rabbitmq.profiles import follow
from worker.rabbitmq.tickets import RabbitFleet
from worker.rabbitmq.topology import BULK, ITEMS, LISTENS, OUTBOUND, POLLS
from worker.service import either, hang_up_on_signal, serve, stop_on_signals
from worker.settings import ConfigurationError, Settings
from worker.tracing import open_tracing

_log = structlog.get_logger("worker")

LISTENS_PREFETCH: Final = 50
"""Connections for notifications that one worker keeps open, at most."""

PAUSING: Final = tuple(scope for scope in Scope if scope.beyond_message)
"""What may be paused."""


async def run_worker(settings: Settings, roles: frozenset[str]) -> None:
    """Work until SIGTERM or SIGINT. Raises ConfigurationError for whatever a person has to correct first."""
    stopping = stop_on_signals()
    clock = SystemClock()
    key = _correlation_key(settings)
    tracing, stop_tracing = open_tracing(settings, worker_name(), clock)
    address = BrokerAddress.parse(settings.amqp_url)
    connection = BrokerConnection(address, clock, name=worker_name())
    store = open_store(settings.attachment_store)
    in_force = InForce()
    profiles = Profiles(settings, in_force, clock)
    elsewhere = resolver(settings)
    transport = EwsTransport(
        lambda mailbox: endpoint(in_force.book, mailbox, settings),
        _observe,
        clock,
        timedelta(days=settings.horizon_days),
        note_name=note_name(address.vhost),
        resolver=elsewhere,
        lookup=Lookup(clock, hosts=frozenset(settings.autodiscover_hosts or ()), resolver=elsewhere),
    )
    in_force.follow(lambda _book: transport.renew())
    metrics.token_ends.read, metrics.certificate_ends.read = transport.tokens_end, transport.certificates_end
    in_force.follow(_tell_profiles)
    in_force.follow(_count_from_zero)
    _tell_start(settings, roles)
    outbound = OutboundFlow(settings, in_force, transport, clock, key, tracing) if "outbound" in roles else None
    inbound = (
        InboundFlow(settings, in_force, transport, clock, key=key, store=store, tracing=tracing)
        if "inbound" in roles
        else None
    )
    profiles.load()
    started_at = rfc3339(clock.now())

    def ready() -> Mapping[str, bool]:
        return {"broker": connection.connected, "profiles": in_force.loaded}

    def state() -> WorkerState:
        return WorkerState(
            worker=worker_name(),
            version=__version__,
            roles=tuple(sorted(roles)),
            started_at=started_at,
            profiles=len(in_force.book.directory.profiles) if in_force.loaded else 0,
            revision=in_force.book.revision if in_force.loaded else "",
            fault=in_force.fault,
            published=settings.profiles_are_published,
            outbound=outbound.state() if outbound else None,
            inbound=inbound.state() if inbound else None,
        )

    async def work(session: Session) -> None:
        async with asyncio.TaskGroup() as tasks:
            announced, listening = asyncio.Event(), asyncio.Event()
            hear = outbound.accord.hear if outbound else lambda _news: None
            tasks.create_task(answer_questions(session, state, announced, listening, hear))
            following = tasks.create_task(profiles.follow(session, announced))
            await either(in_force.wait(), session.stopping.wait())
            if outbound and in_force.loaded:
                introduced = asyncio.Event()
                tasks.create_task(spread(session, outbound.accord, clock, listening, introduced))
                await either(introduced.wait(), session.stopping.wait())
            flows = [tasks.create_task(each.work(session)) for each in (outbound, inbound) if each and in_force.loaded]
            await asyncio.gather(*flows)
            await session.stopping.wait()
            following.cancel()

    async with serve_http(settings.http, metrics.REGISTRY, ready) as url, contextlib.AsyncExitStack() as closing:
        closing.push_async_callback(transport.close)
        closing.push_async_callback(stop_tracing)
        if url:
            _log.info("listening", metrics=f"{url}/metrics", ready=f"{url}/readyz")
        await serve(
            connection.run(work),
            connection.stop,
            stopping=stopping,
            shutdown_seconds=settings.shutdown_seconds,
        )
    _log.info("stopped")


class Profiles:
    """Where the profiles come from: a file, or what was published. Both are read again while the worker runs."""

    def __init__(self, settings: Settings, in_force: InForce, clock: Clock) -> None:
        self._clock = clock
        self._hang_up = hang_up_on_signal()
        self._published = PublishedProfiles(in_force)
        keep = lifetime(timedelta(days=settings.horizon_days))
        published = settings.profiles_are_published
        self._file = None if published else ProfilesFile(settings.profiles, in_force, clock, keep)

    def load(self) -> None:
        """What must be there before the work begins. Raises ConfigurationError."""
        if self._file is not None:
            self._file.load()

    async def follow(self, session: Session, announced: asyncio.Event) -> None:
        """Until the session is stopping, or cancelled."""
        if self._file is not None:
            await self._file.follow(self._hang_up)
        else:
            await follow(session, self._clock, announced, self._published.take)


class OutboundFlow:
    """The outbound pipeline, anew for each session with the broker; what may outlive one is kept here."""

    def __init__(  # noqa: PLR0913, PLR0917 - the ports it stands between
        self,
        settings: Settings,
        in_force: InForce,
        transport: Transport,
        clock: Clock,
        key: bytes | None,
        tracing: Tracing,
    ) -> None:
        self._tracing = tracing
        self._settings = settings
        self._in_force = in_force
        self._transport = transport
        self._clock = clock
        self._key = key
        asked = asyncio.Event()
        peers = Peers(clock, worker_name())
        self._pace = Pace(clock, peers)
        self._pauses = Pauses(
            clock,
            server_of=lambda mailbox: server_of(in_force.book, mailbox),
            probe_seconds=settings.ews_timeout_seconds + 5,
            rank=lambda: peers.rank,
            changed=lambda _key: asked.set(),
        )
        self.accord = Accord(clock, peers, self._pace, self._pauses, asked)
        in_force.follow(lambda _book: self._pauses.forget())
        self._files = linked_files(settings)
        self._outbound: Outbound | None = None
        metrics.mailboxes.labels("active").set_function(
            lambda: self._outbound.active_mailboxes if self._outbound else 0
        )
        metrics.mailboxes.labels("paused").set_function(lambda: self._pauses.mailboxes)
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
        return OutboundState(in_progress=in_progress, paused=self._pauses.states(), waiting=self._pace.states())

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
        routes = self._in_force.book.directory.incoming()
        publisher = await Publisher.open(session)
        fleet = await RabbitFleet.open(session, publisher)
        desk = Desk(RabbitBroker(publisher), fleet, self._intake, self._clock, session.stopping, self._tracing)
        poller = self._poller = Poller(desk, self._transport, routes, concurrency=self._settings.concurrency)
        listener = self._listener = Listener(fleet, self._transport, frozenset(route.working for route in routes))
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
        routes = book.directory.incoming()
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


def note_name(vhost: str) -> str:
    """What the cursors of this CRM organisation are called in the mailboxes: two that read one mailbox, each from a
    vhost of its own, must not move each other's.
    """
    if vhost == "/":
        return "CrmMailRouter"
    plain = re.sub(r"[^A-Za-z0-9]", "", vhost)[:40]
    return f"CrmMailRouter.{plain}.{hashlib.sha256(vhost.encode()).hexdigest()[:8]}"


def linked_files(settings: Settings) -> Fetcher:
    """Where attachments by URL come from, and how much of them there may be."""
    return Fetcher(
        open_store(settings.attachment_store),
        settings.attachment_hosts or (),
        settings.attachment_networks or (),
        max_bytes=settings.max_attachment_bytes,
        mail_bytes=MAX_REQUEST_BYTES // 4 * 3,
    )


def resolver(settings: Settings) -> ConnectTo | None:
    """Where connections to Exchange go, if not where the name service says. Within the event loop."""
    return ConnectTo({each.place: each.there for each in settings.connect_to}) if settings.connect_to else None


def server_of(book: Book, mailbox: WorkingMailbox) -> str:
    """The server that a mailbox is on, as far as the profiles tell."""
    directory = book.directory_of(mailbox)
    profile = directory.profiles.get(mailbox.profile) if directory else None
    host = urlsplit(profile.location).netloc if profile else ""
    return host or f"the server of {mailbox.profile}"


def endpoint(book: Book, mailbox: WorkingMailbox, settings: Settings) -> Endpoint | None:
    """How the server of a working mailbox is reached, and as whom; None where no profiles tell any more."""
    directory = book.directory_of(mailbox)
    if directory is None:
        return None
    profile = directory.profiles[mailbox.profile]
    return Endpoint(
        profile=profile.name,
        url=profile.location,
        sign_in=account(directory, mailbox),
        impersonate=profile.impersonates,
        own_credentials=profile.credentials == "user-specified",
        shared_mailbox=profile.sends_from_account,
        ca_file=str(profile.ca_file) if profile.ca_file else None,
        timeout_seconds=settings.ews_timeout_seconds,
        online=profile.server == "exchange-online",
        on_behalf=profile.access == "delegate" and profile.sends_from_account,
    )


def account(directory: Directory, mailbox: WorkingMailbox) -> Account:
    """Who opens a working mailbox, and how that is proved."""
    profile = directory.profiles[mailbox.profile]
    if profile.authentication == "oauth2":
        assert profile.tenant_id is not None
        assert profile.client_id is not None
        return OAuthSignIn(
            authority=profile.authority,
            tenant_id=profile.tenant_id,
            client_id=profile.client_id,
            scope=profile.scope,
            client_secret=profile.client_secret,
            certificate=profile.certificate,
        )
    credentials = directory.credentials(mailbox)
    kind = NtlmSignIn if profile.authentication == "ntlm" else BasicSignIn
    return kind(credentials.username, credentials.password)


def worker_name() -> str:
    """What this process is called, in the broker's list of connections and among the fleet."""
    return f"mailrouter {__version__} {socket.gethostname()} {os.getpid()}"


def _correlation_key(settings: Settings) -> bytes | None:
    try:
        return settings.correlation_key.resolve().encode() if settings.correlation_key else None
    except ConfigurationError as error:
        raise ConfigurationError(*(f"MAILROUTER_CORRELATION_KEY: {fault}" for fault in error.faults)) from None


def _observe(profile: str, operation: str, result: str, seconds: float) -> None:
    if result == "busy":
        metrics.throttled_total.labels(profile).inc()
    elif result == "sign-in":
        metrics.sign_in_failures_total.labels(profile).inc()
    metrics.ews_requests_total.labels(operation, result).inc()
    metrics.ews_seconds.labels(operation).observe(seconds)


def _count_from_zero(book: Book) -> None:
    """What alerts compare is there before it first happens: Prometheus sees no increase of what was not there."""
    for profile in book.directory.profiles.values():
        metrics.throttled_total.labels(profile.name)
        metrics.sign_in_failures_total.labels(profile.name)
        if profile.direction == "outgoing":
            for outcome in ("accepted", "deferred", "failed", "unresolved"):
                metrics.outbound_total.labels(outcome, profile.name)
        else:
            for result in ("ok", "failed"):
                metrics.polls_total.labels(result, profile.name)


def _tell_start(settings: Settings, roles: frozenset[str]) -> None:
    _log.info(
        "starting",
        version=__version__,
        roles=sorted(roles),
        broker=str(BrokerAddress.parse(settings.amqp_url)),
        profiles=str(settings.profiles),
    )
    if settings.correlation_key is None:
        _log.warning("no MAILROUTER_CORRELATION_KEY: nothing will prove that a reply's Message-ID is one of ours")


def _tell_profiles(book: Book) -> None:
    directory = book.directory
    _log.info(
        "profiles in force",
        revision=book.revision,
        profiles=len(directory.profiles),
        mailboxes=len(directory.mailboxes),
    )
    for warning in (*warnings(directory), *local.warnings(tuple(directory.profiles.values()))):
        _log.warning("profiles", warning=warning)
