"""Which part of a mail is what."""

from datetime import UTC, datetime

import pytest

from worker.inbound.mime import completed, date, parse
from worker.inbound.parts import split
from worker.mail.incoming import IncomingMail


def mail(kind: str, *parts: str, boundary: str = "b") -> bytes:
    inner = "".join(f"--{boundary}\n{each}\n" for each in parts)
    return f'Subject: S\nContent-Type: {kind}; boundary="{boundary}"\n\npreamble\n{inner}--{boundary}--\nend'.encode()


def parsed(source: bytes) -> IncomingMail:
    return parse(source, "item-1", None)


def files(source: bytes) -> list[tuple[str, str, bytes]]:
    return [(each.name, each.content_type, each.content or b"") for each in parsed(source).files]


TEXT, HTML = "Content-Type: text/plain\n\nText", "Content-Type: text/html\n\n<p>Text"
PICTURE = "Content-Type: image/png\nContent-ID: <logo>\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo="
PDF = 'Content-Type: application/pdf; name="a.pdf"\nContent-Disposition: attachment\n\nPDF'


def within(kind: str, boundary: str, *parts: str) -> str:
    inner = "".join(f"--{boundary}\n{each}\n" for each in parts)
    return f"Content-Type: {kind}; boundary={boundary}\n\n{inner}--{boundary}--"


@pytest.mark.parametrize(
    ("source", "text", "html", "names"),
    [
        (b"Subject: S\n\nText", "Text", None, []),
        (b"Subject: S\nContent-Type: text/html\n\n<p>Text", None, "<p>Text", []),
        (mail("multipart/alternative", TEXT, HTML), "Text", "<p>Text", []),
        (
            mail("multipart/alternative", TEXT, within("multipart/related", "c", HTML, PICTURE)),
            "Text",
            "<p>Text",
            ["attachment1.png"],
        ),
        (
            mail("multipart/related", within("multipart/alternative", "c", TEXT, HTML), PICTURE),
            "Text",
            "<p>Text",
            ["attachment1.png"],
        ),
        (mail("multipart/mixed", within("multipart/alternative", "c", TEXT, HTML), PDF), "Text", "<p>Text", ["a.pdf"]),
        (mail("multipart/mixed", TEXT, PDF, HTML), "Text", None, ["a.pdf", "attachment2.html"]),
        (mail("multipart/mixed", PDF, TEXT), "Text", None, ["a.pdf"]),
        (
            mail("multipart/mixed", TEXT, "Content-Disposition: attachment; filename=b.txt\n\nx"),
            "Text",
            None,
            ["b.txt"],
        ),
        (mail("multipart/unheard-of", TEXT, PDF), "Text", None, ["a.pdf"]),
        (mail("multipart/mixed", "\nText", "\n"), "Text", None, []),
    ],
)
def test_bodies_and_files(source: bytes, text: str | None, html: str | None, names: list[str]) -> None:
    for each in (source, source.replace(b"\n", b"\r\n")):
        found = parsed(each)
        assert (found.text, found.html) == (text, html)
        assert [file.name for file in found.files] == names


def test_files_are_whole() -> None:
    source = mail("multipart/mixed", TEXT, PICTURE, PDF)

    assert files(source) == [
        ("attachment1.png", "image/png", b"\x89PNG\r\n\x1a\n"),
        ("a.pdf", "application/pdf", b"PDF"),
    ]
    picture, pdf = parsed(source).files
    assert (picture.content_id, picture.inline, pdf.inline) == ("logo", True, False)
    assert [each.size for each in (picture, pdf)] == [8, 3]


def test_a_mail_within_is_an_item() -> None:
    inner = "Content-Type: message/rfc822\n\nSubject: Inner\n\nInner text"
    (file,) = parsed(mail("multipart/mixed", TEXT, inner)).files

    assert (file.item, file.content_type, file.name) == (True, "message/rfc822", "message1.eml")
    assert parse(file.content or b"", "", None).text == "Inner text"


def test_header_fields() -> None:
    found = parsed(
        b"From: X <x@c.example>\nSender: y@c.example\nTo: a@c.example\nTo: b@c.example\nCc: c@c.example\n"
        b"Reply-To: d@c.example\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\n from far\nMessage-ID: <1@c.example>\n"
        b"In-Reply-To: <0@c.example>\nReferences: <0@c.example>\nDate: Mon, 23 Nov 2026 10:00:00 +0100\n"
        b"X-Priority: 1 (Highest)\nSensitivity: Company-Confidential\nThread-Index: AQID\n\nText"
    )

    assert found.from_ is not None
    assert (found.from_.address, found.from_.name) == ("x@c.example", "X")
    assert found.sender is not None
    assert [each.address for each in (*found.to, *found.cc, *found.reply_to)] == [
        "a@c.example",
        "b@c.example",
        "c@c.example",
        "d@c.example",
    ]
    assert found.subject == "Grüße from far"
    assert (found.message_id, found.in_reply_to, found.references) == (
        "<1@c.example>",
        "<0@c.example>",
        "<0@c.example>",
    )
    assert found.sent_at == datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    assert (found.importance, found.sensitivity) == ("high", "confidential")
    assert found.conversation_index == b"\x01\x02\x03"


@pytest.mark.parametrize(
    "text", ["", "yesterday", "Mon, 31 Feb 2026 09:00:00 +0000", "Fri, 31 Dec 9999 23:59:59 -1200"]
)
def test_no_date(text: str) -> None:
    assert date(text) is None


def test_what_only_the_source_tells() -> None:
    calendar = "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR"
    source = b"Message-ID: <1@c.example>\n" + mail("multipart/alternative", TEXT, calendar)
    given = IncomingMail("item-1", None, "IPM.Schedule.Meeting.Request", subject="Given")
    full = completed(given, source)

    assert (full.subject, full.message_id, full.text) == ("Given", "<1@c.example>", "Text")
    assert [(each.name, each.content_type) for each in full.files] == [
        ("invitation1.ics", "text/calendar; method=request")
    ]
    assert completed(full, source) == full
    assert completed(given, b"") == given


def test_no_more_than_what_is_there() -> None:
    """Every byte of a part is in the source, and no part holds a boundary of its own level."""
    whole, complete = split(mail("multipart/mixed", TEXT, PDF))

    assert complete
    assert [each.content for each in whole.inner] == [b"Text", b"PDF"]
