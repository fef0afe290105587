"""Mails in files, as send requests."""

import base64
import json
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest

from worker.cli.eml import UnusableMailError, event_of
from worker.events.decode import SendRequest, decode
from worker.rabbitmq.broker import CLOUDEVENTS_JSON

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def data_of(mail: EmailMessage | bytes) -> dict[str, Any]:
    event = event_of(bytes(mail) if isinstance(mail, EmailMessage) else mail, "/test", NOW)
    checked = decode(json.dumps(event).encode(), CLOUDEVENTS_JSON, {}, now=NOW, max_bytes=10**6, horizon_days=7)
    assert isinstance(checked, SendRequest), checked
    data = event["data"]
    assert isinstance(data, dict)
    return data


def full_mail() -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = '"Müller, Änne" <anna@contoso.example>'
    mail["To"] = "X <x@customer.example>, y@customer.example"
    mail["Cc"] = "c@customer.example"
    mail["Bcc"] = "b@customer.example"
    mail["Reply-To"] = "r@contoso.example"
    mail["Subject"] = "Grüße\taus Köln"
    mail["In-Reply-To"] = "<1@customer.example>"
    mail["References"] = "<0@customer.example> <1@customer.example>"
    mail.set_content("Text ☃\n")
    mail.add_alternative("<p>HTML ☃ <img src='cid:logo'></p>", subtype="html")
    html = mail.get_body(("html",))
    assert html is not None
    html.add_related(b"\x89PNG", "image", "png", cid="<logo>", filename="logo.png")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="ä.pdf")
    inner = EmailMessage()
    inner["Subject"] = "within"
    inner.set_content("within")
    mail.add_attachment(inner)
    return mail


def test_everything_of_a_mail_is_carried_over() -> None:
    data = data_of(full_mail())
    assert data["from"] == {"address": "anna@contoso.example", "name": "Müller, Änne"}
    assert data["to"] == [{"address": "x@customer.example", "name": "X"}, {"address": "y@customer.example"}]
    assert [data[field][0]["address"] for field in ("cc", "bcc", "reply_to")] == [
        "c@customer.example",
        "b@customer.example",
        "r@contoso.example",
    ]
    assert data["subject"] == "Grüße aus Köln"
    assert data["body"]["text"] == "Text ☃\n"
    assert data["body"]["html"].startswith("<p>HTML ☃")
    assert (data["in_reply_to"], len(data["references"])) == ("<1@customer.example>", 2)
    image, pdf, within = data["attachments"]
    assert (image["name"], image["content_id"], image["inline"]) == ("logo.png", "logo", True)
    assert base64.b64decode(image["content"]) == b"\x89PNG"
    assert (pdf["name"], pdf["content_type"]) == ("ä.pdf", "application/pdf")
    assert "inline" not in pdf
    assert (within["content_type"], within["name"]) == ("message/rfc822", "attachment.eml")
    assert b"Subject: within" in base64.b64decode(within["content"])


def test_a_plain_mail_in_an_unknown_character_set() -> None:
    data = data_of(b"From: a@contoso.example\nTo: x@c.example\nContent-Type: text/plain; charset=nonsense\n\n\xfftext")
    assert data["body"] == {"text": "\ufffdtext"}
    assert data["subject"] == ""
    assert data["attachments"] == []


def test_a_file_that_is_the_whole_mail() -> None:
    data = data_of(b"From: a@contoso.example\nTo: x@c.example\nContent-Type: application/pdf\n\n%PDF")
    assert data["body"] == {"text": ""}
    assert [each["name"] for each in data["attachments"]] == ["attachment.pdf"]


def test_sent_twice_it_is_two_mails() -> None:
    mail = bytes(full_mail())
    assert event_of(mail, "/test", NOW)["id"] != event_of(mail, "/test", NOW)["id"]


@pytest.mark.parametrize("mail", [b"", b"To: x@c.example\n\nno sender", b"From: \n\n", b"\x00\xff\xfe"])
def test_without_a_sender_it_is_no_mail(mail: bytes) -> None:
    with pytest.raises(UnusableMailError, match="From"):
        event_of(mail, "/test", NOW)


@pytest.mark.parametrize(
    ("header", "ids"),
    [
        ("<1@c.example>", ["<1@c.example>"]),
        ("<1@c.example> (Anna's message of Monday)", ["<1@c.example>"]),
        ("Your message of Monday <1@c.example>", ["<1@c.example>"]),
        ("<1@c.example>\n <2@c.example>,<3@c.example>", ["<1@c.example>", "<2@c.example>", "<3@c.example>"]),
        ("1@c.example", []),
        ("<1 @c.example> <> <2@c.example", []),
        (f"<{'x' * 1000}@c.example> <1@c.example>", ["<1@c.example>"]),
        ("<\x001@c.example> <2@c.example>", ["<2@c.example>"]),
        ("", []),
    ],
)
def test_ids_are_taken_from_whatever_stands_around_them(header: str, ids: list[str]) -> None:
    mail = f"From: a@contoso.example\nTo: x@c.example\nIn-Reply-To: {header}\nReferences: {header}\n\ntext"
    data = data_of(mail.encode("latin-1"))
    assert data.get("in_reply_to") == (ids[0] if ids else None)
    assert data.get("references", []) == ids


def test_of_many_references_the_first_and_the_newest_are_kept() -> None:
    ids = [f"<{number}@c.example>" for number in range(150)]
    header = "\n ".join(ids)
    data = data_of(f"From: a@contoso.example\nTo: x@c.example\nReferences: {header}\n\ntext".encode())
    assert data["references"] == [ids[0], *ids[-99:]]
