"""A look: what three folders show of the stamps asked for, with what this lane remembers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from worker.clock import Clock
from worker.ews import remedies
from worker.ews.codes import Disposition, Verdict
from worker.ews.exchange import Exchange
from worker.ews.memory import SentMemory
from worker.ews.operations import find_item
from worker.ews.operations.find_item import Folder, Page, Row
from worker.ews.scan import Rows, scan
from worker.ews.trouble import Trail, Trouble, of_look
from worker.mail.outcome import Deferred, Scope
from worker.mail.stamp import VOID, Stamp
from worker.mail.transport import Draft, Look, Sight

_FIRST_PAGE_ROWS: Final = 100
_FEWEST_ROWS, _MOST_ROWS = 20, 500
_MOST_STRAYS: Final = 10
_STRAY_MARGIN: Final = timedelta(days=1)
_RESTLESS: Final = Verdict(Disposition.TRANSIENT, Scope.MAILBOX, remedies.RESTLESS)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class Looker:
    """The looks of one lane. `horizon` is how long a request lives: older drafts of ours are nobody's any more."""

    def __init__(self, exchange: Exchange, address: str, clock: Clock, horizon: timedelta) -> None:
        self._exchange = exchange
        self._address = address
        self._clock = clock
        self._stray_after = horizon + _STRAY_MARGIN
        self._memory = SentMemory()
        self._first_page_rows = _FIRST_PAGE_ROWS

    async def look(self, floors: Mapping[Stamp, datetime]) -> Look | Deferred:
        if not floors:
            return Look({})
        began_at = self._clock.now()
        floor = min(floors.values())
        bounds = {Folder.DRAFTS: floor, Folder.OUTBOX: floor, Folder.SENT_ITEMS: self._memory.bound(floor)}
        rows = await scan(self._find, bounds, self._first_page_rows)
        if rows is None:
            trail = Trail(self._exchange.endpoint.server)
            return of_look(trail.trouble("mailbox-restless", _RESTLESS, "the folders changed while they were read"))
        if isinstance(rows, Trouble):
            return of_look(rows)
        self._first_page_rows = _rows_to_ask_for(rows, bounds)
        self._memory.keep(_left(rows), floor, _newest(rows[Folder.DRAFTS].values()), began_at)
        return self._shown(rows, floors, began_at)

    async def _find(self, folders: Sequence[Folder], offset: int, size: int) -> Sequence[Page] | Trouble:
        impersonate = self._exchange.endpoint.impersonate
        body = find_item.request(self._address, folders, offset=offset, size=size, impersonate=impersonate)
        answers = await self._exchange.call("FindItem", self._address, body, len(folders))
        if isinstance(answers, Trouble):
            return answers
        pages: list[Page] = []
        for answer in answers:
            page = find_item.page(answer) if answer.succeeded else None
            if page is None:
                return answer.trouble
            pages.append(page)
        return pages

    def _shown(self, rows: Rows, floors: Mapping[Stamp, datetime], now: datetime) -> Look:
        live: dict[Stamp, list[Draft]] = {}
        strays: list[Draft] = []
        for row in _live(rows):
            stamp = Stamp(row.stamp)
            if stamp in floors:
                live.setdefault(stamp, []).append(_draft(row))
            elif stamp == VOID or self._memory.left_as(stamp) is not None or self._is_old(row, now):
                strays.append(_draft(row))
        sights = {stamp: Sight(self._memory.left_as(stamp), tuple(sorted(live.get(stamp, ())))) for stamp in floors}
        return Look(sights, tuple(strays[:_MOST_STRAYS]))

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


def _newest(rows: Iterable[Row]) -> datetime | None:
    return max((row.modified_at for row in rows if row.modified_at is not None), default=None)


def _rows_to_ask_for(rows: Rows, bounds: Mapping[Folder, datetime]) -> int:
    """Half as many again as were of use this time: the next look is much like this one."""
    used = max(
        sum(row.modified_at is None or row.modified_at >= bounds[folder] for row in seen.values())
        for folder, seen in rows.items()
    )
    return min(max(_FEWEST_ROWS, used + used // 2 + 10), _MOST_ROWS)
