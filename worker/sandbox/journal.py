"""What happened in one folder, so that a client can be told what changed since it last asked.

Every change has a number, rising over the whole server. A client's state names a walk: everything up to `base` it
knows; of what happened after that, up to `head`, it has been told what lies at or above `below`. A walk goes from the
newest to the oldest, as Exchange does since 2010 SP2, and one page costs as much as it has changes.

Changes are collapsed: an item that came after `base` is told once, as it is now; one that came and went is not told.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final, Literal

ChangeKind = Literal["Create", "Update", "ReadFlagChange", "Delete"]


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a client stands. Finished when `below` is no higher than `base` would let it go on."""

    base: int
    head: int
    below: int


@dataclass(slots=True)
class _Row:
    """The numbers of an item that is there; 0 for what never happened."""

    came: int
    changed: int = 0
    flagged: int = 0


class Journal:
    def __init__(self) -> None:
        self.head = 0
        self.forgotten = 0
        """Of what was removed up to this number nothing is known any more."""
        self._events: list[tuple[int, str]] = []
        self._stale = 0
        self._rows: dict[str, _Row] = {}
        self._gone: dict[str, tuple[int, int]] = {}
        """Item → (the number of its going, the number of its coming), oldest first."""

    def came(self, item_id: str, number: int) -> None:
        self._rows[item_id] = _Row(number)
        self._note(item_id, number)

    def changed(self, item_id: str, number: int, *, read_flag_only: bool = False) -> None:
        row = self._rows[item_id]
        if read_flag_only:
            self._stale += row.flagged > 0
            row.flagged = number
        else:
            self._stale += row.changed > 0
            row.changed = number
        self._note(item_id, number)

    def left(self, item_id: str, number: int, most_gone: int) -> None:
        """It was removed. Of removed items, `most_gone` are remembered."""
        row = self._rows.pop(item_id)
        self._stale += 1 + (row.changed > 0) + (row.flagged > 0)
        self._gone[item_id] = (number, row.came)
        while len(self._gone) > most_gone:
            oldest = next(iter(self._gone))
            self.forgotten = self._gone.pop(oldest)[0]
            self._stale += 1
        self._note(item_id, number)

    def begin(self, base: int) -> Walk:
        """A walk over all that happened after `base`."""
        return Walk(base, self.head, self.head + 1)

    def knows(self, base: int) -> bool:
        """Whether everything after `base` can still be told. Who knows nothing yet misses nothing."""
        return base == 0 or base >= self.forgotten

    def page(self, walk: Walk, most: int) -> tuple[list[tuple[ChangeKind, str]], Walk]:
        """So many changes at most, and where the walk goes on; its `below` is `base` when it is finished."""
        found: list[tuple[ChangeKind, str]] = []
        below = walk.below
        for index in range(bisect_left(self._events, (walk.below, "")) - 1, -1, -1):
            number, item_id = self._events[index]
            if number <= walk.base:
                break
            kind = self._kind(item_id, number, walk.base)
            if kind is not None:
                if len(found) == most:
                    return found, Walk(walk.base, walk.head, below)
                found.append((kind, item_id))
            below = number
        return found, Walk(walk.base, walk.head, walk.base)

    def _kind(self, item_id: str, number: int, base: int) -> ChangeKind | None:
        row = self._rows.get(item_id)
        if row is None:
            went, came = self._gone.get(item_id, (0, 0))
            return "Delete" if went == number and came <= base else None
        if row.came == number:
            return "Create"
        if row.came > base:  # told where it came
            return None
        if row.changed == number:
            return "Update"
        if row.flagged == number and row.changed <= base:
            return "ReadFlagChange"
        return None

    def _note(self, item_id: str, number: int) -> None:
        self._events.append((number, item_id))
        self.head = number
        if self._stale > _STALE_AT_LEAST and self._stale > len(self._events) // 2:
            self._events = [each for each in self._events if self._lives(*each)]
            self._stale = 0

    def _lives(self, number: int, item_id: str) -> bool:
        row = self._rows.get(item_id)
        if row is None:
            return self._gone.get(item_id, (0, 0))[0] == number
        return number in (row.came, row.changed, row.flagged)


_STALE_AT_LEAST: Final = 64
