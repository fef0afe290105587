"""Reading Drafts, Outbox and Sent Items so that nothing slips between pages or folders (docs/delivery-rules.md, rule 3
and E2).

Rows come newest change first, a page of every folder in one request, and each folder is read down to a bound. Usually
that is all. Where a folder does not reach its bound on the first page:

- It is paged on by offset, every page overlapping the one before by a row. If that row is not there, something above
  it has gone, the rows have shifted and one may have been skipped: the look starts anew.
- A row that is changed while its folder is being paged moves up, from pages not yet read to one that was. So the top
  of the folder is read once more, down to an *anchor*: a row of the first page that has not changed since. Whatever
  has moved lies above it. (Not the first row: the clock ticks coarsely, and rows of one tick stand in any order.)
- What was evaluated of later folders before that is worth nothing: a mail can have moved past it, out of a page not
  yet read. So they are asked anew, together with that top, which keeps the order of evaluation.

What is shown here as a live draft was one at some moment of the look; nothing that was one all along is left out.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Final, Literal

from worker.ews.operations.find_item import OVERLAP, Folder, Page, Row
from worker.ews.trouble import Trouble

Find = Callable[[Sequence[Folder], int, int], Awaitable[Sequence[Page] | Trouble]]
"""One FindItem: a page of each of these folders, from this offset on, of this size."""


@dataclass(slots=True)
class Seen:
    """What was read of one folder: rows by id, of one read twice the later state; and how many rows it had at last."""

    rows: dict[str, Row] = field(default_factory=dict)
    total: int | None = 0


NEXT_PAGE_ROWS: Final = 500
_STARTS: Final = 3
_ROUNDS: Final = 12
_MOST_ROWS: Final = 100_000


async def scan(
    find: Find, bounds: Mapping[Folder, datetime], first_page_rows: int
) -> dict[Folder, Seen] | Trouble | None:
    """All rows of these folders down to their bounds. None if they are too many, or change too fast."""
    for _ in range(_STARTS):
        seen = await _Scan(find, bounds).run(first_page_rows)
        if seen is not None:
            return seen
    return None


class _Scan:
    def __init__(self, find: Find, bounds: Mapping[Folder, datetime]) -> None:
        self._find = find
        self._bounds = dict(bounds)
        self._anchors: dict[Folder, Row] = {}
        self._seen = {folder: Seen() for folder in Folder if folder in bounds}

    async def run(self, first_page_rows: int) -> dict[Folder, Seen] | Trouble | None:
        """What was read; None if the look must start anew."""
        pending = list(self._seen)
        size = first_page_rows
        for _ in range(_ROUNDS):
            pages = await self._find(pending, 0, size)
            if isinstance(pages, Trouble):
                return pages
            short = self._take(pending, pages)
            if short is None:
                return self._seen
            folder, page = short
            paged = await self._page_on(folder, page)
            if paged is not True:
                return paged
            self._anchors[folder] = page.rows[len(page.rows) // 2]
            pending, size = pending[pending.index(folder) :], NEXT_PAGE_ROWS
        return None

    def _take(self, folders: Sequence[Folder], pages: Sequence[Page]) -> tuple[Folder, Page] | None:
        """Keep what was read, up to and with the first folder whose page does not reach its bound; that folder."""
        for folder, page in zip(folders, pages, strict=True):
            self._keep(folder, page)
            if not self._reaches(folder, page):
                return folder, page
        return None

    async def _page_on(self, folder: Folder, page: Page) -> Trouble | Literal[True] | None:
        """Read on from this page down to the bound: True when there, None if the look must start anew."""
        end = len(page.rows)
        while not self._reaches(folder, page):
            if end > _MOST_ROWS or not page.rows:
                return None
            offset, overlap = end - OVERLAP, page.rows[-1].id
            pages = await self._find([folder], offset, NEXT_PAGE_ROWS)
            if isinstance(pages, Trouble):
                return pages
            (page,) = pages
            if all(row.id != overlap for row in page.rows) or (len(page.rows) <= OVERLAP and not page.last):
                return None
            self._keep(folder, page)
            end = offset + len(page.rows)
        return True

    def _keep(self, folder: Folder, page: Page) -> None:
        seen = self._seen[folder]
        seen.rows.update((row.id, row) for row in page.rows)
        seen.total = page.total

    def _reaches(self, folder: Folder, page: Page) -> bool:
        if page.last or self._anchors.get(folder) in page.rows:
            return True
        moments = [row.modified_at for row in page.rows if row.modified_at is not None]
        in_order = all(later >= sooner for later, sooner in pairwise(moments))  # not every server sorts
        return bool(moments) and in_order and moments[-1] < self._bounds[folder]
