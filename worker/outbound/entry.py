"""One request on its way: the state that the rules of delivery read and write (docs/delivery-rules.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import BinaryIO, Final

from worker.events.broker import Delivery
from worker.fleet.pace import Pacing
from worker.fleet.quota import Allowed
from worker.mail.message import Link, Message, Spooled
from worker.mail.outcome import Deferred, Delivered, Reason, Rejected, Unresolved
from worker.mail.stamp import Stamp
from worker.mail.trace import OFF, MailSpan
from worker.mail.transport import Draft, WorkingMailbox
from worker.outbound.history import History

LOOK_ALLOWANCE: Final = timedelta(minutes=75)
"""How long before an event's `time` its mail may seem to have been made: an event may be an hour ahead of our clock,
and Exchange's clock a quarter of an hour behind it. The floor of every look is `time` less this, for every delivery of
the request alike: a floor that one delivery knows alone would hide what another one did."""

CLOCK_ALLOWANCE: Final = timedelta(seconds=5)
"""How far the clocks of the workers may be apart. A look decides on expiry only when it began this long after."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not settled, and nothing to tell: the request comes back after a delay."""

    delay_seconds: float
    why: str
    empty_looks: int = 0
    due_at: str = ""
    """Its turn among the mail of its mailbox, where that is what it waits for."""
    room_at: str = ""
    """Likewise, among the mail of its profile."""


Outcome = Delivered | Deferred | Rejected | Unresolved | Waiting


@dataclass(frozen=True, slots=True)
class Create:
    """Rule 2: make a draft."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Before rule 2: have the files that the message names by URL. It is done outside of the lane."""


@dataclass(frozen=True, slots=True)
class LookFor:
    """Rule 3: see where the mail is."""


@dataclass(frozen=True, slots=True)
class Retire:
    """Rules 4, 7, 8: take these drafts out of play, then look again. `all_of_them` settles the doubt (rule 8)."""

    drafts: tuple[Draft, ...]
    all_of_them: bool


@dataclass(frozen=True, slots=True)
class Send:
    """Rule 5: send the one draft a look has shown alone."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class Move:
    """It is not in this place, and nothing of it can leave from here any more: on in the next one."""


@dataclass(frozen=True, slots=True)
class Done:
    outcome: Outcome


Step = Create | Fetch | LookFor | Retire | Send | Move | Done


@dataclass(slots=True)
class Entry:
    """A request in its lane. Deliveries with one stamp are one entry with several acks (rule 1)."""

    message: Message
    time: datetime
    email_id: str
    event_id: str
    source: str
    profile: str
    mailbox: str
    history: History
    places: tuple[WorkingMailbox, ...] = ()
    """Where it may be. It is begun in the last of them only; it is taken out of those before, one after another."""
    closes_at: datetime | None = None
    opens_at: datetime | None = None
    """See `worker.profiles.book`."""
    traceparent: str = ""
    tracestate: str = ""
    span: MailSpan = OFF
    expires_at: datetime | None = None
    pacing: Pacing = field(default_factory=Pacing)
    allowed: Allowed = field(default_factory=Allowed)
    max_bytes: int | None = None
    admitted: bool = False
    """Whether it counts among those that are to be sent from its mailbox within this minute."""
    last_attempt: bool = False
    verdict: Reason | None = None
    """Why it must end unsent, once a look has shown that nothing left and nothing live remains (rules 7, 8)."""
    bulk: bool = False
    taken_at: float = 0.0
    deliveries: list[Delivery] = field(default_factory=list)
    step: Step = field(default_factory=Create)
    doubt: bool = False
    begun_in: str = ""
    """The mailbox that the doubt is about, "" where nobody has noted it."""
    unlooked: bool = False
    """A worker that had it in hand before may have died over it, and no look has shown yet what became of that."""
    sent: bool = False
    """A SendItem was answered with success: whatever a look shows or fails to show, the mail has left."""
    drafted_as: str = ""
    """The Message-ID to tell where no look shows the sent copy, "" for none."""
    unanswered: int = 0
    spool: BinaryIO | None = None
    """The file that those fetched by URL lie in, as long as they are needed."""

    @property
    def stamp(self) -> Stamp:
        return self.message.stamp

    @property
    def working(self) -> WorkingMailbox:
        """The place it is in now."""
        return self.places[0]

    @property
    def place(self) -> WorkingMailbox:
        """The same by whatever profiles it is reached: what limits count by."""
        return replace(self.working, revision="")

    @property
    def doubt_here(self) -> bool:
        """Whether the doubt is about a draft in the place it is in now: it may be about one further on."""
        return self.doubt and self.begun_in in ("", self.working.address)

    def begin(self) -> None:
        """A draft of ours was confirmed here, or a send is issued: from now on there is doubt (rules 2, 5)."""
        self.doubt, self.begun_in = True, self.working.address

    @property
    def leaving(self) -> bool:
        """Whether it is only looked for here, and taken out."""
        return len(self.places) > 1

    @property
    def floor(self) -> datetime:
        return self.time - LOOK_ALLOWANCE

    @property
    def attempt(self) -> int:
        return self.history.attempts + 1

    @property
    def links(self) -> tuple[Link, ...]:
        """The files that are still to be fetched."""
        return tuple(each.content for each in self.message.attachments if isinstance(each.content, Link))

    def take(self, files: Sequence[Spooled]) -> None:
        """The files behind the links, in their place. They all lie in one."""
        fetched = iter(files)
        attachments = tuple(
            replace(each, content=next(fetched)) if isinstance(each.content, Link) else each
            for each in self.message.attachments
        )
        self.message = replace(self.message, attachments=attachments)
        self.spool = files[0].file

    def release(self) -> None:
        """Nothing is done with this entry any more."""
        if self.spool is not None:
            self.spool.close()

    def merge(self, other: "Entry") -> None:
        """Take over the deliveries of another entry for the same request, and what they know."""
        self.deliveries += other.deliveries
        self.span.join(other.span)
        self.history = self.history.merged(other.history)
        self.doubt = self.doubt or other.doubt
        self.begun_in = self.begun_in or other.begun_in
        self.unlooked = self.unlooked or other.unlooked
        self.time = min(self.time, other.time)
        self.bulk = self.bulk and other.bulk
