"""Tickets and reports come back as they were written; what is none is dropped without a word."""

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
