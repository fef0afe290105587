"""A client that only follows the journal must end with the folder as it is, whatever happened between its pages."""

import random

import pytest

from worker.sandbox.journal import Journal, Walk


class Folder:
    """A folder and what it writes into its journal."""

    def __init__(self, most_gone: int = 1000) -> None:
        self.journal = Journal()
        self.items: dict[str, list[int]] = {}
        """Item → [content, read flag], each the number of its last change."""
        self._most_gone = most_gone
        self._number = 0

    def next(self) -> int:
        self._number += 1
        return self._number

    def come(self) -> str:
        number = self.next()
        item_id = f"item{number}"
        self.items[item_id] = [number, number]
        self.journal.came(item_id, number)
        return item_id

    def change(self, item_id: str, *, read_flag: bool) -> None:
        number = self.next()
        self.items[item_id][read_flag] = number
        self.journal.changed(item_id, number, read_flag_only=read_flag)

    def leave(self, item_id: str) -> None:
        del self.items[item_id]
        self.journal.left(item_id, self.next(), self._most_gone)


class Client:
    def __init__(self, folder: Folder) -> None:
        self.items: dict[str, list[int]] = {}
        self.told: list[str] = []
        self._folder = folder
        self._walk: Walk | None = None
        self._base = 0

    def page(self, most: int) -> bool:
        """Read a page; whether the walk is finished."""
        journal = self._folder.journal
        changes, after = journal.page(self._walk or journal.begin(self._base), most)
        assert len(changes) <= most
        for kind, item_id in changes:
            self.told.append(kind)
            if kind == "Delete":
                self.items.pop(item_id, None)
                continue
            now = self._folder.items[item_id]
            assert (kind == "Create") == (item_id not in self.items)
            if kind == "ReadFlagChange":
                self.items[item_id][1] = now[1]
            else:
                self.items[item_id] = list(now)
        finished = after.below <= after.base
        self._walk, self._base = (None, after.head) if finished else (after, self._base)
        return finished


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens(seed: int) -> None:
    chance = random.Random(seed)
    folder = Folder()
    client = Client(folder)
    for _ in range(400):
        act = chance.choice(["come", "come", "read", "change", "leave", "page", "page"])
        if act == "come":
            folder.come()
        elif act == "page":
            client.page(chance.randint(1, 9))
        elif folder.items:
            item_id = chance.choice(list(folder.items))
            folder.leave(item_id) if act == "leave" else folder.change(item_id, read_flag=act == "read")
    while not client.page(7):
        pass
    while not client.page(7):
        pass
    assert client.items == folder.items


def test_what_happened_to_one_item_is_one_change() -> None:
    folder = Folder()
    client = Client(folder)
    old = folder.come()
    assert client.page(10)
    new, short_lived = folder.come(), folder.come()
    folder.change(new, read_flag=False)
    folder.change(new, read_flag=True)
    folder.leave(short_lived)
    folder.change(old, read_flag=True)
    client.told.clear()
    assert client.page(10)
    assert client.told == ["ReadFlagChange", "Create"]
    folder.change(old, read_flag=True)
    folder.change(old, read_flag=False)
    folder.change(old, read_flag=True)
    client.told.clear()
    assert client.page(10)
    assert client.told == ["Update"]


def test_the_newest_come_first() -> None:
    folder = Folder()
    ids = [folder.come() for _ in range(5)]
    journal = folder.journal
    first, after = journal.page(journal.begin(0), 3)
    second, after = journal.page(after, 3)
    assert [item_id for _, item_id in first + second] == ids[::-1]
    assert after.below == after.base


def test_what_was_removed_is_remembered_for_a_while() -> None:
    folder = Folder(most_gone=2)
    ids = [folder.come() for _ in range(4)]
    base = folder.journal.head
    for each in ids[:2]:
        folder.leave(each)
    assert folder.journal.knows(base)
    folder.leave(ids[2])
    assert not folder.journal.knows(base)
    assert folder.journal.knows(0)
    assert folder.journal.knows(folder.journal.head)


def test_it_stays_small() -> None:
    folder = Folder(most_gone=10)
    one = folder.come()
    for _ in range(10_000):
        folder.change(one, read_flag=True)
        folder.leave(folder.come())
    assert len(folder.journal._events) < 300
