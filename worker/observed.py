"""What operators see of a worker's start, of its profiles and of its requests to Exchange: log lines and metrics."""

import structlog

from worker import __version__, metrics
from worker.clock import Clock
from worker.fleet.quota import Quota
from worker.profiles import local
from worker.profiles.book import Book
from worker.profiles.warnings import warnings
from worker.rabbitmq.address import BrokerAddress
from worker.settings import Settings

_log = structlog.get_logger("worker")


def tell_start(settings: Settings, roles: frozenset[str]) -> None:
    """What this worker is, and what it was given."""
    _log.info(
        "starting",
        version=__version__,
        roles=sorted(roles),
        broker=str(BrokerAddress.parse(settings.amqp_url)),
        profiles=str(settings.profiles),
    )
    if settings.correlation_key is None:
        _log.warning("no MAILROUTER_CORRELATION_KEY: nothing will prove that a reply's Message-ID is one of ours")


def tell_profiles(clock: Clock, book: Book) -> None:
    """What is in force now, and what in it may not be as somebody thinks."""
    directory, now = book.directory, clock.now()
    _log.info(
        "profiles in force",
        revision=book.revision,
        profiles=len(directory.profiles),
        mailboxes=len(directory.mailboxes),
    )
    for warning in (*warnings(directory, now), *local.warnings(tuple(directory.profiles.values()), now)):
        _log.warning("profiles", warning=warning)


def count_from_zero(book: Book) -> None:
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


def observe(quota: Quota, profile: str, operation: str, result: str, seconds: float) -> None:
    """What `worker.ews.exchange.Observe` is told, for a profile's quota and in metrics."""
    quota.made(profile)
    if result == "busy":
        metrics.throttled_total.labels(profile).inc()
    elif result == "sign-in":
        metrics.sign_in_failures_total.labels(profile).inc()
    metrics.ews_requests_total.labels(operation, result).inc()
    metrics.ews_seconds.labels(operation).observe(seconds)
