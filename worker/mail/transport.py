"""The port: what the outbound flow needs of a mail system. `worker/ews` implements it; others may follow. Its inbound
half stands in `worker.mail.incoming`.

Nothing of a protocol shows above this line. An implementation owes the flow what docs/delivery-rules.md rests on:

- It never repeats a request by itself. One call here is at most one attempt of each act on the server.
- It never raises for anything the mail system or the network does: that is what the outcomes are for. Exceptions
  are bugs, and cancellation is passed on.
- Where it cannot tell whether an act took place (no answer, half an answer, an answer that says neither) the outcome
  is `Unknown`; `Deferred` and `Rejected` mean that the act *definitely did not* take place.
- E1. Once `draft` answered `Drafted`, every look that begins later shows the draft until it is sent or retired.
- E2. A mail that was sent is visible to every look at every moment.
- E3. `send` acts only on an unsent draft that still is what the look showed; of any number of sends of one draft
  at most one takes effect.
- E4. `retire` acts only on an unsent draft that still is what the look showed.
- E5. A draft appears complete, with all its attachments, or not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from worker.mail.message import Message
from worker.mail.outcome import Deferred, Delivered, Rejected, Unknown
from worker.mail.stamp import Stamp


@dataclass(frozen=True, slots=True, order=True)
class Draft:
    """A live draft as one look showed it: unsent, complete, in the drafts of the working mailbox.

    `version` is the server's own mark of the draft's state in that look (EWS: ChangeKey). It is good for one act.
    `message_id` is the Message-ID the draft bears, "" where the server gives it one only on sending.
    """

    created_at: datetime
    id: str
    version: str = field(compare=False)
    message_id: str = field(compare=False, default="")


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look showed of one stamp. `left_as` is the Message-ID a mail left with, "" if it has none."""

    left_as: str | None = None
    live: tuple[Draft, ...] = ()

    @property
    def has_left(self) -> bool:
        return self.left_as is not None


@dataclass(frozen=True, slots=True)
class Look:
    """A complete answer for everywhere a request's mail can be. A partial or failed answer is not a look.

    `strays` are live drafts of other requests that a look came across and whose mail has left already: a late
    draft of a dead worker, say. They are nobody's work and may be retired.
    """

    sights: Mapping[Stamp, Sight]
    strays: tuple[Draft, ...] = field(default=())

    def of(self, stamp: Stamp) -> Sight:
        return self.sights.get(stamp, Sight())


@dataclass(frozen=True, slots=True)
class Drafted:
    """The draft is there, complete, under its stamp. Which one it is, only a look may say."""


DraftOutcome = Drafted | Deferred | Rejected | Unknown
SendOutcome = Delivered | Deferred | Rejected | Unknown


class OutgoingMailbox(Protocol):
    """One working mailbox: where drafts are made and sent copies are kept. Calls on one object do not overlap."""

    async def draft(self, messages: Sequence[Message]) -> Sequence[DraftOutcome]:
        """Make one draft of each message; an outcome for each, in order."""

    async def look(self, floors: Mapping[Stamp, datetime]) -> Look | Deferred:
        """Where the mail of each stamp is. A floor is the time before which nothing of that stamp can exist."""

    async def retire(self, drafts: Sequence[Draft]) -> None:
        """Take these drafts out of play, as far as they still are what the look showed; best effort."""

    async def send(self, drafts: Sequence[Draft]) -> Sequence[SendOutcome]:
        """Send each draft as the look showed it; an outcome for each, in order.

        `Delivered.message_id` is the one the mail leaves with, "" where only a look can tell: some servers give, or
        replace, it on sending.
        """


@dataclass(frozen=True, slots=True)
class WorkingMailbox:
    """A mailbox that is worked in, and under which profile it is reached: where one request's draft and sent copy live,
    or whose Inbox is read. `revision`: of which profiles, where not of those in force now.
    """

    profile: str
    address: str
    revision: str = ""


class Transport(Protocol):
    def outgoing(self, mailbox: WorkingMailbox) -> OutgoingMailbox: ...
