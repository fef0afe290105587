"""Every metric of the product, in one list. Label values are bounded: outcomes, profile names, operations, states;
never a message id, never an address.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from worker import __version__

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap

REGISTRY: Final = CollectorRegistry()

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

outbound_total: Final = Counter(
    "mailrouter_outbound",
    "Send requests settled, by outcome: accepted, deferred, failed, unresolved, invalid, parked, abandoned, unsettled.",
    ("outcome", "profile"),
    registry=REGISTRY,
)
outbound_seconds: Final = Histogram(
    "mailrouter_outbound_seconds",
    "Seconds from taking a send request out of the queue until it is settled.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
outbound_waiting: Final = Gauge(
    "mailrouter_outbound_waiting",
    "Requests that this worker has told to come back: for their turn, or behind a pause; about so many.",
    registry=REGISTRY,
)
outbound_in_progress: Final = Gauge(
    "mailrouter_outbound_in_progress",
    "Send requests taken and not yet settled.",
    registry=REGISTRY,
)
inbound_total: Final = Counter(
    "mailrouter_inbound",
    "Mails published for the CRM, by kind: message, auto-reply, bounce, receipt, meeting.",
    ("kind", "profile"),
    registry=REGISTRY,
)
inbound_lag_seconds: Final = Histogram(
    "mailrouter_inbound_lag_seconds",
    "Seconds from Exchange receiving a mail until the broker has confirmed its event; without a mailbox's first sync.",
    buckets=(0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 900, 3600),
    registry=REGISTRY,
)
polls_total: Final = Counter(
    "mailrouter_polls",
    "Polls of mailboxes ended, by result: ok, failed.",
    ("result", "profile"),
    registry=REGISTRY,
)
hints_total: Final = Counter(
    "mailrouter_hints",
    "Times a notification told that something may have come into a mailbox.",
    ("profile",),
    registry=REGISTRY,
)
scheduler: Final = Gauge(
    "mailrouter_scheduler",
    "1 while this worker is the one that hands out the polls of the fleet.",
    registry=REGISTRY,
)
mailboxes: Final = Gauge(
    "mailrouter_mailboxes",
    "Mailboxes by state. Of this worker's sending: active, paused, waiting. Of the fleet's reading, told by its "
    "scheduler: read, unread (in trouble).",
    ("state",),
    registry=REGISTRY,
)
longest_pause_seconds: Final = Gauge(
    "mailrouter_longest_pause_seconds",
    "Age of the oldest trouble that holds up mail: outgoing, known to this worker; incoming, told by the scheduler. By "
    "scope: mailbox, profile, server; 0 for none.",
    ("direction", "scope"),
    registry=REGISTRY,
)
ews_requests_total: Final = Counter(
    "mailrouter_ews_requests",
    "Requests to Exchange, by operation and result: ok, error, busy, denied, sign-in (the account), no-answer.",
    ("operation", "result"),
    registry=REGISTRY,
)
ews_seconds: Final = Histogram(
    "mailrouter_ews_seconds",
    "Seconds a request to Exchange took, until its answer was read or given up.",
    ("operation",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
throttled_total: Final = Counter(
    "mailrouter_throttled",
    "Times Exchange said that it is busy or that we are too fast.",
    ("profile",),
    registry=REGISTRY,
)
sign_in_failures_total: Final = Counter(
    "mailrouter_sign_in_failures",
    "Requests that came to nothing because the profile's account could not sign in.",
    ("profile",),
    registry=REGISTRY,
)
dead_total: Final = Counter(
    "mailrouter_dead",
    "Messages put into the dead-letter queue, by reason.",
    ("reason",),
    registry=REGISTRY,
)


class Expiries(Collector):
    """When something of each profile ends. `read` is asked at each scrape: a profile that is gone is told no more."""

    def __init__(self, name: str, documentation: str) -> None:
        self.read: Callable[[], Mapping[str, datetime]] = dict
        self._name = name
        self._documentation = documentation
        REGISTRY.register(self)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._documentation, labels=("profile",))
        for profile, ends_at in self.read().items():
            family.add_metric((profile,), ends_at.timestamp())
        yield family


token_ends: Final = Expiries(
    "mailrouter_token_expiry_timestamp_seconds",
    "When the token in use ends, which is renewed before then while there is work.",
)
certificate_ends: Final = Expiries(
    "mailrouter_certificate_expiry_timestamp_seconds",
    "When the certificate ends that the application signs in by.",
)
broker_connected: Final = Gauge(
    "mailrouter_broker_connected",
    "1 while the worker has a connection to the broker.",
    registry=REGISTRY,
)
broker_blocked: Final = Gauge(
    "mailrouter_broker_blocked",
    "1 while the broker, being short of memory or disk, takes no messages from this worker.",
    registry=REGISTRY,
)
Info("mailrouter_build", "The version that runs.", registry=REGISTRY).info({"version": __version__})
ProcessCollector(registry=REGISTRY)
