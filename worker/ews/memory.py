"""What a lane remembers of Sent Items, so that n mails cost about n rows read and not n². A cache: safe to lose.

Why it may leave rows unread. A look evaluates Drafts first, then Outbox, then Sent Items, and mail only moves forward
(PROTOCOL, E2). So whatever had left when a look evaluated Drafts, that look saw; it is in the memory. Whatever left
afterwards was changed by leaving, at a time the server's clock gives, which is not before any time it had given to a
row of Drafts by then. The newest time in Drafts, the *watermark*, therefore divides what the memory has from what must
be read. The allowance covers clocks that disagree where a mailbox moves from one server to another, and times cut off
to whole seconds. The memory reaches back to `covered_from` only: who asks for what may be older gets no use of it.
"""

from datetime import datetime, timedelta
from typing import Final

from worker.mail.stamp import Stamp

ALLOWANCE: Final = timedelta(seconds=10)
_MOST_STAMPS: Final = 100_000


class SentMemory:
    def __init__(self) -> None:
        self._left: dict[Stamp, str] = {}
        self._covered_from: datetime | None = None
        self._watermark: datetime | None = None

    def left_as(self, stamp: Stamp) -> str | None:
        """The Message-ID under which a mail was seen to have left; None where none was seen."""
        return self._left.get(stamp)

    def bound(self, floor: datetime) -> datetime:
        """The time down to which Sent Items must be read to know all that has left since `floor`."""
        if self._watermark is None or self._covered_from is None or self._covered_from > floor:
            return floor
        return max(floor, self._watermark)

    def keep(self, left: dict[Stamp, str], floor: datetime, newest_draft: datetime | None, began_at: datetime) -> None:
        """Take over what a complete look, read down to `bound(floor)`, saw to have left.

        `newest_draft` is the newest time in Drafts, None for no row: the watermark then stays where it was. It is
        trusted up to our own time when the look began: a row from the future must not hide mail of today.
        """
        if self.bound(floor) != self._watermark:
            self._covered_from = floor
        if newest_draft is not None:
            self._watermark = min(newest_draft, began_at) - ALLOWANCE
        self._left.update(left)
        if len(self._left) > _MOST_STAMPS:
            self._left, self._covered_from, self._watermark = {}, None, None
