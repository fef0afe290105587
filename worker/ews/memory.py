"""What a lane remembers of Sent Items, so that n mails cost about n rows read and not n². A cache: safe to lose.

Why it may leave rows unread. A look evaluates Drafts first, then Outbox, then Sent Items, and mail only moves forward
(docs/delivery-rules.md, E2). So whatever had left when a look evaluated Drafts, that look saw; it is in the memory.
Whatever left afterwards was changed by leaving, at a time the server's clock gives, which is not before any time it had
given to a row of Drafts by then. The newest time in Drafts, the *watermark*, therefore divides what the memory has from
what must be read. The memory reaches back to `covered_from` only: who asks for what may be older gets no use of it.

The one thing taken on trust is the server's clock, and it can step back: where a mailbox moves to another server, say.
So the rows are counted, too. Sent Items has grown by as many rows as the look read new ones, or something has come in
below the watermark (or somebody tidied up), and then the look reads on, as far as clocks in one domain may disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from worker.ews.operations.find_item import Row
from worker.mail.stamp import Stamp

ALLOWANCE: Final = timedelta(minutes=5)
"""Kerberos lets nobody take part whose clock is further off (RFC 4120, 1.6)."""

MOST_STAMPS: Final = 2_000
"""About 0.6 MB, in each of hundreds of lanes; more only where a look's time, 75 minutes as a rule, holds more mails."""


@dataclass(frozen=True, slots=True)
class SentRows:
    """What one look read of Sent Items: its rows from `bound` on, by id, and how many rows the folder had."""

    rows: Mapping[str, Row]
    total: int | None
    bound: datetime

    def within(self, bound: datetime) -> set[str]:
        return {row.id for row in self.rows.values() if row.modified_at is not None and row.modified_at >= bound}


class SentMemory:
    def __init__(self) -> None:
        self._left: dict[Stamp, str] = {}
        self._covered_from: datetime | None = None
        self._watermark: datetime | None = None
        self._last: SentRows | None = None
        self._most = MOST_STAMPS

    def left_as(self, stamp: Stamp) -> str | None:
        """The Message-ID under which a mail was seen to have left; None where none was seen."""
        return self._left.get(stamp)

    def bound(self, floor: datetime) -> datetime:
        """The time down to which Sent Items must be read to know all that has left since `floor`."""
        return floor if self._watermark is None or not self._covers(floor) else max(floor, self._watermark)

    def bound_below(self, floor: datetime, sent: SentRows) -> datetime | None:
        """None if what was read accounts for all that came in since the last look, else the time to read on to."""
        if self._last is None or sent.bound == floor:
            return None
        new = sent.within(self._last.bound) - self._last.rows.keys()
        if sent.total is not None and self._last.total is not None and sent.total - self._last.total == len(new):
            return None
        return max(floor, sent.bound - ALLOWANCE)

    def keep(
        self,
        left: Mapping[Stamp, str],
        sent: SentRows,
        floor: datetime,
        newest_draft: datetime | None,
        began_at: datetime,
    ) -> None:
        """Take over what a complete look saw to have left.

        `newest_draft` is the newest time in Drafts, None for no row: the watermark then stays where it was. It is
        trusted up to our own time when the look began: a row from the future must not hide mail of today.
        """
        if not self._covers(floor) or self.bound(floor) == floor:
            self._covered_from = floor
        if newest_draft is not None:
            self._watermark = min(newest_draft, began_at)
        self._last = sent
        if not self._left:
            self._most = max(MOST_STAMPS, 2 * len(left))
        self._left.update(left)

    def make_room(self) -> None:
        """Before a look: what is forgotten then, that look reads again. During one it is needed to the end.

        What it reads again it needs: so there is room for twice as much, and the next long look is as many mails away.
        """
        if len(self._left) > self._most:
            self._left, self._covered_from, self._watermark, self._last = {}, None, None, None

    def _covers(self, floor: datetime) -> bool:
        return self._covered_from is not None and self._covered_from <= floor
