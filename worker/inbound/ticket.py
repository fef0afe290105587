"""What travels between scheduler and pollers: tickets one way, reports and hints the other, as JSON on the broker.

All of it is the fleet's own, and none of it is worth keeping: whoever cannot read a message drops it, and what it was
about is found by the next poll. Workers of several versions run side by side: what is added to one of these gets a
default, and what a newer worker tells beyond them is ignored.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

import orjson
from pydantic import TypeAdapter

from worker.mail.outcome import Reason
from worker.mail.transport import WorkingMailbox

MOST_NOTE: Final = 64 * 1024
"""A longer note does not travel: the poller reads it from the mailbox."""


@dataclass(frozen=True, slots=True)
class PollTicket:
    """Read this mailbox. `note` is what the scheduler heard last of its cursor, "" if nothing; `kept`: the mailbox has
    it, too. `suspect` is a mail that held up too many polls in a row. With `item` it is about this one mail, and moves
    no cursor.
    """

    number: int
    profile: str
    mailbox: str
    note: str = ""
    kept: bool = True
    suspect: str = ""
    item: str = ""

    @property
    def working(self) -> WorkingMailbox:
        return WorkingMailbox(self.profile, self.mailbox)


@dataclass(frozen=True, slots=True)
class ListenTicket:
    """Listen to these mailboxes for so long, and tell what is heard."""

    number: int
    profile: str
    mailboxes: tuple[str, ...]
    seconds: float

    @property
    def working(self) -> tuple[WorkingMailbox, ...]:
        return tuple(WorkingMailbox(self.profile, each) for each in self.mailboxes)


@dataclass(frozen=True, slots=True)
class Polled:
    """How a poll ended. `more`: it stopped to let others go first. `reason` is there when it failed, with the wait the
    server asked for, if it did, and with the mail it was `stuck` at. `note` is the cursor now, "" where it is too long
    to travel; `kept`: the mailbox has it, too.
    """

    number: int
    profile: str
    mailbox: str
    note: str = ""
    kept: bool = True
    more: bool = False
    published: int = 0
    stuck: str = ""
    reason: Reason | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """Something may have come into these mailboxes."""

    profile: str
    mailboxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listened:
    """How listening ended; `deaf` are those of the ticket's mailboxes that could not be listened to."""

    number: int
    profile: str
    deaf: tuple[str, ...] = ()


Report = Polled | Hint | Listened
Carried = PollTicket | ListenTicket | Report

_KINDS: Final[dict[str, type[Carried]]] = {
    "poll": PollTicket,
    "listen": ListenTicket,
    "polled": Polled,
    "hint": Hint,
    "listened": Listened,
}
_READERS: Final[dict[str, TypeAdapter[Any]]] = {name: TypeAdapter(kind) for name, kind in _KINDS.items()}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}

Wanted = TypeVar("Wanted", bound=Carried)


def write(carried: Carried) -> bytes:
    return orjson.dumps({"kind": _NAMES[type(carried)], **asdict(carried)})


def read(body: bytes, wanted: type[Wanted]) -> Wanted | None:
    """What the bytes say; None unless it is one of what is wanted."""
    try:
        kind = orjson.loads(body)["kind"]  # it takes no infinite numbers, which the types would let pass
        found: Carried = _READERS[kind].validate_json(body, strict=True)
    except (ValueError, TypeError, KeyError):
        return None
    return found if isinstance(found, wanted) else None


def read_report(body: bytes) -> Report | None:
    return read(body, Polled) or read(body, Hint) or read(body, Listened)
