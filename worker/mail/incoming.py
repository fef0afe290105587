"""The port's inbound half: what the inbound flow needs of a mail system, and mail as that system gives it.

The obligations are those of `worker.mail.transport`: nothing repeats a request by itself, nothing raises for what the
mail system or the network does. A failure of scope mailbox, profile or server is `Deferred`; what speaks about one
item alone is told of that item. Reading changes nothing in the mailbox.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from worker.mail.address import Address
from worker.mail.message import Importance, Sensitivity
from worker.mail.outcome import Deferred, Reason, Rejected
from worker.mail.transport import WorkingMailbox

Sink = Callable[[bytes], Awaitable[None]]
"""Takes the bytes of a file one after another, in portions; what it raises ends the reading and comes out there."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that appeared in the Inbox. `received_at` is the server's own time, in whole seconds unless said
    otherwise, None where it has none.
    """

    id: str
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class Changes:
    """One page of what happened in the Inbox since a state. Only what appeared is told: changed and deleted items are
    nobody's business. `state` is where the next page begins; `last`: there is no more for now.
    """

    arrivals: tuple[Arrival, ...]
    state: str
    last: bool


@dataclass(frozen=True, slots=True)
class StateLost:
    """The server does not know this state any more: begin with "" again."""


@dataclass(frozen=True, slots=True)
class File:
    """An attachment as the mail lists it. `size` is what the server tells, which is about its true size.

    `item`: the attachment is itself an item of the mail system (a mail, an appointment), and its content is that item
    in its Internet form. `content` is there where the mail was read as a whole, else it is fetched by `id`.
    """

    id: str
    name: str
    content_type: str
    size: int = 0
    content_id: str = ""
    inline: bool = False
    item: bool = False
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class IncomingMail:
    """A mail as the mail system gives it, nothing cleaned, nothing decided: texts may hold whatever the sender wrote.

    `item_class` is Exchange's (IPM.Note, REPORT.IPM.Note.NDR ...), "" elsewhere. `references` and `in_reply_to` are
    header values as they stand. `headers` are the header fields in order, values unfolded but not decoded. `search_key`
    is a mark the server gives a mail on arrival and keeps when it is moved, "" where there is none.
    `bare`: read without body and headers, since the server could not give them. `incomplete` says in words what of the
    mail the other fields do not hold, "" where they hold all of it.
    """

    id: str
    received_at: datetime | None
    item_class: str = ""
    message_id: str = ""
    in_reply_to: str = ""
    references: str = ""
    conversation_id: str = ""
    conversation_index: bytes = b""
    search_key: str = ""
    from_: Address | None = None
    sender: Address | None = None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str = ""
    html: str | None = None
    text: str | None = None
    sent_at: datetime | None = None
    importance: Importance = "normal"
    sensitivity: Sensitivity = "normal"
    headers: tuple[tuple[str, str], ...] = ()
    files: tuple[File, ...] = ()
    bare: bool = False
    incomplete: str = ""


@dataclass(frozen=True, slots=True)
class Vanished:
    """It is not there any more: somebody moved or deleted it."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The server has it and cannot give it, now or later."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class SentCopy:
    """A mail of ours in a conversation: the Message-ID it left with, and the one it was drafted with, brackets on."""

    message_id: str
    drafted_as: str


Fetched = IncomingMail | Vanished | Unreadable | Deferred
Finish = str
"""What is done with a mail that was published: mark-read, delete (into the deleted items), or move:FolderName (a folder
beside the Inbox, made where it is missing). The words are those of profiles.toml, `after`.
"""


class IncomingMailbox(Protocol):
    """One mailbox that is read. Calls on one object do not overlap."""

    async def recall(self) -> str | Deferred | None:
        """The note that was kept in the mailbox last; None if there is none."""

    async def keep(self, note: str) -> Deferred | None:
        """Keep this note in the mailbox, in place of the one before. Of two at once either may win."""

    async def newest(self, since: datetime) -> tuple[Arrival, ...] | Deferred:
        """What was received in the Inbox since then, and all of the newest second before; none if it is empty. Their
        times are to the millisecond, where the server tells that.
        """

    async def changes(self, state: str, most: int) -> Changes | StateLost | Deferred:
        """What happened in the Inbox since `state`, at most so many changes; "" is since ever.

        Nothing that appears is ever left out between two pages; what has gone meanwhile may be told all the same.
        """

    async def fetch(self, ids: Sequence[str], *, bare: bool = False) -> Sequence[Fetched]:
        """Each of these mails, in order. `bare`: without body and headers, for what is unreadable with them."""

    async def source(self, id: str, sink: Sink) -> Vanished | Unreadable | Deferred | None:  # noqa: A002 - its name
        """The mail in its Internet form (RFC 5322), into `sink`; None when all of it is there."""

    async def content(self, file: File, sink: Sink) -> Vanished | Unreadable | Deferred | None:
        """What an attachment holds, into `sink`; an item's in its Internet form. None when all of it is there."""

    async def embedded(self, file: File) -> Fetched:
        """The mail that an attachment is. Its own files are fetched by `content` like any other."""

    async def sent_in(self, conversation_id: str) -> tuple[SentCopy, ...] | Deferred:
        """The router's own mails in a conversation, newest first; none where the server cannot tell."""

    async def finish(self, ids: Sequence[str], how: Finish) -> Deferred | Rejected | None:
        """Do this with each of these mails. What has gone already is done. `Rejected`: it will never be allowed.
        `Deferred` with scope message: it has failed with one of them, and is done with the others.
        """


@dataclass(frozen=True, slots=True)
class Heard:
    """How listening ended. `deaf` are the mailboxes of which nothing could be heard, with the reason; to all others was
    listened until the end.
    """

    deaf: tuple[tuple[WorkingMailbox, Reason], ...] = ()


class IncomingTransport(Protocol):
    def incoming(self, mailbox: WorkingMailbox) -> IncomingMailbox: ...

    async def listen(
        self, mailboxes: Sequence[WorkingMailbox], heard: Callable[[WorkingMailbox], None], seconds: float
    ) -> Heard:
        """Call `heard` whenever something may have come into the Inbox of one of these, and once for each when
        listening to it begins. Returns after about so many seconds, or earlier when the connection is lost for good.

        All are of one profile, at most 200. Nobody relies on being called: polling finds what was not heard.
        """
