"""By Exchange's class, which comes before anything a header says. What headers say: test_corpus.py."""

from datetime import UTC, datetime

import pytest

from worker.inbound.classify import automatic, classify, needs_source
from worker.mail.address import Address
from worker.mail.incoming import File, IncomingMail
from worker.mail.report import Action, Report

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("item_class", "kind", "source"),
    [
        ("IPM.Note", "message", False),
        ("", "message", False),
        ("IPM.Note.SMIME.MultipartSigned", "message", False),
        ("IPM.Contact", "message", False),
        ("REPORT.IPM.Note.NDR", "bounce", True),
        ("Report.IPM.Note.ndr", "bounce", True),
        ("REPORT.IPM.Schedule.Meeting.Request.NDR", "bounce", True),
        ("REPORT.IPM.Note.DR", "receipt", True),
        ("REPORT.IPM.Note.Delayed", "receipt", True),
        ("REPORT.IPM.Note.IPNRN", "receipt", True),
        ("REPORT.IPM.Note.IPNNRN", "receipt", True),
        ("IPM.Recall.Report.Success", "receipt", True),
        ("IPM.Schedule.Meeting.Request", "meeting", True),
        ("IPM.Schedule.Meeting.Resp.Pos", "meeting", True),
        ("IPM.Schedule.Meeting.Canceled", "meeting", True),
        ("IPM.Note.Rules.OofTemplate.Microsoft", "auto-reply", False),
        ("IPM.Note.Rules.ReplyTemplate.Microsoft", "auto-reply", False),
    ],
)
def test_classes(item_class: str, kind: str, source: bool) -> None:  # noqa: FBT001 - a row of the table
    mail = IncomingMail("1", AT, item_class)

    assert classify(mail) == kind
    assert needs_source(mail) == source
    assert automatic(mail, classify(mail)) == (kind in ("auto-reply", "bounce", "receipt"))


@pytest.mark.parametrize(("action", "kind"), [("failed", "bounce"), ("delayed", "receipt"), ("delivered", "receipt")])
def test_what_a_report_says_counts(action: Action, kind: str) -> None:
    assert classify(IncomingMail("1", AT, "REPORT.IPM.Note.NDR"), Report(action)) == kind


@pytest.mark.parametrize("item_class", ["IPM.Note.StorageQuotaWarning.Warning", "IPM.Outlook.Recall"])
def test_what_exchange_itself_writes_is_automatic(item_class: str) -> None:
    mail = IncomingMail("1", AT, item_class)

    assert classify(mail) == "message"
    assert automatic(mail, "message")


def test_mail_of_our_own_is_automatic() -> None:
    assert automatic(IncomingMail("1", AT), "message", own=True)


@pytest.mark.parametrize(
    ("kind", "found"), [("text/calendar; method=REQUEST", "meeting"), ("text/calendar", "message")]
)
def test_a_calendar_among_the_files(kind: str, found: str) -> None:
    assert classify(IncomingMail("1", AT, files=(File("1", "invite.ics", kind),))) == found


def test_a_person_may_say_what_machines_say() -> None:
    person = IncomingMail("1", AT, from_=Address("x@c.example"), subject="Undeliverable: what now?")

    assert classify(person) == "message"
    assert not automatic(person, "message")
