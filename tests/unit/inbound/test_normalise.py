from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest

from tests.unit.inbound.way import holds, of_mail
from worker.inbound.identity import event_id
from worker.inbound.normalise import ADDRESS_BYTES, HTML_BYTES, TEXT_BYTES, content_type, file_name, normalise
from worker.inbound.text import written_bytes
from worker.mail.address import Address
from worker.mail.incoming import File, IncomingMail

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MAIL = IncomingMail("item-1", AT, "IPM.Note", "<1@c.example>", subject="A question", text="What?")


def test_a_plain_mail_stays_as_it_is() -> None:
    assert normalise(MAIL) == MAIL


def test_every_text_is_clean() -> None:
    dirty = "a\x00b\ud83d\x0b\x93c"
    mail = normalise(
        IncomingMail(
            "item-1",
            AT,
            item_class=dirty,
            message_id=f"<{dirty}@x>",
            in_reply_to=f"<{dirty}@x>",
            references=f"<{dirty}@x>",
            from_=Address(f"{dirty}@x", dirty),
            to=(Address(f"{dirty}@x", dirty),),
            subject=dirty,
            html=dirty,
            text=dirty,
            headers=(("X-Mailer", dirty),),
            files=(File("1", dirty, dirty, content_id=dirty),),
        )
    )

    assert (mail.subject, mail.html, mail.text) == ("ab\ufffd “c",) * 3
    holds(of_mail(replace(mail, files=())))
    orjson.dumps([mail.item_class, mail.message_id, mail.references, mail.headers, mail.files[0].name])


def test_a_body_too_large_is_cut_and_whole_in_a_file() -> None:
    html, text = '<p class="x">' * 300_000, "x\n" * 400_000
    mail = normalise(replace(MAIL, html=html, text=text))

    assert mail.html is not None
    assert mail.text is not None
    assert HTML_BYTES - 100 < written_bytes(mail.html) <= HTML_BYTES
    assert mail.html.endswith(">")
    assert written_bytes(mail.text) <= TEXT_BYTES
    assert [(each.name, each.content) for each in mail.files] == [
        ("body.html", html.encode()),
        ("body.txt", text.encode()),
    ]
    assert "body.html" in mail.incomplete
    assert "body.txt" in mail.incomplete


def test_a_body_counts_as_it_is_written() -> None:
    quotes = normalise(replace(MAIL, html='"' * (HTML_BYTES - 10)))

    assert len(orjson.dumps(quotes.html)) <= HTML_BYTES + 2
    assert [each.name for each in quotes.files] == ["body.html"]


def test_a_mail_read_without_its_body_says_so() -> None:
    assert normalise(replace(MAIL, text=None, bare=True)).incomplete == "the body and the headers could not be read"


def test_recipients_beyond_the_limit_are_told() -> None:
    many = tuple(Address(f"user{number}@customer.example") for number in range(10_000))
    mail = normalise(replace(MAIL, to=many))

    assert mail.to == many[: len(mail.to)]
    assert len(orjson.dumps([each.address for each in mail.to])) < ADDRESS_BYTES
    assert len(mail.to) > 4000
    assert mail.incomplete == "there are more recipients"


def test_times() -> None:
    east = AT.astimezone(timezone(timedelta(hours=5)))

    assert normalise(replace(MAIL, sent_at=east)).sent_at == AT
    assert normalise(replace(MAIL, sent_at=AT.replace(tzinfo=None))).sent_at == AT
    assert normalise(replace(MAIL, sent_at=datetime.max.replace(tzinfo=timezone(-timedelta(hours=9))))).sent_at is None
    assert normalise(replace(MAIL, sent_at=datetime(1601, 1, 1, tzinfo=UTC))).sent_at is None


def test_a_mail_without_from_is_from_its_sender() -> None:
    assert normalise(replace(MAIL, sender=Address("x@c.example"))).from_ == Address("x@c.example")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("offer.pdf", "offer.pdf"),
        ("..\\..\\windows\\a.exe", "a.exe"),
        ("/etc/passwd", "passwd"),
        ("..", ""),
        ("a\r\nb.txt", "a b.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("=?utf-8?Q?J=C3=B6rg.pdf?=", "Jörg.pdf"),
        ("ä" * 300 + ".pdf", "ä" * 125 + ".pdf"),
        ("x" * 300, "x" * 255),
    ],
)
def test_file_names(text: str, name: str) -> None:
    assert file_name(text) == name


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Application/PDF", "application/pdf"),
        ("text/calendar; method=REQUEST", "text/calendar; method=REQUEST"),
        ("", "application/octet-stream"),
        ("pdf", "application/octet-stream"),
        ("a/b; x=\x00ö", "a/b"),
    ],
)
def test_content_types(text: str, kind: str) -> None:
    assert content_type(text) == kind


def test_header_fields_that_nobody_asks_for_are_left_out() -> None:
    many = tuple(("Received", "from somewhere") for _ in range(5000))
    mail = normalise(
        replace(MAIL, headers=(*many, ("AUTO-SUBMITTED", "auto-\r\n replied"), ("x-mailer", "=?utf-8?Q?=C3=B6?=")))
    )

    assert mail.headers == (("Auto-Submitted", "auto- replied"), ("X-Mailer", "ö"))


def test_the_id_of_an_event_never_changes() -> None:
    """A CRM that has the ids of last year must recognise a mail of then."""
    assert event_id("anna@contoso.example", MAIL) == "db04626786f822ae51f1352878f8e545"


def test_the_same_mail_has_the_same_id_wherever_it_is_moved() -> None:
    moved = replace(MAIL, id="item-2", conversation_id="c", headers=(("X-Mailer", "x"),), bare=True, text=None)
    elsewhere = replace(MAIL, received_at=AT.astimezone(timezone(timedelta(hours=1))))

    assert {event_id(box, each) for box in ("a@b", "A@B") for each in (MAIL, moved, elsewhere)} == {
        event_id("a@b", MAIL)
    }


def test_another_mail_has_another_id() -> None:
    others = [
        replace(MAIL, message_id="<2@c.example>"),
        replace(MAIL, received_at=AT + timedelta(seconds=1)),
        replace(MAIL, received_at=None),
        replace(MAIL, search_key="ab"),
        replace(MAIL, from_=Address("x@c.example")),
        replace(MAIL, subject="half \ud83d"),
        replace(MAIL, sent_at=AT),
    ]

    assert len({event_id("a@b", each) for each in (MAIL, *others)} | {event_id("b@b", MAIL)}) == len(others) + 2
