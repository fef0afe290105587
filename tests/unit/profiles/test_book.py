"""Where a request is worked on when profiles change: the same place for every delivery of it, whatever the worker."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from worker.mail.outcome import Reason
from worker.mail.transport import WorkingMailbox
from worker.profiles.book import FINISHING, QUIET, Book, Earlier, Way, moves
from worker.profiles.directory import Directory
from worker.profiles.loader import parse

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ANNA, ROUTER = "anna@contoso.example", "router@contoso.example"


def directory(*addresses: str, **profile: Any) -> Directory:
    table = {
        "name": "Out",
        "direction": "outgoing",
        "server": "exchange",
        "location": "https://mail.contoso.example/EWS/Exchange.asmx",
        "username": ROUTER,
        "password": "env:PATH",
    }
    entries = [{"address": each, "outgoing": "Out"} for each in addresses or ("*@contoso.example",)]
    return parse({"profile": [{**table, **profile}], "mailbox": entries}, "test")


OWN, ACCOUNT = directory(access="impersonation"), directory(access="send-as")


def way(book: Book, asked_at: datetime, now: datetime, begun_in: str = "") -> Way:
    found = book.outgoing(ANNA, asked_at, now, begun_in)
    assert isinstance(found, Way), found
    return found


def addresses(found: Way) -> list[str]:
    return [each.address for each in found.places]


def test_without_changes_there_is_one_place() -> None:
    found = way(Book(OWN, "new"), NOON, NOON)
    assert found.places == (WorkingMailbox("Out", ANNA),)
    assert found.closes_at is None


CHANGED = Book(ACCOUNT, "new", (Earlier("old", NOON, OWN),))


def test_what_was_asked_for_before_a_change_finishes_where_it_began() -> None:
    found = way(CHANGED, NOON - SECOND, NOON + SECOND)
    assert found.places == (WorkingMailbox("Out", ANNA, "old"),)
    assert (found.closes_at, found.opens_at) == (NOON + FINISHING, NOON + FINISHING + QUIET)


def test_what_is_asked_for_later_begins_the_new_way() -> None:
    assert way(CHANGED, NOON, NOON).places == (WorkingMailbox("Out", ROUTER),)


def test_what_could_not_finish_is_taken_out_and_goes_on() -> None:
    opens_at = NOON + FINISHING + QUIET
    assert addresses(way(CHANGED, NOON - SECOND, opens_at - SECOND)) == [ANNA]
    found = way(CHANGED, NOON - SECOND, opens_at)
    assert found.places == (WorkingMailbox("Out", ANNA, "old"), WorkingMailbox("Out", ROUTER))
    assert found.closes_at is None


def test_there_and_back_again() -> None:
    """The mailbox in between is seen to, the one where it is now is not taken out of itself."""
    back = Book(OWN, "third", (Earlier("first", NOON, OWN), Earlier("second", NOON + timedelta(hours=1), ACCOUNT)))
    asked_at = NOON - SECOND
    between = way(back, asked_at, NOON + timedelta(minutes=30))
    assert [(each.address, each.revision) for each in between.places] == [(ANNA, "first"), (ROUTER, "second")]
    at_the_end = way(back, asked_at, NOON + timedelta(hours=2))
    assert [(each.address, each.revision) for each in at_the_end.places] == [(ROUTER, "second"), (ANNA, "")]


def test_of_the_same_place_twice_the_newer_way_in_counts() -> None:
    """A change that moved others only closes nothing for this one."""
    book = Book(directory(access="impersonation", username="new@contoso.example"), "new", (Earlier("old", NOON, OWN),))
    found = way(book, NOON - SECOND, NOON)
    assert found.places == (WorkingMailbox("Out", ANNA),)
    assert found.closes_at is None


def test_nothing_can_have_begun_where_there_was_no_way() -> None:
    book = Book(OWN, "new", (Earlier("old", NOON, directory("bea@contoso.example")),))
    assert way(book, NOON - SECOND, NOON).places == (WorkingMailbox("Out", ANNA),)


def test_who_is_not_in_the_profiles_any_more_has_his_mail_finished_and_no_other_sent() -> None:
    book = Book(directory("bea@contoso.example"), "new", (Earlier("old", NOON, OWN),))
    found = way(book, NOON - SECOND, NOON + timedelta(days=1))
    assert found.places == (WorkingMailbox("Out", ANNA, "old"),)
    assert found.closes_at is None
    assert isinstance(book.outgoing(ANNA, NOON, NOON), Reason)


def test_where_a_draft_is_known_to_lie_is_looked_into() -> None:
    """A worker with a file knows nothing of what was in force before it started; the request does."""
    assert addresses(way(Book(ACCOUNT, "new"), NOON, NOON, begun_in=ANNA)) == [ANNA, ROUTER]
    assert addresses(way(Book(ACCOUNT, "new"), NOON, NOON, begun_in="Router@Contoso.Example")) == [ROUTER]
    assert addresses(way(CHANGED, NOON - SECOND, NOON, begun_in=ROUTER)) == [ANNA]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (OWN, False),
        (directory(access="impersonation", messages_per_minute=3), False),
        (directory(access="impersonation", location="https://new.contoso.example/EWS/Exchange.asmx"), False),
        (directory("*@contoso.example", ANNA), False),
        (ACCOUNT, True),
        (directory(server="exchange-online", authentication="clear-text"), True),
        (directory("bea@contoso.example"), True),
    ],
)
def test_what_moves_mail(after: Directory, *, expected: bool) -> None:
    assert moves(OWN, after) is expected


def test_whose_profiles_say_how_a_place_is_reached() -> None:
    assert CHANGED.directory_of(WorkingMailbox("Out", ROUTER)) is ACCOUNT
    assert CHANGED.directory_of(WorkingMailbox("Out", ANNA, "old")) is OWN
    assert CHANGED.directory_of(WorkingMailbox("Gone", ANNA)) is None
    assert CHANGED.directory_of(WorkingMailbox("Out", ANNA, "forgotten")) is None
