"""Folders of a mailbox as FindItem pages them, which change between one request and the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from tests.unit.ews.build import NOON
from worker.ews.operations.find_item import Folder, Page, Row
from worker.ews.trouble import Trouble


@dataclass
class Folders:
    """`between` is called before each folder of each request is evaluated: the world going on."""

    items: dict[Folder, list[Row]] = field(default_factory=lambda: {folder: [] for folder in Folder})
    between: Callable[[], None] = lambda: None
    asked: list[tuple[tuple[Folder, ...], int, int]] = field(default_factory=list)
    rows_read: int = 0
    limit: int = 1000
    tells_totals: bool = True
    seconds: float = 0.0
    _serial: int = 0

    async def find(self, folders: Sequence[Folder], offset: int, size: int) -> Sequence[Page] | Trouble:
        self.asked.append((tuple(folders), offset, size))
        pages = []
        for folder in folders:
            self.between()
            rows = self.items[folder]
            shown = rows[offset : offset + min(size, self.limit)]
            self.rows_read += len(shown)
            last = offset + len(shown) >= len(rows)
            pages.append(
                Page(
                    tuple(self._shown(row) for row in shown), last=last, total=len(rows) if self.tells_totals else None
                )
            )
        return pages

    def put(self, folder: Folder, stamp: str = "", *, submitted: bool = False) -> Row:
        """A new item, changed now."""
        self._serial += 1
        row = self._changed(Row(f"item-{self._serial}", "", stamp, submitted, NOON, NOON, f"<{stamp}>"))
        self.items[folder].insert(0, row)
        return row

    def touch(self, folder: Folder, index: int, *, submitted: bool = False) -> None:
        """The item is changed, or submitted: it moves to the top."""
        row = self.items[folder].pop(index)
        self.items[folder].insert(0, self._changed(replace(row, submitted=submitted or row.submitted)))

    def move(self, folder: Folder, index: int, target: Folder, *, keeps_time: bool = False) -> None:
        row = self.items[folder].pop(index)
        self._serial += 1
        moved = replace(row, id=f"item-{self._serial}")
        self.items[target].insert(0, moved if keeps_time else self._changed(moved))
        self.sort(target)

    def sort(self, folder: Folder) -> None:
        """For what came in with a time of the past."""
        self.items[folder].sort(key=lambda row: row.modified_at or NOON, reverse=True)

    def step_clock(self, seconds: float) -> None:
        self.seconds += seconds

    def remove(self, folder: Folder, index: int) -> None:
        del self.items[folder][index]

    def _changed(self, row: Row) -> Row:
        self.seconds += 0.01
        self._serial += 1
        return replace(row, change_key=f"k{self._serial}", modified_at=NOON + timedelta(seconds=self.seconds))

    def _shown(self, row: Row) -> Row:
        """Times come in whole seconds."""
        assert row.modified_at is not None
        return replace(row, modified_at=row.modified_at.replace(microsecond=0))
