"""Looks with a memory: never another answer than without one, and about as many rows read as mails sent."""

import asyncio
import random
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.ews.build import NOON
from tests.unit.ews.folders import Folders
from worker.ews.codes import UNKNOWN_CODE
from worker.ews.look import Looker
from worker.ews.memory import ALLOWANCE, MOST_STAMPS
from worker.ews.operations.find_item import Folder, Page
from worker.ews.trouble import Trouble
from worker.mail.outcome import Deferred, Scope
from worker.mail.stamp import VOID, Stamp
from worker.mail.transport import Look, Sight

DRAFTS, OUTBOX, SENT = Folder


class FolderClock:
    """Our own clock, as right as the server's was when it started."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._latest = 0.0

    def now(self) -> datetime:
        self._latest = max(self._latest, self._folders.seconds)  # the server's may step back; ours does not
        return NOON + timedelta(seconds=self._latest)

    def monotonic(self) -> float:
        return self._latest

    async def sleep(self, seconds: float) -> None:
        raise AssertionError

    def jitter(self) -> float:
        return 0.5


def looker(folders: Folders) -> Looker:
    return Looker(folders.find, "mail.contoso.example", FolderClock(folders), timedelta(days=7))


async def seen(looker: Looker, *stamps: str, floor: datetime = NOON) -> Look:
    look = await looker.look({Stamp(stamp): floor for stamp in stamps})
    assert isinstance(look, Look)
    return look


def truth(folders: Folders, stamp: str) -> tuple[bool, set[str]]:
    """Whether a mail with this stamp has left, and the ids of its live drafts."""
    rows = [(folder, row) for folder, rows in folders.items.items() for row in rows if row.stamp == stamp]
    left = any(folder is not DRAFTS or row.submitted for folder, row in rows)
    return left, {row.id for folder, row in rows if folder is DRAFTS and not row.submitted}


async def test_a_look_tells_live_drafts_from_what_has_left() -> None:
    folders = Folders()
    live, second = folders.put(DRAFTS, "live"), folders.put(DRAFTS, "live")
    folders.put(DRAFTS, "submitted", submitted=True)
    folders.put(OUTBOX, "travelling")
    folders.put(SENT, "sent")
    folders.put(SENT)

    look = await seen(looker(folders), "live", "submitted", "travelling", "sent", "nowhere")

    assert {draft.id for draft in look.of(Stamp("live")).live} == {live.id, second.id}
    assert look.of(Stamp("live")).left_as is None
    for stamp in ("submitted", "travelling", "sent"):
        assert look.of(Stamp(stamp)) == Sight(left_as=f"<{stamp}>")
    assert look.of(Stamp("nowhere")) == Sight()


async def test_nothing_asked_for_is_answered_without_a_request() -> None:
    folders = Folders()

    assert await seen(looker(folders)) == Look({})
    assert folders.asked == []


async def test_strays_are_late_drafts_void_ones_and_old_ones_but_not_somebodys_work() -> None:
    folders = Folders()
    folders.put(SENT, "left")
    late, void = folders.put(DRAFTS, "left"), folders.put(DRAFTS, VOID)
    folders.put(DRAFTS, "work")
    folders.put(DRAFTS, "asked")
    folders.put(DRAFTS)
    old = folders.put(DRAFTS, "old")
    folders.step_clock(timedelta(days=9).total_seconds())
    folders.put(DRAFTS, "work")
    folders.items[DRAFTS] = [
        row if row.id == old.id else row.__class__(row.id, row.change_key, row.stamp, False, None, row.modified_at, "")  # noqa: FBT003
        for row in folders.items[DRAFTS]
    ]

    subject = looker(folders)
    first, second = await seen(subject, "asked"), await seen(subject, "asked")

    # What a look shows to have left may have been sent while it looked: only the next look calls its draft a stray.
    assert {draft.id for draft in first.strays} == {void.id, old.id}
    assert {draft.id for draft in second.strays} == {late.id, void.id, old.id}


async def test_strays_are_few_at_a_time() -> None:
    folders = Folders()
    for _ in range(50):
        folders.put(DRAFTS, VOID)

    assert len((await seen(looker(folders), "asked")).strays) == 10


async def send_through(folders: Folders, looker: Looker, mails: int, back_seconds: float = 300) -> None:
    """A lane's day: draft, look, send, one mail at a time, some seconds apart."""
    for number in range(mails):
        stamp = f"{id(looker)}-{number}-{len(folders.items[SENT])}"
        folders.step_clock(3)
        floor = NOON + timedelta(seconds=folders.seconds - back_seconds)
        folders.put(DRAFTS, stamp)
        look = await seen(looker, stamp, floor=floor)
        assert len(look.of(Stamp(stamp)).live) == 1
        folders.move(DRAFTS, 0, SENT)


async def test_n_mails_cost_n_rows() -> None:
    folders = Folders()
    mine = looker(folders)
    for _ in range(5000):
        folders.put(SENT)
    rows = [0]
    for _ in range(3):
        await send_through(folders, mine, 200)
        rows.append(folders.rows_read)

    first, second, third = (after - before for before, after in pairwise(rows))
    assert first > 5000  # the way down to the floor, once
    assert second == third
    assert third / 200 < 25


async def test_what_another_worker_sent_is_seen_although_only_the_newest_is_read() -> None:
    folders = Folders()
    mine = looker(folders)
    await send_through(folders, mine, 50)
    folders.put(SENT, "theirs")
    for _ in range(30):
        folders.put(SENT)

    assert (await seen(mine, "theirs")).of(Stamp("theirs")).has_left


async def test_what_was_seen_to_leave_once_is_known_even_when_it_is_gone() -> None:
    folders = Folders()
    mine = looker(folders)
    folders.put(SENT, "s")
    await seen(mine, "s")
    folders.remove(SENT, 0)

    assert (await seen(mine, "s")).of(Stamp("s")).has_left


async def test_an_older_request_reads_further_back_than_the_memory_reaches() -> None:
    folders = Folders()
    mine = looker(folders)
    folders.put(SENT, "old")
    for _ in range(1000):
        folders.put(SENT)
    recent = NOON + timedelta(seconds=8)
    folders.put(DRAFTS, "new")
    await seen(mine, "new", floor=recent)

    assert (await seen(mine, "old", floor=NOON)).of(Stamp("old")).has_left


@pytest.mark.parametrize("tells_totals", [True, False])
@pytest.mark.parametrize("step", [-1.0, -30.0, -ALLOWANCE.total_seconds() + 40])
async def test_a_clock_that_steps_back_hides_nothing(step: float, *, tells_totals: bool) -> None:
    folders = Folders(tells_totals=tells_totals)
    mine = looker(folders)
    await send_through(folders, mine, 20)
    folders.step_clock(step)
    hidden = folders.put(SENT, "theirs")
    folders.sort(SENT)
    assert folders.items[SENT][0].id != hidden.id
    folders.put(DRAFTS, "theirs")

    assert (await seen(mine, "theirs")).of(Stamp("theirs")).has_left


async def test_a_row_from_the_future_hides_no_mail_of_today() -> None:
    folders = Folders()
    mine = looker(folders)
    future = replace(folders.put(DRAFTS), modified_at=NOON + timedelta(hours=1))
    folders.items[DRAFTS] = [future]
    folders.put(DRAFTS, "mine")
    folders.sort(DRAFTS)
    await seen(mine, "mine")
    folders.put(SENT, "theirs")
    for _ in range(600):
        folders.put(SENT)

    assert (await seen(mine, "theirs")).of(Stamp("theirs")).has_left


async def test_the_memory_has_no_gap() -> None:
    folders = Folders()
    mine = looker(folders)
    folders.put(DRAFTS, "first")
    await seen(mine, "first", floor=NOON)
    folders.step_clock(500)
    folders.put(SENT, "in the gap")
    for _ in range(600):  # more than any page holds
        folders.put(SENT)
    folders.step_clock(500)
    folders.put(DRAFTS, "second")
    await seen(mine, "second", floor=NOON + timedelta(seconds=900))

    look = await seen(mine, "in the gap", floor=NOON + timedelta(seconds=450))
    assert look.of(Stamp("in the gap")).has_left


async def test_the_memory_has_a_bound_and_loses_no_mail() -> None:
    folders = Folders()
    look = looker(folders)
    for number in range(MOST_STAMPS + 10):
        folders.put(Folder.SENT_ITEMS, f"s{number}")
        if number % 100 == 0:
            await seen(look, f"s{number}")
    rows_before = folders.rows_read
    sights = await seen(look, "s0", "s1000", f"s{MOST_STAMPS + 9}", "never")

    assert [sights.of(Stamp(each)).left_as for each in ("s0", "s1000", "never")] == ["<s0>", "<s1000>", None]
    await seen(look, f"s{MOST_STAMPS + 9}")
    assert folders.rows_read - rows_before >= MOST_STAMPS, "it had been forgotten"


async def test_more_mails_than_the_memory_holds_cost_as_many_rows() -> None:
    """A campaign: all its mails were asked for at one time, which each look reads back to."""
    folders = Folders()
    mine = looker(folders)
    mails = 2 * MOST_STAMPS + 100
    await send_through(folders, mine, mails, back_seconds=10 * mails)

    assert folders.rows_read < 30 * mails


async def test_a_failed_look_teaches_the_memory_nothing() -> None:
    folders = Folders()
    trouble = Trouble("ErrorServerBusy", UNKNOWN_CODE, "busy", "request-1", 2.5)
    failing = count()

    async def find(asked: list[Folder], offset: int, size: int) -> list[Page] | Trouble:
        pages = await folders.find(asked, offset, size)
        return trouble if next(failing) == 1 else list(pages) if not isinstance(pages, Trouble) else pages

    mine = Looker(find, "mail.contoso.example", FolderClock(folders), timedelta(days=7))  # type: ignore[arg-type]
    folders.put(DRAFTS, "a")
    await seen(mine, "a")
    folders.put(SENT, "theirs")
    for _ in range(30):
        folders.step_clock(1)
        folders.put(DRAFTS, "b")

    outcome = await mine.look({Stamp("b"): NOON})

    assert isinstance(outcome, Deferred)
    assert (outcome.reason.code, outcome.reason.scope) == ("ErrorServerBusy", Scope.MAILBOX)
    assert outcome.retry_after_seconds == 2.5
    assert (await seen(mine, "theirs")).of(Stamp("theirs")).has_left


class Lanes:
    """Several lanes on one mailbox, and somebody who tidies it up; each look is compared with the truth."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.folders = Folders()
        self.folders.limit = self.random.choice((5, 20, 1000))
        self.keeps_time = self.random.random() < 0.5
        self.lookers = [looker(self.folders) for _ in range(3)]
        self.stamps: list[tuple[str, datetime]] = []

    async def run(self) -> None:
        for _ in range(60):
            self.random.choice((self.draft, self.advance, self.advance, self.tidy, lambda: None))()
            await self.look()

    def draft(self) -> None:
        if not self.stamps or self.random.random() < 0.7:
            now = NOON + timedelta(seconds=self.folders.seconds)
            self.stamps.append((f"s{len(self.stamps)}", now - timedelta(seconds=2)))
        self.folders.put(DRAFTS, self.random.choice(self.stamps)[0])

    def advance(self) -> None:
        self.folders.step_clock(self.random.choice((0.0, 0.3, 5.0)))
        folder, target = self.random.choice(((DRAFTS, OUTBOX), (DRAFTS, SENT), (OUTBOX, SENT), (DRAFTS, DRAFTS)))
        if not self.folders.items[folder]:
            return
        index = self.random.randrange(len(self.folders.items[folder]))
        if target is DRAFTS:
            self.folders.touch(DRAFTS, index, submitted=True)
        else:
            keeps_time = self.keeps_time and folder is OUTBOX
            self.folders.move(folder, index, target, keeps_time=keeps_time)

    def live_on(self) -> None:
        """Between two evaluations of a look."""
        if self.random.random() < 0.2:
            self.advance()

    def tidy(self) -> None:
        """What is not ours goes and changes; of ours, it is read and flagged."""
        self.folders.put(SENT)
        index = self.random.randrange(len(self.folders.items[SENT]))
        if not self.folders.items[SENT][index].stamp and self.random.random() < 0.5:
            self.folders.remove(SENT, index)
        else:
            self.folders.touch(SENT, index)

    async def look(self) -> None:
        if not self.stamps:
            return
        asked = dict(self.random.sample(self.stamps, self.random.randint(1, min(3, len(self.stamps)))))
        floors = {Stamp(stamp): floor for stamp, floor in asked.items()}
        before = {stamp: truth(self.folders, stamp) for stamp in floors}
        self.folders.between = self.random.choice((self.live_on, lambda: None))
        look = await self.random.choice(self.lookers).look(floors)
        if isinstance(look, Deferred):
            return
        for stamp in floors:
            left, live = truth(self.folders, stamp)
            sight = look.of(stamp)
            assert before[stamp][0] <= sight.has_left <= left
            shown = {draft.id for draft in sight.live}
            assert before[stamp][1] & live <= shown <= before[stamp][1] | live


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_a_look_with_a_memory_says_what_is_true(seed: int) -> None:
    asyncio.run(Lanes(seed).run())
