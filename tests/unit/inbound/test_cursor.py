"""What is owed, from which first moment on."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.inbound.cursor import MOST_DEALT, MOST_PRESENT, Cursor, first, read
from worker.mail.incoming import Arrival

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_now_begins_at_the_newest_mail_by_the_servers_clock() -> None:
    cursor = first("now", [Arrival("a", NOON), Arrival("b", NOON)], NOON + timedelta(hours=3), NOON + SECOND)
    assert not cursor.owes(Arrival("a", NOON))
    assert not cursor.owes(Arrival("old", NOON - SECOND))
    assert cursor.owes(Arrival("same second, arrived since", NOON))
    assert cursor.owes(Arrival("new", NOON + SECOND))
    assert cursor.owes(Arrival("without a time", None))
    assert not cursor.owes(Arrival("a", None))


@pytest.mark.parametrize("before", [[Arrival("a", NOON)], [Arrival("a", NOON - SECOND)], []])
def test_now_is_when_the_mailbox_came_to_be_known_not_when_it_could_be_looked_into(before: list[Arrival]) -> None:
    """Exchange may be down for hours just then."""
    known_at, looked_at = NOON + timedelta(milliseconds=500), NOON + timedelta(hours=3)
    told = {"b": NOON + timedelta(milliseconds=600), "c": NOON + timedelta(hours=2)}
    cursor = first("now", [*(Arrival(*each) for each in told.items()), *before], looked_at, known_at)
    assert all(cursor.owes(Arrival(name, at.replace(microsecond=0))) for name, at in told.items())
    assert not any(cursor.owes(Arrival(each.id, NOON)) for each in before)
    assert not cursor.owes(Arrival("old", NOON - timedelta(days=1)))


def test_a_clock_that_is_a_moment_ahead_is_the_same_clock() -> None:
    told = [Arrival("a", NOON + 1.5 * SECOND), Arrival("b", NOON + 3.2 * SECOND)]
    cursor = first("now", told, NOON + 2 * SECOND, NOON)
    assert all(cursor.owes(each) for each in told)


def test_mail_from_the_future_of_our_clock_tells_that_the_clocks_differ() -> None:
    ahead = [Arrival("a", NOON + timedelta(minutes=4)), Arrival("b", NOON + timedelta(minutes=5))]
    cursor = first("now", ahead, NOON + SECOND, NOON)
    assert [each.id for each in ahead if cursor.owes(each)] == []


def test_an_empty_inbox_owes_all_that_ever_comes() -> None:
    assert first("now", [], NOON, NOON).owes(Arrival("released from quarantine", NOON - timedelta(days=9)))


def test_all_owes_everything() -> None:
    assert first("all", [Arrival("a", NOON)], NOON, NOON).owes(Arrival("a", NOON))


@pytest.mark.parametrize("start", [NOON, NOON.replace(tzinfo=None)])
def test_a_date_owes_what_came_from_then_on(start: datetime) -> None:
    cursor = first(start, (), NOON, NOON)
    assert cursor.owes(Arrival("a", NOON))
    assert not cursor.owes(Arrival("b", NOON - SECOND))


def test_a_server_without_times_begins_by_our_clock() -> None:
    cursor = first("now", [Arrival("a", None)], NOON, NOON)
    assert cursor.since == NOON


def test_behind_the_walk_all_that_appears_is_owed() -> None:
    cursor = first("now", [Arrival("a", NOON)], NOON, NOON + SECOND).after("s1", last=False)
    assert cursor.walking
    cursor = cursor.after("s2", last=True)
    assert not cursor.walking
    assert cursor.owes(Arrival("moved in", NOON - timedelta(days=9)))


def test_anew_remembers_what_was_never_owed() -> None:
    cursor = first("now", [Arrival("a", NOON)], NOON, NOON + SECOND).after("s2", last=True).anew()
    assert cursor.state == ""
    assert not cursor.owes(Arrival("a", NOON))
    assert cursor.owes(Arrival("b", NOON + SECOND))


@pytest.mark.parametrize("cursor", [Cursor("s1", walking=False), Cursor("s1", NOON)])
def test_what_is_dealt_with_while_another_is_held_is_not_owed_again(cursor: Cursor) -> None:
    cursor = cursor.past("a", "b").past("b", "c")
    assert [each for each in "abcd" if cursor.owes(Arrival(each, NOON))] == ["d"]
    assert cursor.after("s2", last=False).dealt == (), "the state is behind them now"
    assert len(cursor.past(*(f"{number}" for number in range(500))).dealt) == MOST_DEALT


@pytest.mark.parametrize(
    "cursor",
    [
        Cursor(),
        Cursor("state", dealt=("a",)),
        Cursor("state", NOON, ("a", "b"), walking=False),
        first("now", [Arrival("x", NOON)] * 2000, NOON, NOON + SECOND),
    ],
)
def test_a_note_keeps_it(cursor: Cursor) -> None:
    assert read(cursor.note()) == cursor
    assert len(cursor.present) <= MOST_PRESENT


@pytest.mark.parametrize("note", ["", "nonsense", "[]", "{}", '{"state": 1, "walking": true}', '{"state": "s"}'])
def test_what_is_no_note_is_none(note: str) -> None:
    assert read(note) is None
