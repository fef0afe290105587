"""Exchanges, queues and bindings as data: what stands here is what the broker has.

Every queue is a quorum queue. What must not be lost waits in one: requests, events for the CRM, dead letters, and the
retries in their delay tiers. So do the workers' own messages, which may have to outlive a worker, or a node.

A tier is a queue nobody consumes; its messages expire after the tier's time and are dead-lettered through the default
exchange to the queue that their routing key names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from aio_pika.abc import AbstractChannel

from worker.retry import TIERS

MAIL: Final = "crm.mail"
OUTBOUND: Final = "crm.mail.outbound"
BULK: Final = "crm.mail.outbound.bulk"
INBOUND: Final = "crm.mail.inbound"
STATUS: Final = "crm.mail.status"
DEAD: Final = "crm.mail.dead"
PROFILES: Final = "crm.mail.profiles"

SCHEDULER: Final = "crm.mail.inbound.scheduler"
"""Holds the *token*: whichever worker has it in hand, unacked, is the scheduler."""
POLLS: Final = "crm.mail.inbound.polls"
LISTENS: Final = "crm.mail.inbound.listens"
ITEMS: Final = "crm.mail.inbound.items"
"""Tickets for single mails, put back by a person. Not among the polls, since a new scheduler takes those back."""
REPORTS: Final = "crm.mail.inbound.reports"
FLEET: Final = "crm.mail.fleet"
"""Fanout: reaches every worker, each by a queue of its own, named like this and a dot, that goes with it."""

REPORTS_MOST: Final = 20_000
REPORTS_SECONDS: Final = 300
"""Reports are news: those that nobody took within this time, or beyond this number, tell nothing any more."""

_UNREACHABLE_LIMIT: Final = 2**31 - 1

QUORUM: Final[Mapping[str, str | int]] = {
    "x-queue-type": "quorum",
    # The broker counts lost connections, too, and drops a message over its limit: 20 by default since RabbitMQ 4.
    # Poison is what we saw fail, by our own count.
    "x-delivery-limit": _UNREACHABLE_LIMIT,
    # Where an operator's policy limits a queue: the publisher is told that it is full. By default the oldest go.
    "x-overflow": "reject-publish",
}

_LATEST: Final[Mapping[str, str | int]] = {**QUORUM, "x-max-length": 1, "x-overflow": "drop-head"}
"""Keeps what was published last."""


@dataclass(frozen=True, slots=True)
class Exchange:
    name: str
    kind: Literal["topic", "fanout"]


@dataclass(frozen=True, slots=True)
class Queue:
    """`keys` are its bindings to `exchange`; without any it is reached through the default exchange, by its name."""

    name: str
    use: str
    exchange: str = ""
    keys: tuple[str, ...] = ()
    arguments: Mapping[str, str | int] = field(default_factory=lambda: QUORUM)


def tier_name(seconds: int) -> str:
    """Name of a delay tier: of its queue, and of the exchange that leads there whatever the routing key is."""
    return f"crm.mail.retry.{seconds}s"


def _tier(seconds: int) -> Queue:
    return Queue(
        tier_name(seconds),
        f"retries that wait {seconds} s",
        tier_name(seconds),
        ("",),
        {
            **QUORUM,
            "x-message-ttl": seconds * 1000,
            "x-dead-letter-exchange": "",
            # A quorum queue's default strategy loses what the target does not take. This one needs reject-publish.
            "x-dead-letter-strategy": "at-least-once",
        },
    )


EXCHANGES: Final = (
    Exchange(MAIL, "topic"),
    Exchange(FLEET, "fanout"),
    *(Exchange(tier_name(each), "fanout") for each in TIERS),
)

QUEUES: Final = (
    Queue(OUTBOUND, "send requests", MAIL, ("email.send",)),
    Queue(BULK, "send requests of campaigns", MAIL, ("email.send.bulk",)),
    Queue(INBOUND, "received mail, for the CRM", MAIL, ("email.received",)),
    Queue(
        STATUS,
        "what became of requests, for the CRM",
        MAIL,
        ("email.accepted", "email.deferred", "email.failed", "email.bounced", "email.unresolved"),
    ),
    Queue(DEAD, "what cannot be processed, with the reason"),
    Queue(PROFILES, "the published profiles", arguments=_LATEST),
    Queue(
        SCHEDULER,
        "elects who schedules the polls; a spare token waits",
        arguments={**_LATEST, "x-single-active-consumer": True},
    ),
    Queue(POLLS, "mailboxes to read now"),
    Queue(LISTENS, "mailboxes to listen to"),
    Queue(ITEMS, "single mails to read again"),
    Queue(
        REPORTS,
        "what readers and listeners tell the scheduler",
        arguments={
            **QUORUM,
            "x-max-length": REPORTS_MOST,
            "x-overflow": "drop-head",
            "x-message-ttl": REPORTS_SECONDS * 1000,
        },
    ),
    *(_tier(each) for each in TIERS),
)


async def declare(channel: AbstractChannel) -> None:
    """Make what is missing. Raises aio_pika's ChannelPreconditionFailed where something of the name is different."""
    for exchange in EXCHANGES:
        await channel.declare_exchange(exchange.name, exchange.kind, durable=True)
    for queue in QUEUES:
        declared = await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
        for key in queue.keys:
            await declared.bind(queue.exchange, key)
