"""A client nobody here wrote puts mail in MIME into mailboxes: what becomes of an .eml, and how it is sent on."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
from exchangelib import (
    UTC,
    EWSDateTime,
    ExtendedProperty,
    FileAttachment,
    ItemAttachment,
    Message,
    close_connections,
)
from exchangelib.errors import ErrorInvalidPropertySet, ErrorMimeContentInvalid

from tests.exchangelib_account import account_of
from tests.integration.ews_by_hand import Client
from tests.unit.inbound.corpus import FILES
from worker.sandbox.server import Sandbox

ANNA, BERT = "anna@contoso.example", "bert@contoso.example"
MAIL = (
    "From: =?utf-8?q?J=C3=BCrgen?= <j@customer.example>\r\nTo: anna@contoso.example\r\n"
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@customer.example>\r\n"
    "In-Reply-To: <0@contoso.example>\r\nX-Note: =?utf-8?q?=C3=BC?=\r\n"
    "Auto-Submitted: auto-replied\r\nReceived: from a by b; Mon, 23 Nov 2026 10:00:01 +0100\r\n"
    "Date: Mon, 23 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Schöne Grüße</p>\r\n--b\r\n"
    "Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--b--\r\n"
).encode()
OWN = MAIL.replace(b"=?utf-8?q?J=C3=BCrgen?= <j@customer.example>", b"anna@contoso.example").replace(
    b"To: anna@contoso.example", b"To: x@customer.example, bert@contoso.example"
)
LONG_AGO = EWSDateTime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)


class MessageFlags(ExtendedProperty):  # type: ignore[misc]
    property_tag = 0x0E07
    property_type = "Integer"


class DeliveryTime(ExtendedProperty):  # type: ignore[misc]
    property_tag = 0x0E06
    property_type = "SystemTime"


class Note(ExtendedProperty):  # type: ignore[misc]
    distinguished_property_set_id = "InternetHeaders"
    property_name = "X-Note"
    property_type = "String"


_PROPERTIES = {"flags": MessageFlags, "delivered": DeliveryTime, "note": Note}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    """What exchangelib keeps for the life of the process."""
    for name, each in _PROPERTIES.items():
        Message.register(name, each)
    yield
    for name in _PROPERTIES:
        Message.deregister(name)
    close_connections()


async def test_as_if_it_had_come_in(sandbox: Sandbox) -> None:
    """The flags say that it is no draft, the time of its delivery when it came."""

    def work() -> None:
        account = account_of(sandbox.url)
        Message(account=account, folder=account.inbox, mime_content=MAIL, flags=0, delivered=LONG_AGO).save()
        (mail,) = account.inbox.all()
        assert (mail.subject, mail.message_id, str(mail.body)) == (
            "Grüße",
            "<1@customer.example>",
            "<p>Schöne Grüße</p>",
        )
        assert (mail.author.name, mail.author.email_address) == ("Jürgen", "j@customer.example")
        assert (mail.is_draft, mail.is_read, mail.flags) == (False, False, 16)
        assert mail.datetime_received == mail.delivered == LONG_AGO
        assert mail.datetime_sent == EWSDateTime(2026, 11, 23, 9, tzinfo=UTC)
        assert (mail.mime_content, mail.note) == (MAIL, "ü")
        assert {each.name: each.value for each in mail.headers}["Auto-Submitted"] == "auto-replied"
        assert [each.content for each in mail.attachments] == [b"%PDF"]
        assert account.inbox.filter(datetime_received__lt=EWSDateTime(2021, 1, 1, tzinfo=UTC)).count() == 1

    await asyncio.to_thread(work)


async def test_a_draft_unless_something_else_is_said(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url)
        (made,) = account.bulk_create(account.inbox, [Message(folder=account.inbox, mime_content=MAIL)])
        mail = account.inbox.get(id=made.id)
        assert (mail.is_draft, mail.mime_content) == (True, MAIL)
        assert mail.datetime_received > LONG_AGO

    await asyncio.to_thread(work)


async def test_what_is_set_besides_goes_before_it(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url)
        Message(account=account, folder=account.inbox, mime_content=MAIL, subject="Mine", importance="High").save()
        (mail,) = account.inbox.all()
        assert (mail.subject, mail.message_id, mail.importance) == ("Mine", "<1@customer.example>", "High")
        assert b"Subject: Mine" in mail.mime_content
        assert b"auto-submitted: auto-replied" in mail.mime_content

    await asyncio.to_thread(work)


async def test_sent_it_is_written_anew(sandbox: Sandbox) -> None:
    """At once, and as a draft that was changed; with what the header says besides."""

    def work() -> None:
        account = account_of(sandbox.url)
        Message(account=account, mime_content=OWN).send()
        Message(account=account, mime_content=OWN).send(save_copy=False)
        draft = Message(account=account, folder=account.drafts, mime_content=OWN).save()
        draft.attach(FileAttachment(name="b.txt", content=b"b"))
        assert account.drafts.get(id=draft.id).mime_content.count(b"b.txt") == 1
        draft.subject = "Changed"
        draft.save(update_fields=["subject"])
        draft.send()

    await asyncio.to_thread(work)
    assert [each.subject for each in sandbox.sent] == ["Grüße", "Grüße", "Changed"]
    assert [each.attachments for each in sandbox.sent] == [("a.pdf",), ("a.pdf",), ("a.pdf", "b.txt")]
    for each in sandbox.sent:
        assert (each.to, each.in_reply_to) == (("x@customer.example", BERT), "<0@contoso.example>")
        assert each.headers == (("x-note", "ü"), ("auto-submitted", "auto-replied"))
    store = sandbox.exchange.store
    for mailbox in store.mailboxes.values():
        kept = [each for each in store.items.values() if each.folder is not None and each.folder.mailbox is mailbox]
        assert mailbox.used_bytes == sum(each.size for each in kept)
    (first, _, last) = store.mailbox(BERT).folders["inbox"].items.values()
    assert first.source == last.source == b""
    assert first.sent_at is not None
    assert first.sent_at.year != 2020


async def test_where_a_message_id_cannot_be_set(sandbox: Sandbox) -> None:
    """As a property it is refused, in MIME it stays."""
    sandbox.exchange.options.message_id = "refuse"

    def work() -> None:
        account = account_of(sandbox.url)
        Message(account=account, folder=account.inbox, mime_content=MAIL).save()
        with pytest.raises(ErrorInvalidPropertySet):
            Message(account=account, folder=account.inbox, message_id="<2@customer.example>").save()
        assert [each.message_id for each in account.inbox.all()] == ["<1@customer.example>"]

    await asyncio.to_thread(work)


async def test_every_mail_of_the_corpus(sandbox: Sandbox) -> None:
    mails = [each.read_bytes() for each in sorted(FILES.glob("*.eml"))]

    def work() -> Any:
        account = account_of(sandbox.url)
        account.bulk_create(account.inbox, [Message(mime_content=each, flags=1) for each in mails])
        return [each.mime_content for each in account.inbox.all().only("mime_content")]

    assert sorted(await asyncio.to_thread(work)) == sorted(mails)


async def test_attached(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url)
        mail = Message(account=account, subject="FW", body="see below", to_recipients=[ANNA])
        mail.attach(ItemAttachment(name="Original", item=Message(mime_content=MAIL)))
        mail.send()
        received = account.inbox.get(subject="FW")
        assert received.attachments[0].item.message_id == "<1@customer.example>"

    await asyncio.to_thread(work)


async def test_nothing_in_it(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url)
        with pytest.raises(ErrorMimeContentInvalid):
            Message(account=account, folder=account.inbox, mime_content=b" ").save()

    await asyncio.to_thread(work)


@pytest.mark.parametrize(("tag", "told"), [("busy", (503, "")), ("quota", (200, "ErrorQuotaExceeded"))])
async def test_a_fault_ordered_by_an_address_in_it(sandbox: Sandbox, tag: str, told: tuple[int, str]) -> None:
    mime = base64.b64encode(MAIL.replace(b"j@customer", f"j+{tag}@customer".encode())).decode()
    async with Client(sandbox.url, ANNA) as anna:
        answer = await anna.create(f"<t:Message><t:MimeContent>{mime}</t:MimeContent></t:Message>")
        assert (answer.status, answer.codes[0] if answer.body else "") == told
        answer = await anna.create("<t:Message><t:MimeContent>***</t:MimeContent></t:Message>")
        assert answer.codes == ["ErrorMimeContentInvalidBase64String"]
