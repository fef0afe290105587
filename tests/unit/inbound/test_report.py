"""Reports that Exchange gives by properties alone, and what the event of a bounce holds. Sources: test_corpus.py."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.unit.events.sample import validator
from tests.unit.inbound.corpus import hand_made
from worker.events.bounced import bounced
from worker.inbound.delivery_status import reason_of, status_in
from worker.inbound.report import MOST_RECIPIENTS, guess_report, read_report
from worker.mail.address import Address
from worker.mail.incoming import IncomingMail
from worker.mail.outcome import Reason, Scope
from worker.mail.report import Failure, Report

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PROSE = """\
Delivery has failed to these recipients or groups:

x@customer.example
The address was not found.

y@customer.example
The mailbox is full.

Diagnostic information for administrators:

x@customer.example
mx.customer.example
Remote server returned '550 5.1.1 no such user'

y@customer.example
Remote server returned '552 5.2.2 over quota'

Original message headers:

Message-ID: <1@contoso.example>
From: anna@contoso.example
"""


def test_by_prose() -> None:
    mail = IncomingMail("1", AT, "REPORT.IPM.Note.NDR", to=(Address("anna@contoso.example"),), text=PROSE)
    report = guess_report(mail)

    assert report is not None
    assert (report.action, report.message_id) == ("failed", "<1@contoso.example>")
    assert {each.recipient for each in report.failures} == {"x@customer.example", "y@customer.example"}
    assert guess_report(IncomingMail("1", AT, html=PROSE.replace("\n", "<br>"), to=mail.to)) == report


def test_a_report_that_says_nothing() -> None:
    assert guess_report(IncomingMail("1", AT, "REPORT.IPM.Note.NDR")) is None
    assert guess_report(IncomingMail("1", AT, text="It did not work.")) is None


def test_whom_it_did_not_reach_may_stay_unknown() -> None:
    report = guess_report(IncomingMail("1", AT, in_reply_to="<1@contoso.example>", text="550 5.1.1 no such user"))

    assert report is not None
    (failure,) = report.failures
    assert (failure.recipient, failure.reason.code) == ("", "5.1.1")


def test_the_trace_goes_before_an_id_that_exchange_gave() -> None:
    report = read_report(hand_made()["dsn-ses"])

    assert report is not None
    assert report.message_id == "<0100018c-4711@relay.example>"
    assert report.original.startswith("<crm.bWFpbC0x.")


@pytest.mark.parametrize("name", ["fresh", "reply", "newsletter", "meeting-request", "auto-exchange", "encrypted"])
def test_other_mails_are_no_reports(name: str) -> None:
    assert read_report(hand_made()[name]) is None


def test_recipients_are_bounded() -> None:
    source = hand_made()["dsn-postfix"].replace(
        b"Final-Recipient", b"Action: failed\n\nFinal-Recipient: rfc822; z@c.example\n\n" * 5000 + b"Final-Recipient"
    )
    report = read_report(source)

    assert report is not None
    assert len(report.failures) <= MOST_RECIPIENTS


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("5.1.1", "5.1.1"),
        ("550 5.1.10 RESOLVER", "5.1.10"),
        ("5.0.0 then 5.7.1", "5.7.1"),
        ("only 5.0.0", "5.0.0"),
        ("[15.1.2.3] 192.5.1.1 5.1.1.1 v5.1.1-rc", ""),
        ("3.1.1", ""),
        ("(5.7.26)", "5.7.26"),
    ],
)
def test_status_codes_in_text(text: str, status: str) -> None:
    assert status_in(text) == status


@pytest.mark.parametrize(
    ("status", "said", "scope", "word"),
    [
        ("5.1.1", "", Scope.RECIPIENT, "unknown"),
        ("5.1.99", "", Scope.RECIPIENT, "unknown"),
        ("5.2.2", "", Scope.RECIPIENT, "full"),
        ("4.4.7", "", Scope.RECIPIENT, "reached in time"),
        ("5.7.1", "", Scope.RECIPIENT, "refuses"),
        ("5.7.26", "", Scope.PROFILE, "SPF"),
        ("5.7.509", "", Scope.PROFILE, "SPF"),
        ("5.7.705", "", Scope.PROFILE, "blocked"),
        ("5.0.0", "Mailbox is full", Scope.RECIPIENT, "full"),
        ("5.9.9", "", Scope.RECIPIENT, "could not be delivered"),
        ("", "", Scope.RECIPIENT, "could not be delivered"),
        ("", "the user is unknown here", Scope.RECIPIENT, "unknown"),
    ],
)
def test_reasons(status: str, said: str, scope: Scope, word: str) -> None:
    reason = reason_of("x@c.example", status, said)

    assert (reason.code, reason.scope) == (status or "undeliverable", scope)
    assert word in reason.message
    assert reason.message.startswith("x@c.example: ")
    assert said in reason.message
    assert reason.remedy


REASON = Reason("5.1.1", Scope.RECIPIENT, "unknown", "correct it")


def told(failure: Failure, report_id: str = "a" * 32) -> dict[str, Any]:
    report = Report("failed", "<1@contoso.example>", "<2@contoso.example>", (failure,))
    event = bounced(report_id, "mail-1", "anna@contoso.example", "Incoming", report, failure, occurred_at=AT)
    body = orjson.loads(event.body)
    assert (event.routing_key, event.id) == ("email.bounced", body["id"])
    validator("crm.email.bounced.v1").validate(body)
    assert isinstance(body, dict)
    return body


def test_the_event_of_a_bounce() -> None:
    assert told(Failure("x@customer.example", REASON))["data"] == {
        "email_id": "mail-1",
        "mailbox": "anna@contoso.example",
        "profile": "Incoming",
        "message_id": "<2@contoso.example>",
        "recipient": "x@customer.example",
        "occurred_at": "2026-11-23T09:00:00.000Z",
        "reason": {"code": "5.1.1", "scope": "recipient", "message": "unknown", "remedy": "correct it"},
    }
    assert "recipient" not in told(Failure("", REASON))["data"]


def test_one_event_for_each_recipient_of_each_report() -> None:
    ids = [
        told(Failure(recipient, REASON), report)["id"]
        for recipient in ("x@c.example", "y@c.example", "")
        for report in ("a" * 32, "b" * 32)
    ]

    assert len(set(ids)) == len(ids)
    assert told(Failure("X@C.example", REASON))["id"] == ids[0]
