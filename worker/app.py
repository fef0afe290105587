"""The composition root: the one place that knows every part. Parts meet here, and nowhere else."""

import asyncio
import contextlib
import functools
import gc
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from worker import __version__, metrics
from worker.access import endpoint, resolver
from worker.attachments.store import open_store
from worker.clock import Clock, SystemClock, rfc3339
from worker.events.fleet import WorkerState
from worker.ews.autodiscover.lookup import Lookup
from worker.ews.client import EwsTransport
from worker.fleet.accord import Accord
from worker.fleet.quota import Quota
from worker.flows import InboundFlow, OutboundFlow, accord
from worker.monitoring.http import serve_http
from worker.names import name_among_workers, note_name, worker_name
from worker.observed import count_from_zero, observe, tell_profiles, tell_start
from worker.profile_source import ProfileSource
from worker.profiles.in_force import InForce
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.connection import BrokerConnection
from worker.rabbitmq.fleet import answer_questions
from worker.rabbitmq.news import spread
from worker.rabbitmq.session import Session
from worker.service import either, serve, stop_on_signals
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
    profiles = ProfileSource(settings, in_force, clock)
    sends, reads = "outbound" in roles, "inbound" in roles
    together = accord(settings, in_force, clock, name_among_workers(), sends=sends)
    transport = _transport(settings, in_force, clock, together.quota, note_name(address.vhost))
    in_force.follow(functools.partial(tell_profiles, clock))
    in_force.follow(count_from_zero)
    tell_start(settings, roles)
    outbound = OutboundFlow(settings, in_force, transport, clock, together, key=key, tracing=tracing) if sends else None
    inbound = (
        InboundFlow(settings, in_force, transport, clock, together.pauses, key=key, store=store, tracing=tracing)
        if reads
        else None
    )
    profiles.load()
    worker = Worker(
        settings, roles, clock, in_force, profiles, together, outbound, inbound, started_at=rfc3339(clock.now())
    )

    def ready() -> Mapping[str, bool]:
        return {"broker": connection.connected, "profiles": in_force.loaded}

    gc.freeze()  # what is there stays: see worker.cli.COLLECT
    serving = serve_http(settings.http, metrics.REGISTRY, ready, chosen="http" in settings.model_fields_set)
    async with serving as url, contextlib.AsyncExitStack() as closing:
        closing.push_async_callback(transport.close)
        closing.push_async_callback(stop_tracing)
        if url:
            _log.info("listening", metrics=f"{url}/metrics", ready=f"{url}/readyz")
        await serve(
            connection.run(worker.work),
            connection.stop,
            stopping=stopping,
            shutdown_seconds=settings.shutdown_seconds,
        )
    _log.info("stopped")


@dataclass(frozen=True, slots=True)
class Worker:
    """What is done over each session with the broker: answers, other profiles, and the flows of this worker's roles."""

    settings: Settings
    roles: frozenset[str]
    clock: Clock
    in_force: InForce
    profiles: ProfileSource
    together: Accord
    outbound: OutboundFlow | None
    inbound: InboundFlow | None
    started_at: str

    def state(self) -> WorkerState:
        """What `mailrouter status` tells of it."""
        in_force = self.in_force
        return WorkerState(
            worker=worker_name(),
            version=__version__,
            roles=tuple(sorted(self.roles)),
            started_at=self.started_at,
            profiles=len(in_force.book.directory.profiles) if in_force.loaded else 0,
            revision=in_force.book.revision if in_force.loaded else "",
            fault=in_force.fault,
            published=self.settings.profiles_are_published,
            outbound=self.outbound.state() if self.outbound else None,
            inbound=self.inbound.state() if self.inbound else None,
        )

    async def work(self, session: Session) -> None:
        """Returns when the session was told to stop and what was under way has ended."""
        in_force, stopping = self.in_force, session.stopping
        async with asyncio.TaskGroup() as tasks:
            announced, listening = asyncio.Event(), asyncio.Event()
            tasks.create_task(answer_questions(session, self.state, announced, listening, self.together.hear))
            following = tasks.create_task(self.profiles.follow(session, announced))
            await either(in_force.wait(), stopping.wait())
            if in_force.loaded:
                introduced = asyncio.Event()
                tasks.create_task(spread(session, self.together, self.clock, listening, introduced))
                await either(introduced.wait(), stopping.wait())
            both = (self.outbound, self.inbound)
            flows = [tasks.create_task(each.work(session)) for each in both if each and in_force.loaded]
            await asyncio.gather(*flows)
            await stopping.wait()
            following.cancel()


def _transport(settings: Settings, in_force: InForce, clock: Clock, quota: Quota, note_name: str) -> EwsTransport:
    """Exchange, as the profiles in force have it."""
    elsewhere = resolver(settings)
    transport = EwsTransport(
        lambda mailbox: endpoint(in_force.book, mailbox, settings),
        functools.partial(observe, quota),
        clock,
        timedelta(days=settings.horizon_days),
        note_name=note_name,
        resolver=elsewhere,
        lookup=Lookup(clock, hosts=frozenset(settings.autodiscover_hosts or ()), resolver=elsewhere),
    )
    in_force.follow(lambda _book: transport.renew())
    metrics.token_ends.read, metrics.certificate_ends.read = transport.tokens_end, transport.certificates_end
    return transport


def _correlation_key(settings: Settings) -> bytes | None:
    try:
        return settings.correlation_key.resolve().encode() if settings.correlation_key else None
    except ConfigurationError as error:
        raise ConfigurationError(*(f"MAILROUTER_CORRELATION_KEY: {fault}" for fault in error.faults)) from None
