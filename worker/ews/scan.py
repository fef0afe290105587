"""Reading Drafts, Outbox and Sent Items so that nothing slips between pages or folders (PROTOCOL, rule 3 and E2).

Rows come newest change first, a page of every folder in one request, and each folder is read down to a bound. Usually
that is all. Where a folder does not reach its bound on the first page:

- It is paged on by offset, every page overlapping the one before by a row. If that row is not there, something above
  it has gone, the rows have shifted and one may have been skipped: the look starts anew.
- A row that is changed while its folder is being paged moves up, from pages not yet read to one that was. So the top
  of the folder is read once more, down to the newest time seen before.
- What was evaluated of later folders before that is worth nothing: a mail can have moved past it, out of a page not
  yet read. So they are asked anew, together with that top, which keeps the order of evaluation.

What is shown here as a live draft was one at some moment of the look; nothing that was one all along is left out.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from worker.ews.operations.find_item import Folder, Page, Row
from worker.ews.trouble import Trouble

Find = Callable[[Sequence[Folder], int, int], Awaitable[Sequence[Page] | Trouble]]
"""One FindItem: a page of each of these folders, from this offset on, of this size."""

Rows = dict[Folder, dict[str, Row]]
"""What was read, by folder and item id, in the order read; of an item read twice the later state."""

NEXT_PAGE_ROWS: Final = 500
_STARTS: Final = 3
_ROUNDS: Final = 12
_MOST_ROWS: Final = 250_000
_OVERLAP: Final = 1


async def scan(find: Find, bounds: Mapping[Folder, datetime], first_page_rows: int) -> Rows | Trouble | None:
    """All rows of the three folders down to their bounds. None if they changed faster than they could be read."""
    for _ in range(_STARTS):
        seen = await _Scan(find, bounds).run(first_page_rows)
        if seen is not None:
            return seen
    return None


class _Scan:
    def __init__(self, find: Find, bounds: Mapping[Folder, datetime]) -> None:
        self._find = find
        self._bounds = dict(bounds)
        self._rows: Rows = {folder: {} for folder in Folder}

    async def run(self, first_page_rows: int) -> Rows | Trouble | None:
        """What was read; None if the look must start anew."""
        pending = list(Folder)
        for _ in range(_ROUNDS):
            pages = await self._find(pending, 0, first_page_rows)
            if isinstance(pages, Trouble):
                return pages
            short = self._take(pending, pages)
            if short is None:
                return self._rows
            folder, page = short
            paged = await self._page_on(folder, page)
            if paged is not True:
                return paged
            self._bounds[folder] = max(row.modified_at for row in page.rows if row.modified_at is not None)
            pending = pending[pending.index(folder) :]
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
            if end > _MOST_ROWS or not page.rows or page.rows[-1].modified_at is None:
                return None
            offset, overlap = end - _OVERLAP, page.rows[-1].id
            pages = await self._find([folder], offset, NEXT_PAGE_ROWS)
            if isinstance(pages, Trouble):
                return pages
            (page,) = pages
            if all(row.id != overlap for row in page.rows) or (len(page.rows) <= _OVERLAP and not page.last):
                return None
            self._keep(folder, page)
            end = offset + len(page.rows)
        return True

    def _keep(self, folder: Folder, page: Page) -> None:
        self._rows[folder].update((row.id, row) for row in page.rows)

    def _reaches(self, folder: Folder, page: Page) -> bool:
        if page.last:
            return True
        last = page.rows[-1].modified_at if page.rows else None
        return last is not None and last < self._bounds[folder]
