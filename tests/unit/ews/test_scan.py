"""The order of reading: between the requests of one look, items come, go, change and move on, and none is missed."""

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.ews.build import NOON
from tests.unit.ews.folders import Folders
from worker.ews.codes import UNKNOWN_CODE
from worker.ews.operations.find_item import Folder, Page
from worker.ews.scan import NEXT_PAGE_ROWS, Seen, scan
from worker.ews.trouble import Trouble

DRAFTS, OUTBOX, SENT = Folder
EVERYTHING = dict.fromkeys(Folder, NOON)


def ids(seen: object, folder: Folder) -> set[str]:
    assert isinstance(seen, dict)
    return set(seen[folder].rows)


def once(act: Callable[[], None], call: int) -> Callable[[], None]:
    """To be called before each folder's evaluation; acts at one of them."""
    calls = iter(range(10_000))
    return lambda: act() if next(calls) == call else None


async def test_one_request_is_enough_where_every_folder_fits_on_a_page() -> None:
    folders = Folders()
    rows = {folder: folders.put(folder, "s") for folder in Folder}

    seen = await scan(folders.find, EVERYTHING, 100)

    assert isinstance(seen, dict)
    assert {folder: set(each.rows) for folder, each in seen.items()} == {f: {row.id} for f, row in rows.items()}
    assert folders.asked == [((DRAFTS, OUTBOX, SENT), 0, 100)]


async def test_a_folder_is_read_down_to_its_bound_and_no_further() -> None:
    folders = Folders()
    for _ in range(5000):
        folders.put(SENT)
    bound = NOON + timedelta(seconds=48)  # the last 200 rows, and what shares a page with them

    seen = await scan(folders.find, EVERYTHING | {SENT: bound}, 100)

    assert isinstance(seen, dict)
    assert {row.id for row in folders.items[SENT][:200]} <= ids(seen, SENT)
    assert len(folders.asked) == 3  # a page, the next, the top again
    assert folders.rows_read < 1200


async def test_a_server_that_does_not_sort_is_read_to_the_end() -> None:
    folders = Folders()
    for _ in range(700):
        folders.put(SENT)
    newest = folders.items[SENT][0]
    folders.items[SENT].reverse()

    seen = await scan(folders.find, EVERYTHING | {SENT: NOON + timedelta(seconds=5)}, 100)

    assert newest.id in ids(seen, SENT)


async def test_later_folders_are_asked_anew_after_an_earlier_one_took_several_pages() -> None:
    folders = Folders()
    deep = folders.put(DRAFTS, "s")
    for _ in range(300):
        folders.put(DRAFTS)
    # The mail leaves from a page not yet read, after Sent Items were evaluated for the first time.
    folders.between = once(lambda: folders.move(DRAFTS, folders.items[DRAFTS].index(deep), SENT), call=3)

    seen = await scan(folders.find, EVERYTHING, 100)

    assert isinstance(seen, dict)
    assert [row.stamp for row in seen[SENT].rows.values()] == ["s"]
    assert [folders.asked[0][0], folders.asked[1][0], folders.asked[-1][0]] == [
        (DRAFTS, OUTBOX, SENT),
        (DRAFTS,),
        (DRAFTS, OUTBOX, SENT),
    ]


async def test_a_row_that_moves_up_while_its_folder_is_paged_is_found_at_the_top() -> None:
    folders = Folders()
    deep = folders.put(DRAFTS, "s")
    for _ in range(300):
        folders.put(DRAFTS)
    # Submitted in place: the same folder, another position, and nowhere else.
    folders.between = once(lambda: folders.touch(DRAFTS, len(folders.items[DRAFTS]) - 1, submitted=True), call=3)

    seen = await scan(folders.find, EVERYTHING, 100)

    assert isinstance(seen, dict)
    assert seen[DRAFTS].rows[deep.id].submitted


async def test_rows_that_vanish_above_do_not_hide_one_below() -> None:
    folders = Folders()
    for _ in range(150):
        folders.put(DRAFTS)
    boundary = folders.put(DRAFTS, "s")
    for _ in range(599):  # so that it would be the first row of the third page, but for the overlap
        folders.put(DRAFTS)
    folders.between = once(lambda: folders.items[DRAFTS].__delitem__(slice(2)), call=4)

    seen = await scan(folders.find, EVERYTHING, 100)

    assert boundary.id in ids(seen, DRAFTS)


async def test_a_mailbox_that_never_rests_is_given_up() -> None:
    folders = Folders()
    for _ in range(2000):
        folders.put(DRAFTS)
    folders.between = lambda: folders.remove(DRAFTS, 0) if folders.asked[-1][0] == (DRAFTS,) else None

    assert await scan(folders.find, EVERYTHING, 100) is None
    assert len(folders.asked) < 20


async def test_trouble_on_any_page_is_no_look() -> None:
    folders = Folders()
    for _ in range(300):
        folders.put(DRAFTS)
    trouble = Trouble("ErrorServerBusy", UNKNOWN_CODE, "", "")

    async def find(asked: object, offset: int, size: int) -> list[Page] | Trouble:
        pages = await folders.find(list(Folder) if offset == 0 else [DRAFTS], offset, size)
        return trouble if offset else list(pages) if not isinstance(pages, Trouble) else pages

    assert await scan(find, EVERYTHING, 100) is trouble


@pytest.mark.parametrize("pages", [Page((), last=False, total=9)])
async def test_a_page_that_leads_nowhere_is_not_read_for_ever(pages: Page) -> None:
    async def find(asked: object, offset: int, size: int) -> list[Page]:
        return [pages]

    assert await scan(find, {SENT: NOON}, 100) is None


class World:
    """Items of one mailbox that live on at random between evaluations. Mail moves forward only."""

    def __init__(self, seed: int, per_evaluation: int) -> None:
        self.random = random.Random(seed)
        self.folders = Folders()
        self.per_evaluation = per_evaluation
        for _ in range(self.random.randint(0, 60)):
            self.folders.put(self.random.choice(list(Folder)), self._stamp())
        self.folders.between = self._live_on

    def _stamp(self) -> str:
        return f"s{self.random.randrange(10**9)}" if self.random.random() < 0.3 else ""

    def _live_on(self) -> None:
        for _ in range(self.random.randint(0, self.per_evaluation)):
            folder = self.random.choice(list(Folder))
            rows = self.folders.items[folder]
            if not rows or self.random.random() < 0.2:
                self.folders.put(folder)
                continue
            index = self.random.randrange(len(rows))
            act = self.random.choice(("touch", "remove", "move", "move", "submit"))
            if act == "touch":
                self.folders.touch(folder, index)
            elif act == "remove" and not rows[index].stamp:
                self.folders.remove(folder, index)
            elif act == "submit" and folder is DRAFTS:
                self.folders.touch(folder, index, submitted=True)
            elif act == "move" and folder is not SENT:
                self.folders.move(folder, index, OUTBOX if folder is DRAFTS else SENT)


def stamps(seen: Mapping[Folder, Seen]) -> set[str]:
    return {row.stamp for each in seen.values() for row in each.rows.values()}


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(2, 20))
def test_no_stamped_item_is_ever_missed(seed: int, per_evaluation: int, page: int) -> None:
    world = World(seed, per_evaluation)
    world.folders.limit = page
    there = {row.stamp for rows in world.folders.items.values() for row in rows if row.stamp}
    bounds: dict[Folder, datetime] = EVERYTHING

    seen = asyncio.run(scan(world.folders.find, bounds, page))

    if isinstance(seen, dict):
        assert there <= stamps(seen)


async def test_next_pages_are_large() -> None:
    folders = Folders()
    for _ in range(1300):
        folders.put(OUTBOX)

    await scan(folders.find, EVERYTHING, 100)

    assert [(asked, offset, size) for asked, offset, size in folders.asked if offset] == [
        ((OUTBOX,), 99, NEXT_PAGE_ROWS),
        ((OUTBOX,), 598, NEXT_PAGE_ROWS),
        ((OUTBOX,), 1097, NEXT_PAGE_ROWS),
    ]
