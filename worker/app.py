"""The composition root: the one place that knows every part. Parts meet here, and nowhere else."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

from worker import __version__, metrics
from worker.clock import Clock, SystemClock
from worker.ews.client import EwsTransport
from worker.ews.endpoint import BasicSignIn, Endpoint
from worker.mail.transport import Transport, WorkingMailbox
from worker.monitoring.http import serve_http
from worker.outbound.pauses import Pauses
from worker.outbound.pipeline import Limits, Outbound
from worker.profiles.directory import Directory
from worker.profiles.loader import load
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.broker import Publisher, RabbitBroker
from worker.rabbitmq.connection import BrokerConnection, Session
from worker.rabbitmq.consumer import consume
from worker.rabbitmq.topology import BULK, OUTBOUND
from worker.service import serve, stop_on_signals
from worker.settings import ConfigurationError, Settings

_log = structlog.get_logger("worker")

WITHOUT_EFFECT: Final = frozenset({"messages_per_minute", "max_concurrency", "max_message_bytes"})
"""Keys of profiles that are checked, and that nothing heeds yet."""


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Raises ConfigurationError for whatever a person has to correct first."""
    stopping = stop_on_signals()
    clock = SystemClock()
    directory = load(settings.profiles)
    key = _correlation_key(settings)
    connection = BrokerConnection(BrokerAddress.parse(settings.amqp_url), clock, name=worker_name())
    _tell_start(settings, directory)

    def ready() -> Mapping[str, bool]:
        return {"broker": connection.connected, "profiles": True}

    transport = EwsTransport(
        lambda mailbox: endpoint(directory, mailbox, settings), _observe, clock, timedelta(days=settings.horizon_days)
    )
    async with serve_http(settings.http, metrics.REGISTRY, ready) as url, contextlib.AsyncExitStack() as closing:
        closing.push_async_callback(transport.close)
        if url:
            _log.info("listening", metrics=f"{url}/metrics", ready=f"{url}/readyz")
        flow = OutboundFlow(settings, directory, transport, clock, key)
        await serve(
            connection.run(flow.work),
            connection.stop,
            stopping=stopping,
            shutdown_seconds=settings.shutdown_seconds,
        )
    _log.info("stopped")


class OutboundFlow:
    """The outbound pipeline, anew for each session with the broker; what may outlive one is kept here."""

    def __init__(
        self, settings: Settings, directory: Directory, transport: Transport, clock: Clock, key: bytes | None
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._transport = transport
        self._clock = clock
        self._key = key
        self._pauses = Pauses(clock)
        self._outbound: Outbound | None = None
        metrics.mailboxes.labels("active").set_function(
            lambda: self._outbound.active_mailboxes if self._outbound else 0
        )
        metrics.mailboxes.labels("paused").set_function(lambda: self._pauses.mailboxes)
        self._limits = Limits(
            max_event_bytes=settings.max_event_bytes,
            horizon=timedelta(days=settings.horizon_days),
            max_attempts=settings.max_attempts,
            concurrency=settings.concurrency,
            patience_seconds=settings.ews_timeout_seconds / 4,
        )

    async def work(self, session: Session) -> None:
        """Returns when the session was told to stop and what was under way has ended."""
        async with asyncio.TaskGroup() as tasks:
            outbound = self._outbound = Outbound(
                RabbitBroker(await Publisher.open(session)),
                self._transport,
                self._directory,
                self._clock,
                tasks,
                limits=self._limits,
                correlation_key=self._key,
                pauses=self._pauses,
            )
            try:
                await consume(
                    session,
                    {
                        OUTBOUND: (self._settings.prefetch, outbound.take),
                        BULK: (self._settings.bulk_prefetch, outbound.take),
                    },
                )
                await outbound.drain()
            finally:
                self._outbound = None
                outbound.close()


def endpoint(directory: Directory, mailbox: WorkingMailbox, settings: Settings) -> Endpoint:
    """How the server of a working mailbox is reached, and as whom."""
    profile = directory.profiles[mailbox.profile]
    credentials = directory.credentials(mailbox)
    return Endpoint(
        profile=profile.name,
        url=profile.location,
        sign_in=BasicSignIn(credentials.username, credentials.password),
        impersonate=profile.impersonates,
        own_credentials=profile.credentials == "user-specified",
        shared_mailbox=profile.sends_from_account,
        ca_file=str(profile.ca_file) if profile.ca_file else None,
        timeout_seconds=settings.ews_timeout_seconds,
    )


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
    metrics.ews_requests_total.labels(operation, result).inc()
    metrics.ews_seconds.labels(operation).observe(seconds)


def _tell_start(settings: Settings, directory: Directory) -> None:
    _log.info(
        "starting",
        version=__version__,
        broker=str(BrokerAddress.parse(settings.amqp_url)),
        profiles=len(directory.profiles),
        mailboxes=len(directory.mailboxes),
    )
    if settings.correlation_key is None:
        _log.warning("no MAILROUTER_CORRELATION_KEY: nothing will prove that a reply's Message-ID is one of ours")
    for profile in directory.profiles.values():
        idle = sorted(WITHOUT_EFFECT & profile.model_fields_set)
        if profile.direction == "incoming" or idle:
            _log.warning("of no effect in this version", profile=profile.name, keys=idle or ["direction"])
        if profile.location.startswith("http://"):
            _log.warning("clear text without TLS, on a loopback address only", profile=profile.name)
