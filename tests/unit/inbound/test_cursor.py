"""What is owed, from which first moment on."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.inbound.cursor import MOST_DEALT, MOST_PRESENT, Cursor, first, read
from worker.mail.incoming import Arrival

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_now_begins_at_the_newest_mail_by_the_servers_clock() -> None:
    cursor = first("now", [Arrival("a", NOON), Arrival("b", NOON)], NOON + timedelta(hours=3))
    assert not cursor.owes(Arrival("a", NOON))
    assert not cursor.owes(Arrival("old", NOON - SECOND))
    assert cursor.owes(Arrival("same second, arrived since", NOON))
    assert cursor.owes(Arrival("new", NOON + SECOND))
    assert cursor.owes(Arrival("without a time", None))
    assert not cursor.owes(Arrival("a", None))


def test_an_empty_inbox_owes_all_that_ever_comes() -> None:
    assert first("now", [], NOON).owes(Arrival("released from quarantine", NOON - timedelta(days=9)))


def test_all_owes_everything() -> None:
    assert first("all", [Arrival("a", NOON)], NOON).owes(Arrival("a", NOON))


@pytest.mark.parametrize("start", [NOON, NOON.replace(tzinfo=None)])
def test_a_date_owes_what_came_from_then_on(start: datetime) -> None:
    cursor = first(start, (), NOON)
    assert cursor.owes(Arrival("a", NOON))
    assert not cursor.owes(Arrival("b", NOON - SECOND))


def test_a_server_without_times_begins_by_our_clock() -> None:
    cursor = first("now", [Arrival("a", None)], NOON)
    assert cursor.since == NOON


def test_behind_the_walk_all_that_appears_is_owed() -> None:
    cursor = first("now", [Arrival("a", NOON)], NOON).after("s1", last=False)
    assert cursor.walking
    cursor = cursor.after("s2", last=True)
    assert not cursor.walking
    assert cursor.owes(Arrival("moved in", NOON - timedelta(days=9)))


def test_anew_remembers_what_was_never_owed() -> None:
    cursor = first("now", [Arrival("a", NOON)], NOON).after("s2", last=True).anew()
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
        first("now", [Arrival("x", NOON)] * 2000, NOON),
    ],
)
def test_a_note_keeps_it(cursor: Cursor) -> None:
    assert read(cursor.note()) == cursor
    assert len(cursor.present) <= MOST_PRESENT


@pytest.mark.parametrize("note", ["", "nonsense", "[]", "{}", '{"state": 1, "walking": true}', '{"state": "s"}'])
def test_what_is_no_note_is_none(note: str) -> None:
    assert read(note) is None
