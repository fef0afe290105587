"""A look: what three folders show of the stamps asked for, with what this lane remembers."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from worker.clock import Clock
from worker.ews import remedies
from worker.ews.codes import Disposition, Verdict
from worker.ews.memory import SentMemory, SentRows
from worker.ews.operations.find_item import Folder, Row
from worker.ews.scan import NEXT_PAGE_ROWS, Find, Seen, scan
from worker.ews.trouble import Trail, Trouble, of_look
from worker.mail.outcome import Deferred, Scope
from worker.mail.stamp import VOID, Stamp
from worker.mail.transport import Draft, Look, Sight

_FIRST_PAGE_ROWS: Final = 100
_FEWEST_ROWS, _MOST_ROWS = 10, 500
_MOST_STRAYS: Final = 10
_STRAY_MARGIN: Final = timedelta(days=1)
_RESTLESS: Final = Verdict(Disposition.TRANSIENT, Scope.MAILBOX, remedies.RESTLESS)
Rows = Mapping[Folder, dict[str, Row]]
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class Looker:
    """The looks of one lane. `server` is its name, for people.

    `horizon` is how long a request lives: an older draft of ours is nobody's work any more, and a stray.
    """

    def __init__(self, find: Find, server: str, clock: Clock, horizon: timedelta) -> None:
        self._find = find
        self._server = server
        self._clock = clock
        self._stray_after = horizon + _STRAY_MARGIN
        self._memory = SentMemory()
        self._first_page_rows = _FIRST_PAGE_ROWS

    async def look(self, floors: Mapping[Stamp, datetime]) -> Look | Deferred:
        if not floors:
            return Look({})
        began_at, floor = self._clock.now(), min(floors.values())
        self._memory.make_room()
        seen = await self._read(floor)
        if isinstance(seen, Trouble):
            return of_look(seen)
        folders, sent = seen
        newest = max((row.modified_at for row in folders[Folder.DRAFTS].values() if row.modified_at), default=None)
        # Before the memory takes this look over: a draft that somebody sends while we look is no stray.
        strays = self._strays(folders, floors, began_at)
        self._memory.keep(_left(folders), sent, floor, newest, began_at)
        return Look(self._sights(folders, floors), strays)

    async def _read(self, floor: datetime) -> tuple[Rows, SentRows] | Trouble:
        """All rows that matter, by folder; and what was read of Sent Items, for the memory."""
        bounds = {Folder.DRAFTS: floor, Folder.OUTBOX: floor, Folder.SENT_ITEMS: self._memory.bound(floor)}
        seen = await scan(self._find, bounds, self._first_page_rows)
        if seen is None or isinstance(seen, Trouble):
            return seen or self._restless()
        self._first_page_rows = _rows_to_ask_for(seen, bounds)
        rows = {folder: each.rows for folder, each in seen.items()}
        sent = SentRows(rows[Folder.SENT_ITEMS], seen[Folder.SENT_ITEMS].total, bounds[Folder.SENT_ITEMS])
        below = self._memory.bound_below(floor, sent)
        if below is not None:
            more = await scan(self._find, {Folder.SENT_ITEMS: below}, NEXT_PAGE_ROWS)
            if more is None or isinstance(more, Trouble):
                return more or self._restless()
            sent = SentRows(more[Folder.SENT_ITEMS].rows, more[Folder.SENT_ITEMS].total, below)
            rows[Folder.SENT_ITEMS] |= sent.rows
        return rows, sent

    def _restless(self) -> Trouble:
        return Trail(self._server).trouble(
            "mailbox-restless", _RESTLESS, "the folders change too fast, or are too large"
        )

    def _sights(self, rows: Rows, floors: Mapping[Stamp, datetime]) -> dict[Stamp, Sight]:
        live: dict[Stamp, list[Draft]] = {stamp: [] for stamp in floors}
        for row in _live(rows):
            if row.stamp in live:
                live[Stamp(row.stamp)].append(_draft(row))
        return {stamp: Sight(self._memory.left_as(stamp), tuple(sorted(drafts))) for stamp, drafts in live.items()}

    def _strays(self, rows: Rows, floors: Mapping[Stamp, datetime], now: datetime) -> tuple[Draft, ...]:
        """Drafts that are nobody's work any more: their mail has left, or they are half retired, or too old."""
        found = (
            _draft(row)
            for row in _live(rows)
            if row.stamp not in floors
            and (row.stamp == VOID or self._memory.left_as(Stamp(row.stamp)) is not None or self._is_old(row, now))
        )
        return tuple(islice(found, _MOST_STRAYS))

    def _is_old(self, row: Row, now: datetime) -> bool:
        return row.created_at is not None and row.created_at < now - self._stray_after


def _live(rows: Rows) -> Iterator[Row]:
    return (row for row in rows[Folder.DRAFTS].values() if row.stamp and not row.submitted)


def _left(rows: Rows) -> dict[Stamp, str]:
    """The stamps of what has left, with Message-IDs: submitted anywhere, or on the way, or sent."""
    return {
        Stamp(row.stamp): row.message_id
        for folder, seen in rows.items()
        for row in seen.values()
        if row.stamp and row.stamp != VOID and (row.submitted or folder is not Folder.DRAFTS)
    }


def _draft(row: Row) -> Draft:
    return Draft(row.created_at or _LONG_AGO, row.id, row.change_key, row.message_id)


def _rows_to_ask_for(seen: Mapping[Folder, Seen], bounds: Mapping[Folder, datetime]) -> int:
    """Some more than were of use this time: the next look is much like this one."""
    used = max(
        sum(row.modified_at is None or row.modified_at >= bounds[folder] for row in each.rows.values())
        for folder, each in seen.items()
    )
    return min(max(_FEWEST_ROWS, used + used // 4 + 8), _MOST_ROWS)
