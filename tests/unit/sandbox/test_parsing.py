"""Mail in MIME as the item Exchange would make of it."""

import random
from datetime import UTC, datetime

import pytest

from worker.sandbox.item import Recipient
from worker.sandbox.mime import source_fields
from worker.sandbox.parsing import MOST_NESTED, decoded, parse

PLAIN = (
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@customer.example>\r\n"
    b'To: "Anna, A." <anna@contoso.example>, b@contoso.example\r\n'
    b"Cc: undisclosed-recipients:;\r\n"
    b"Reply-To: answers@customer.example\r\n"
    b"Subject: =?iso-8859-1?q?Gr=FC=DFe?=\r\n  aus  Wien\r\n"
    b"Date: Mon, 23 Nov 2026 10:00:00 +0100\r\n"
    b"Message-ID: <1@customer.example>\r\n"
    b"In-Reply-To: <0@contoso.example>\r\n"
    b"References: <a@x>\r\n\t<0@contoso.example>\r\n"
    b"X-Priority: 1 (Highest)\r\n"
    b"Sensitivity: Company-Confidential\r\n"
    b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe\x0b!\r\n"
)


def _multipart(kind: str, *parts: str, boundary: str = "b") -> bytes:
    inner = "".join(f"--{boundary}\n{each}\n" for each in parts)
    head = f'From: a@x.example\nContent-Type: multipart/{kind}; boundary="{boundary}"\n\n'
    return (head + inner + f"--{boundary}--\n").encode()


def test_fields_and_body() -> None:
    item = parse(PLAIN)
    assert item.from_ == item.sender == Recipient("j@customer.example", "Jürgen")
    assert item.to == (Recipient("anna@contoso.example", "Anna, A."), Recipient("b@contoso.example"))
    assert (item.cc, item.reply_to) == ((), (Recipient("answers@customer.example"),))
    assert item.subject == "Grüße aus  Wien"
    assert item.sent_at == datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    assert (item.message_id, item.in_reply_to) == ("<1@customer.example>", "<0@contoso.example>")
    assert item.references == "<a@x> <0@contoso.example>"
    assert (item.importance, item.sensitivity) == ("High", "Confidential")
    assert (item.body, item.body_type) == ("Grüße\x0b!\r\n", "Text")
    assert (item.item_class, item.element, item.is_read, item.is_draft) == ("IPM.Note", "Message", False, False)
    assert item.source == PLAIN


def test_header_fields_unfolded_and_not_decoded() -> None:
    fields = source_fields(PLAIN + b"X-Late: no field any more\r\n")
    assert fields[0] == ("From", "=?utf-8?q?J=C3=BCrgen?= <j@customer.example>")
    assert ("Subject", "=?iso-8859-1?q?Gr=FC=DFe?= aus  Wien") in fields
    assert ("References", "<a@x> <0@contoso.example>") in fields
    assert "X-Late" not in dict(fields)
    assert source_fields(b"no field\r\nbad name: x\r\nX-Empty:\r\nX: \xff\r\n\r\n") == [
        ("X-Empty", ""),
        ("X", "\ufffd"),
    ]
    assert source_fields(b"\r\nFrom: body\r\n") == []


def test_html_wins_and_files_are_attachments() -> None:
    alternative = _multipart(
        "alternative", "Content-Type: text/plain\n\nplain", "Content-Type: text/html\n\n<p>rich</p>", boundary="i"
    ).decode().partition("\n")[2]  # fmt: skip
    related = "Content-Type: image/png\nContent-ID: <logo>\nContent-Transfer-Encoding: base64\n\nbG9nbw=="
    item = parse(
        _multipart(
            "related",
            alternative,
            related,
            "Content-Type: text/plain\n\nfooter",
            'Content-Type: text/plain; name="a.txt"\n\nfile',
            "Content-Type: application/pdf\nContent-Disposition: attachment; filename*=utf-8''%C3%A4.pdf\n\n%PDF",
        )
    )
    assert (item.body, item.body_type) == ("<p>rich</p>", "HTML")
    assert [(each.name, each.content_type, each.inline, each.content_id) for each in item.attachments] == [
        ("ATT00001.dat", "image/png", True, "logo"),
        ("ATT00002.txt", "text/plain", False, ""),
        ("a.txt", "text/plain", False, ""),
        ("ä.pdf", "application/pdf", False, ""),
    ]
    assert item.attachments[0].content == b"logo"


def test_a_mail_in_a_mail() -> None:
    inner = "Subject: Inner\nFrom: c@x.example\n\nFrom the start\n"
    item = parse(_multipart("mixed", "\nsee below", f"Content-Type: message/rfc822\n\n{inner}"))
    (attached,) = item.attachments
    assert attached.item is not None
    assert (attached.name, attached.content_type) == ("Inner", "message/rfc822")
    assert attached.item.subject == "Inner"
    assert b"From the start" in attached.content
    assert b">From" not in attached.content
    assert attached.item.source == attached.content


def test_a_mail_in_a_mail_in_base64() -> None:
    part = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogSW5uZXIKCmJvZHkK"
    (attached,) = parse(_multipart("mixed", part)).attachments
    assert (attached.name, attached.content) == ("Inner", b"Subject: Inner\n\nbody\n")


def test_no_deeper_than_anybody_reads() -> None:
    source = b"Subject: innermost\n\nbody"
    for number in range(MOST_NESTED + 5):
        source = b"Subject: %d\nContent-Type: message/rfc822\n\n" % number + source
    item, depth = parse(source), 0
    while item.attachments and item.attachments[0].item is not None:
        item, depth = item.attachments[0].item, depth + 1
    assert depth == MOST_NESTED
    assert item.attachments[0].content_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("report", "machine", "item_class"),
    [
        ("delivery-status", "delivery-status\n\nReporting-MTA: dns;x\n\nAction: failed\nStatus: 5.1.1", "Note.NDR"),
        ("delivery-status", "delivery-status\n\nReporting-MTA: dns;x\n\nAction: delayed", "Note.Delayed"),
        ("delivery-status", "delivery-status\n\nA: b\n\nAction: delivered\n\nAction: failed", "Note.NDR"),
        ("delivery-status", "delivery-status\n\nA: b\n\nAction: delivered", "Note.DR"),
        ("disposition-notification", "disposition-notification\n\nDisposition: x/y; displayed", "Note.IPNRN"),
        ("disposition-notification", "disposition-notification\n\nDisposition: x/y; deleted", "Note.IPNNRN"),
    ],
)
def test_reports(report: str, machine: str, item_class: str) -> None:
    item = parse(
        _multipart(
            f"report; report-type={report}",
            "\nfor people",
            f"Content-Type: message/{machine}",
            "Content-Type: message/rfc822\n\nMessage-ID: <1@x>\nSubject: Original\n\n",
        )
    )
    assert item.item_class == f"REPORT.IPM.{item_class}"
    assert item.body == "for people"
    assert [each.name for each in item.attachments] == ["Original"]


@pytest.mark.parametrize(
    ("method", "line", "item_class", "element"),
    [
        ("; method=REQUEST", "", "IPM.Schedule.Meeting.Request", "MeetingRequest"),
        ("", "METHOD:CANCEL", "IPM.Schedule.Meeting.Canceled", "MeetingCancellation"),
        ("; method=REPLY", "ATTENDEE;PARTSTAT=DECLINED:x", "IPM.Schedule.Meeting.Resp.Neg", "MeetingResponse"),
        ("", "METHOD:PUBLISH", "IPM.Note", "Message"),
    ],
)
def test_meetings(method: str, line: str, item_class: str, element: str) -> None:
    calendar = f"Content-Type: text/calendar{method}\n\nBEGIN:VCALENDAR\n{line}\nEND:VCALENDAR"
    item = parse(_multipart("alternative", "\nShall we?", calendar))
    assert (item.item_class, item.element) == (item_class, element)
    assert (item.body, item.attachments) == ("Shall we?", [])


def test_a_calendar_file_is_a_file() -> None:
    part = "Content-Type: text/calendar; method=REQUEST\nContent-Disposition: attachment; filename=a.ics\n\nBEGIN:"
    item = parse(_multipart("mixed", "\nhere", part))
    assert (item.item_class, [each.name for each in item.attachments]) == ("IPM.Note", ["a.ics"])


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\r\n\r\n",
        b"\x00\xff\xfe",
        b"From: <<<>>>\nTo: @\nDate: yesterday\nSubject: =?nonsense?b?!!!?=\nContent-Type: ///\n\n\xff",
        b"Content-Type: multipart/mixed\n\nno boundary",
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n--b",
        b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n?",
        b"Content-Type: text/html; charset=unknown-8bit\n\n\xe4\xf6\xfc",
        b"Content-Type: text/plain; charset=utf-16\n\n\xd8\x00",
        b"Content-Type: text/plain; charset=idna\n\n\xff",
        b"Content-Type: message/delivery-status\n\nAction: failed",
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 3000,
        b"Date: Mon, 99 Nov 9999999 10:00:00 +9999\nThread-Index: ?\n\n",
        b"Subject: =?utf-8?b?7aCA?=\nContent-Type: text/plain; charset=utf-7\n\n+2AA-",
    ],
)
def test_whatever_it_is_there_is_an_item(source: bytes) -> None:
    item = parse(source)
    assert item.source == source
    (item.subject + item.body).encode()


@pytest.mark.parametrize("seed", range(8))
def test_spoiled_at_random(seed: int) -> None:
    chance = random.Random(seed)
    good = PLAIN.replace(b"text/plain", b"multipart/mixed; boundary=b")
    good += _multipart(
        "report; report-type=delivery-status", "Content-Type: message/rfc822\n\n" + PLAIN.decode("latin-1")
    )
    for _ in range(40):
        source = bytearray(good)
        for _ in range(chance.randint(1, 60)):
            at = chance.randrange(len(source))
            source[at : at + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 3))
        item = parse(bytes(source))
        (item.subject + item.body + "".join(each.name for each in item.attachments)).encode()


def test_encoded_words_that_cannot_be_read_stay() -> None:
    for each in ("=?utf-8?b?a?=", "=?nowhere?q?x?=", "plain = ? text"):
        assert decoded(each) in (each, "i")
