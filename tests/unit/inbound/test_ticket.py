"""Tickets and reports come back as they were written; what is none is dropped without a word."""

import json

import pytest

from worker.inbound.ticket import (
    Carried,
    Hint,
    Listened,
    ListenTicket,
    Polled,
    PollTicket,
    read,
    read_report,
    write,
)
from worker.mail.outcome import Reason, Scope

ALL: list[Carried] = [
    PollTicket(1, "P", "anna@contoso.example", "note", kept=False, suspect="mail"),
    PollTicket(0, "P", "anna@contoso.example", item="AAMk="),
    ListenTicket(2, "P", ("a@contoso.example", "b@contoso.example"), 60.0),
    Polled(1, "P", "anna@contoso.example", "note", more=True, published=3),
    Polled(1, "P", "a@b", stuck="x", reason=Reason("busy", Scope.SERVER, "m", "r", "q"), retry_after_seconds=2.5),
    Hint("P", ("a@contoso.example",)),
    Listened(2, "P", ("b@contoso.example",)),
]


@pytest.mark.parametrize("carried", ALL)
def test_round_trip(carried: Carried) -> None:
    assert read(write(carried), type(carried)) == carried


@pytest.mark.parametrize("carried", ALL)
def test_only_reports_are_reports(carried: Carried) -> None:
    assert read_report(write(carried)) == (carried if isinstance(carried, Polled | Hint | Listened) else None)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"1", b"{}", b'{"kind": "poll"}', b'{"kind": "x"}', b'{"kind": "poll", "further": 1}']
)
def test_nonsense_is_none(body: bytes) -> None:
    assert read(body, PollTicket) is None
    assert read_report(body) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"mailbox": ["a@b"]},
        {"mailbox": None},
        {"number": "1"},
        {"number": 1.5},
        {"retry_after_seconds": "2"},
        {"retry_after_seconds": 1e999},
        {"kept": "yes"},
        {"published": {}},
        {"reason": "busy"},
        {"reason": {"code": "busy", "scope": "planet", "message": "m"}},
        {"reason": {"code": ["busy"], "scope": "server", "message": "m"}},
        {"reason": {"code": "busy"}},
    ],
)
def test_what_is_of_another_type_is_none(changed: dict[str, object]) -> None:
    told = {"kind": "polled", "number": 1, "profile": "P", "mailbox": "a@b", **changed}
    assert read_report(json.dumps(told).encode()) is None


@pytest.mark.parametrize("mailboxes", ["a@b", [1], [["a@b"]], {"a@b": 1}])
def test_a_list_holds_texts(mailboxes: object) -> None:
    told = {"kind": "hint", "profile": "P", "mailboxes": mailboxes}
    assert read_report(json.dumps(told).encode()) is None


def test_a_wait_that_is_no_number_is_none() -> None:
    body = b'{"kind": "listen", "number": 1, "profile": "P", "mailboxes": [], "seconds": NaN}'
    assert read(body, ListenTicket) is None
