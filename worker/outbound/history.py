"""What earlier passes of a request left behind, in the headers of its message: workers themselves hold nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.clock import rfc3339
from worker.events.broker import HeaderValue
from worker.events.marks import Mark

_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class History:
    """`attempts`: failed tries at this very message. `waits`: passes in a row that found its mailbox, profile or server
    in trouble. `doubt`: a draft of ours was confirmed or a send was issued (docs/delivery-rules.md). `empty_looks`:
    looks in a row that showed nothing although there was doubt. `told`: the reason code the CRM was last told for a
    deferral. `waiting_since`: when the first of the `waits` was. `begun_in`: the mailbox that the draft of the doubt
    lies in. `unlooked`: a worker may have died over it, and no look has shown yet what became of that. `due_at`: when
    its turn is among the mail of its mailbox, `room_at`: among that of its profile; "" where it was given none.
    """

    attempts: int = 0
    waits: int = 0
    doubt: bool = False
    empty_looks: int = 0
    told: str = ""
    first_seen_at: str = ""
    waiting_since: str = ""
    begun_in: str = ""
    unlooked: bool = False
    due_at: str = ""
    room_at: str = ""

    @classmethod
    def read(cls, headers: Mapping[str, object], now: datetime) -> "History":
        """From untrusted headers: what is not of the right kind counts as absent."""
        return cls(
            attempts=_count(headers, Mark.ATTEMPTS),
            waits=_count(headers, Mark.WAITS),
            doubt=headers.get(Mark.DOUBT) is True,
            empty_looks=_count(headers, Mark.EMPTY_LOOKS),
            told=_text(headers, Mark.TOLD),
            first_seen_at=_text(headers, Mark.FIRST_SEEN_AT) or rfc3339(now),
            waiting_since=_text(headers, Mark.WAITING_SINCE),
            begun_in=_text(headers, Mark.BEGUN_IN, most=320),
            unlooked=headers.get(Mark.UNLOOKED) is True,
            due_at=_text(headers, Mark.DUE_AT),
            room_at=_text(headers, Mark.ROOM_AT),
        )

    def due_in(self, now: datetime) -> float | None:
        """Seconds until its turn, less than nothing when that was before; None where it has none."""
        return _seconds_until(self.due_at, now)

    def room_in(self, now: datetime) -> float | None:
        """The same, of its turn among the mail of its profile."""
        return _seconds_until(self.room_at, now)

    def waited(self, now: datetime) -> timedelta:
        """How long it has been waiting for something beyond the message itself."""
        try:
            return now - datetime.fromisoformat(self.waiting_since)
        except (ValueError, TypeError):  # none, or one without an offset: nobody of ours wrote it
            return timedelta(0)

    def headers(self) -> dict[str, HeaderValue | None]:
        """None takes off what an earlier pass has written. What says nothing is not carried: each header costs CPU in
        every worker and in the broker.
        """
        written: dict[str, HeaderValue] = {
            Mark.ATTEMPTS: self.attempts,
            Mark.WAITS: self.waits,
            Mark.DOUBT: self.doubt,
            Mark.EMPTY_LOOKS: self.empty_looks,
            Mark.TOLD: self.told,
            Mark.FIRST_SEEN_AT: self.first_seen_at,
            Mark.WAITING_SINCE: self.waiting_since,
            Mark.BEGUN_IN: self.begun_in,
            Mark.UNLOOKED: self.unlooked,
            Mark.DUE_AT: self.due_at,
            Mark.ROOM_AT: self.room_at,
        }
        return {name: value or None for name, value in written.items()}

    def merged(self, other: "History") -> "History":
        """The history of two copies of one request, each of which knows a part."""
        return History(
            attempts=max(self.attempts, other.attempts),
            waits=max(self.waits, other.waits),
            doubt=self.doubt or other.doubt,
            empty_looks=max(self.empty_looks, other.empty_looks),
            told=self.told or other.told,
            first_seen_at=min(self.first_seen_at, other.first_seen_at),
            waiting_since=min(filter(None, (self.waiting_since, other.waiting_since)), default=""),
            begun_in=self.begun_in or other.begun_in,
            unlooked=self.unlooked or other.unlooked,
            due_at=min(filter(None, (self.due_at, other.due_at)), default=""),
            room_at=min(filter(None, (self.room_at, other.room_at)), default=""),
        )


def _seconds_until(moment: str, now: datetime) -> float | None:
    try:
        return (datetime.fromisoformat(moment) - now).total_seconds()
    except (ValueError, TypeError):  # none, or one that nobody of ours wrote
        return None


def _count(headers: Mapping[str, object], name: str) -> int:
    value = headers.get(name)
    return min(value, _LIMIT) if type(value) is int and value > 0 else 0


def _text(headers: Mapping[str, object], name: str, most: int = 100) -> str:
    value = headers.get(name)
    return value[:most] if isinstance(value, str) else ""
