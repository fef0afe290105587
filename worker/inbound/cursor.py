"""How far a mailbox was read: the server's sync state, and what was there before and is owed to nobody.

Everything before a cursor's state has been published or was never owed; a cursor is kept only when the broker has
confirmed what it passes. One that is too old does no harm: it publishes the same events again, under the same ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, Literal

import orjson

from worker.mail.incoming import Arrival

MOST_PRESENT: Final = 1000
"""So many mails of one second are told apart by their ids; more of them are published rather than lost."""

MOST_DEALT: Final = 100
"""So many mails are dealt with ahead of one that is held; of more of them the first come again, under the same ids."""


AHEAD: Final = timedelta(seconds=5)
"""So far the server's clock may be ahead of ours without being another."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """`walking`: the mailbox is being read from its beginning. What was received before `since` is not owed then, nor
    what is `present` (ids of the mails of that very second); None owes everything. At the end of the walk all that
    appears is owed, whatever its date: somebody moved it there. `dealt` are mails behind the state that are dealt with
    while another one is held: published, or in quarantine.
    """

    state: str = ""
    since: datetime | None = None
    present: tuple[str, ...] = ()
    walking: bool = True
    dealt: tuple[str, ...] = ()

    def owes(self, arrival: Arrival) -> bool:
        if arrival.id in self.dealt:
            return False
        if not self.walking or self.since is None:
            return True
        if arrival.id in self.present:
            return False
        return arrival.received_at is None or arrival.received_at >= self.since

    def after(self, state: str, *, last: bool) -> "Cursor":
        """The cursor behind a page of changes that has been dealt with."""
        return replace(self, state=state, walking=self.walking and not last, dealt=())

    def past(self, *ids: str) -> "Cursor":
        """The same place, with these mails dealt with."""
        new = (each for each in ids if each not in self.dealt)
        return replace(self, dealt=(*self.dealt, *new)[-MOST_DEALT:])

    def anew(self) -> "Cursor":
        """From the beginning, since the server has lost the state. What was never owed still is not."""
        return replace(self, state="", walking=True, dealt=())

    def note(self) -> str:
        """As it is kept in the mailbox."""
        note: dict[str, object] = {"version": 1, "state": self.state, "walking": self.walking}
        if self.since is not None:
            note |= {"since": self.since.isoformat(), "present": self.present}
        if self.dealt:
            note["dealt"] = self.dealt
        return orjson.dumps(note).decode()


def read(note: str) -> Cursor | None:
    """A cursor as it was kept; None for what is not one."""
    try:
        told = orjson.loads(note)
        since = datetime.fromisoformat(told["since"]) if "since" in told else None
        state, walking = told["state"], told["walking"]
        present, dealt = tuple(told.get("present", ())), tuple(told.get("dealt", ()))
    except (ValueError, TypeError, KeyError):
        return None
    if (
        not isinstance(state, str)
        or not isinstance(walking, bool)
        or not all(isinstance(each, str) for each in (*present, *dealt))
    ):
        return None
    return Cursor(state, since.replace(tzinfo=since.tzinfo or UTC) if since else None, present, walking, dealt)


def first(
    start: Literal["now", "all"] | datetime, newest: Sequence[Arrival], now: datetime, known_at: datetime
) -> Cursor:
    """Where a mailbox begins that was never read, and is known since `known_at`.

    "now" is the time of the newest mail that was there before, by the server's own clock, since ours may differ from
    it: what came between then and now by both is owed. Of a server that tells no more than seconds, mail of the very
    second is not. An empty Inbox owes everything that will ever appear.
    """
    if isinstance(start, datetime):
        return Cursor(since=start if start.tzinfo else start.replace(tzinfo=UTC))
    if start == "all" or not newest:
        return Cursor()
    latest = now + AHEAD
    before = [each for each in newest if each.received_at is None or not known_at <= each.received_at <= latest]
    since = max((each.received_at for each in before if each.received_at is not None), default=known_at)
    since = since.replace(microsecond=0)
    present = (each.id for each in before if each.received_at is None or each.received_at >= since)
    return Cursor(since=since, present=tuple(islice(present, MOST_PRESENT)))
