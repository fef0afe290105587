"""The composition root: the one place that knows every part. Parts meet here, and nowhere else."""

import asyncio
import contextlib
import functools
import gc
import hashlib
import os
import re
import socket
from collections.abc import Mapping
from datetime import timedelta
from uuid import uuid4

import structlog

from worker import __version__, metrics
from worker.access import endpoint, resolver
from worker.attachments.store import open_store
from worker.clock import Clock, SystemClock, rfc3339
from worker.events.fleet import WorkerState
from worker.ews.autodiscover.lookup import Lookup
from worker.ews.client import EwsTransport
from worker.fleet.quota import Quota
from worker.flows import InboundFlow, OutboundFlow, accord
from worker.monitoring.http import serve_http
from worker.outbound.pipeline import lifetime
from worker.profiles import local
from worker.profiles.book import Book
from worker.profiles.file import ProfilesFile
from worker.profiles.in_force import InForce
from worker.profiles.published import PublishedProfiles
from worker.profiles.warnings import warnings
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.connection import BrokerConnection
from worker.rabbitmq.fleet import answer_questions
from worker.rabbitmq.news import spread
from worker.rabbitmq.profiles import follow
from worker.rabbitmq.session import Session
from worker.service import either, hang_up_on_signal, serve, stop_on_signals
from worker.settings import ConfigurationError, Settings
from worker.tracing import open_tracing

_log = structlog.get_logger("worker")


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
    sends, reads = "outbound" in roles, "inbound" in roles
    together = accord(settings, in_force, clock, _name_among_workers(), sends=sends)
    elsewhere = resolver(settings)
    transport = EwsTransport(
        lambda mailbox: endpoint(in_force.book, mailbox, settings),
        functools.partial(_observe, together.quota),
        clock,
        timedelta(days=settings.horizon_days),
        note_name=note_name(address.vhost),
        resolver=elsewhere,
        lookup=Lookup(clock, hosts=frozenset(settings.autodiscover_hosts or ()), resolver=elsewhere),
    )
    in_force.follow(lambda _book: transport.renew())
    metrics.token_ends.read, metrics.certificate_ends.read = transport.tokens_end, transport.certificates_end
    in_force.follow(functools.partial(_tell_profiles, clock))
    in_force.follow(_count_from_zero)
    _tell_start(settings, roles)
    outbound = OutboundFlow(settings, in_force, transport, clock, together, key=key, tracing=tracing) if sends else None
    inbound = (
        InboundFlow(settings, in_force, transport, clock, together.pauses, key=key, store=store, tracing=tracing)
        if reads
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
            tasks.create_task(answer_questions(session, state, announced, listening, together.hear))
            following = tasks.create_task(profiles.follow(session, announced))
            await either(in_force.wait(), session.stopping.wait())
            if in_force.loaded:
                introduced = asyncio.Event()
                tasks.create_task(spread(session, together, clock, listening, introduced))
                await either(introduced.wait(), session.stopping.wait())
            flows = [tasks.create_task(each.work(session)) for each in (outbound, inbound) if each and in_force.loaded]
            await asyncio.gather(*flows)
            await session.stopping.wait()
            following.cancel()

    gc.freeze()  # what is there stays: see worker.cli.COLLECT
    serving = serve_http(settings.http, metrics.REGISTRY, ready, chosen="http" in settings.model_fields_set)
    async with serving as url, contextlib.AsyncExitStack() as closing:
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


def note_name(vhost: str) -> str:
    """What the cursors of this CRM organisation are called in the mailboxes: two that read one mailbox, each from a
    vhost of its own, must not move each other's.
    """
    if vhost == "/":
        return "CrmMailRouter"
    plain = re.sub(r"[^A-Za-z0-9]", "", vhost)[:40]
    return f"CrmMailRouter.{plain}.{hashlib.sha256(vhost.encode()).hexdigest()[:8]}"


def worker_name() -> str:
    """What this process is called, in the broker's list of connections and among the fleet."""
    return f"mailrouter {__version__} {socket.gethostname()} {os.getpid()}"


def _name_among_workers() -> str:
    """Of this process alone: in containers host name and process id may be the same for all."""
    return f"{worker_name()} {uuid4().hex[:8]}"


def _correlation_key(settings: Settings) -> bytes | None:
    try:
        return settings.correlation_key.resolve().encode() if settings.correlation_key else None
    except ConfigurationError as error:
        raise ConfigurationError(*(f"MAILROUTER_CORRELATION_KEY: {fault}" for fault in error.faults)) from None


def _observe(quota: Quota, profile: str, operation: str, result: str, seconds: float) -> None:
    quota.made(profile)
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


def _tell_profiles(clock: Clock, book: Book) -> None:
    directory, now = book.directory, clock.now()
    _log.info(
        "profiles in force",
        revision=book.revision,
        profiles=len(directory.profiles),
        mailboxes=len(directory.mailboxes),
    )
    for warning in (*warnings(directory, now), *local.warnings(tuple(directory.profiles.values()), now)):
        _log.warning("profiles", warning=warning)
