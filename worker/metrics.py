"""Every metric of the product, in one list. Label values are bounded: outcomes, profile names, operations, states;
never a message id, never an address.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics

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
outbound_in_progress: Final = Gauge(
    "mailrouter_outbound_in_progress",
    "Send requests taken and not yet settled.",
    registry=REGISTRY,
)
mailboxes: Final = Gauge(
    "mailrouter_mailboxes",
    "Working mailboxes this worker has to do with, by state: active, paused.",
    ("state",),
    registry=REGISTRY,
)
ews_requests_total: Final = Counter(
    "mailrouter_ews_requests",
    "Requests to Exchange, by operation and result: ok, error, busy, denied, no-answer.",
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
dead_total: Final = Counter(
    "mailrouter_dead",
    "Messages put into the dead-letter queue, by reason.",
    ("reason",),
    registry=REGISTRY,
)
broker_connected: Final = Gauge(
    "mailrouter_broker_connected",
    "1 while the worker has a connection to the broker.",
    registry=REGISTRY,
)
Info("mailrouter_build", "The version that runs.", registry=REGISTRY).info({"version": __version__})
