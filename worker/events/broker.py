"""The port through which the flows see the broker. `worker/rabbitmq` implements it; the simulation does, too.

Every publish returns only when the broker has confirmed the message; until then the delivery it settles is not
acked. What a call could not get confirmed raises `Unconfirmed`, and the delivery stays unacked: nothing is lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from worker.mail.trace import NOWHERE, TraceContext

HeaderValue = str | int | bool
Headers = Mapping[str, object]
Marks = Mapping[str, HeaderValue | None]
"""Headers that are to be on a copy, or (None) are not to be."""


class Unconfirmed(Exception):  # noqa: N818 - named for what it says, as a flow reads it
    """The broker did not confirm: queue full, message unroutable, connection lost. The message may still be there."""


class Delivery(Protocol):
    """One message taken from a queue of ours, not yet acked."""

    @property
    def body(self) -> bytes: ...
    @property
    def headers(self) -> Headers:
        """Untrusted: whatever the publisher or an earlier pass of ours put there."""

    @property
    def content_type(self) -> str: ...
    @property
    def message_id(self) -> str: ...
    @property
    def bulk(self) -> bool:
        """Whether it came from the queue of campaigns."""

    @property
    def redelivered(self) -> bool:
        """Whether the broker gave it to somebody before, who did not settle it."""

    async def ack(self) -> None:
        """Settle it. Raises `Unconfirmed` when the connection it came over is gone."""

    async def give_back(self) -> None:
        """Back into its queue, for whoever comes next. Nothing to do when the connection is gone: the broker did it."""


@dataclass(frozen=True, slots=True)
class Burial:
    """Why a message goes to the dead-letter queue, for whoever reads it there."""

    reason: str
    detail: str
    remedy: str
    attempts: int
    first_seen_at: str


class Broker(Protocol):
    async def publish(self, routing_key: str, body: bytes, message_id: str, context: TraceContext = NOWHERE) -> None:
        """An event of ours to the exchange of the contract; with the context in its headers, if there is one."""

    async def park(self, delivery: Delivery, delay_seconds: float, headers: Marks) -> None:
        """A copy into the delay tier for that time, to come back to the queue it is from, with these headers."""

    async def bury(self, delivery: Delivery, burial: Burial) -> None:
        """A copy, untouched, into the dead-letter queue."""


class Fleet(Protocol):
    """What the workers that read mail say to each other: the scheduler issues tickets, whoever took one reports."""

    async def issue(self, ticket: bytes, *, listen: bool = False) -> None:
        """To whichever worker takes it first. `listen`: one to listen, not one to poll."""

    async def report(self, report: bytes) -> None:
        """To whoever is the scheduler."""

    async def recall(self) -> int:
        """Take back the tickets that nobody has taken; how many there were."""

    async def waiting(self) -> int:
        """How many tickets to poll nobody has taken."""

    async def quarantine(self, ticket: bytes, message_id: str, burial: Burial) -> None:
        """Put a ticket for one mail into the dead-letter queue; a replay issues it."""
