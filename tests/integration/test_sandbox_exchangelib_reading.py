"""A client nobody here wrote reads: exchangelib syncs, opens mails and attachments, listens, keeps its own notes."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from exchangelib import (
    Account,
    EWSTimeZone,
    FileAttachment,
    Folder,
    ItemAttachment,
    Message,
)
from exchangelib.errors import (
    ErrorInvalidOperation,
    ErrorInvalidSyncStateData,
    ErrorItemCorrupt,
    ErrorItemNotFound,
    ErrorItemSave,
    ErrorTimeZone,
)
from exchangelib.items import MeetingRequest
from exchangelib.properties import NewMailEvent, UserConfigurationName
from exchangelib.properties import UserConfiguration as Notes
from exchangelib.services import (
    CreateUserConfiguration,
    DeleteUserConfiguration,
    GetUserConfiguration,
    UpdateUserConfiguration,
)
from exchangelib.services.get_user_configuration import ALL

from tests.exchangelib_account import account_of
from worker.sandbox.server import Sandbox

pytestmark = pytest.mark.usefixtures("exchangelib_closed")

ANNA = "anna@contoso.example"
MAIL = (
    "From: =?utf-8?q?J=C3=BCrgen?= <j@customer.example>\r\nTo: anna@contoso.example\r\nCc: c@customer.example\r\n"
    "Reply-To: answers@customer.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@customer.example>\r\n"
    "In-Reply-To: <0@contoso.example>\r\nReferences: <a@x.example> <0@contoso.example>\r\nX-Note: yes\r\n"
    "Date: Mon, 23 Nov 2026 10:00:00 +0100\r\nImportance: high\r\n"
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n'
    "<p>Schöne Grüße</p>\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\nMessage-ID: <i@x.example>\r\n\r\nInside\r\n--b--\r\n"
).encode()
INVITATION = (
    b"From: j@customer.example\r\nSubject: Meet\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n"
    b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
)


async def test_a_mail_with_all_it_has(sandbox: Sandbox) -> None:
    sandbox.exchange.arrive(ANNA, MAIL)

    def work() -> None:
        (mail,) = account_of(sandbox.url, connections=2).inbox.all()
        assert (mail.subject, mail.message_id, mail.importance) == ("Grüße", "<1@customer.example>", "High")
        assert (mail.author.name, mail.author.email_address) == ("Jürgen", "j@customer.example")
        assert [each.email_address for each in mail.to_recipients] == [ANNA]
        assert [each.email_address for each in mail.reply_to] == ["answers@customer.example"]
        assert (mail.in_reply_to, mail.references) == ("<0@contoso.example>", "<a@x.example> <0@contoso.example>")
        assert mail.datetime_sent == datetime(2026, 11, 23, 9, tzinfo=UTC)
        assert (str(mail.body), mail.text_body) == ("<p>Schöne Grüße</p>", "Schöne Grüße")
        assert {each.name: each.value for each in mail.headers}["X-Note"] == "yes"
        assert mail.mime_content == MAIL
        assert mail.conversation_id.id
        item, file = sorted(mail.attachments, key=lambda each: str(each.name))
        assert isinstance(file, FileAttachment)
        assert (file.name, file.content) == ("a.pdf", b"%PDF")
        assert isinstance(item, ItemAttachment)
        assert (item.name, item.item.subject, item.item.message_id) == ("Inner", "Inner", "<i@x.example>")

    await asyncio.to_thread(work)


async def test_sync(sandbox: Sandbox) -> None:
    old = [sandbox.exchange.arrive(ANNA, MAIL) for _ in range(3)]

    def first() -> Account:
        account = account_of(sandbox.url, connections=2)
        changes = list(account.inbox.sync_items(max_changes_returned=2))
        assert [(kind, item.id) for kind, item in changes] == [("create", each.id) for each in old[::-1]]
        account.inbox.get(id=old[0].id).delete()
        unread = account.inbox.get(id=old[1].id)
        unread.is_read = True
        unread.save(update_fields=["is_read"])
        account.inbox.get(id=old[2].id).move(account.junk)
        return account

    account = await asyncio.to_thread(first)
    new = sandbox.exchange.arrive(ANNA, INVITATION)

    def second() -> None:
        found = list(account.inbox.sync_items())
        assert sorted(kind for kind, _ in found) == ["create", "delete", "delete", "read_flag_change"]
        ((_, item),) = [each for each in found if each[0] == "create"]
        assert (item.id, type(item)) == (new.id, MeetingRequest)
        assert list(account.inbox.sync_items()) == []

    await asyncio.to_thread(second)
    sandbox.exchange.forget_sync_states()

    def third() -> None:
        with pytest.raises(ErrorInvalidSyncStateData):
            list(account.inbox.sync_items(sync_state=account.inbox.item_sync_state))

    await asyncio.to_thread(third)


async def test_notes_of_its_own(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url, connections=2)
        name = UserConfigurationName(name="Notes", folder=account.inbox)

        def read() -> Any:
            return GetUserConfiguration(account=account).get(user_configuration_name=name, properties=ALL)

        def write(service: Any, **content: Any) -> None:
            notes = Notes(user_configuration_name=name, **content)
            service(account=account).get(user_configuration=notes)

        with pytest.raises(ErrorItemNotFound):
            read()
        write(CreateUserConfiguration, dictionary={"a": "b", "c": 1}, binary_data=b"1")
        with pytest.raises(ErrorItemSave):
            write(CreateUserConfiguration)
        write(UpdateUserConfiguration, binary_data=b"2")
        assert (read().binary_data, read().dictionary) == (b"2", {"a": "b", "c": 1})
        DeleteUserConfiguration(account=account).get(user_configuration_name=name)
        with pytest.raises(ErrorItemNotFound):
            read()

    await asyncio.to_thread(work)


async def test_notifications(sandbox: Sandbox) -> None:
    listening = asyncio.Event()
    loop = asyncio.get_running_loop()
    heard: list[str] = []

    def work() -> None:
        account = account_of(sandbox.url, connections=2)
        with account.inbox.streaming_subscription() as subscription:
            loop.call_soon_threadsafe(listening.set)
            stream = account.inbox.get_streaming_events(
                subscription, connection_timeout=1, max_notifications_returned=1
            )
            with contextlib.closing(stream):
                for notification in stream:
                    heard.extend(each.item_id.id for each in notification.events if isinstance(each, NewMailEvent))

    working = asyncio.create_task(asyncio.to_thread(work))
    await asyncio.wait_for(listening.wait(), 10)
    mail = sandbox.exchange.arrive(ANNA, MAIL)
    await asyncio.wait_for(working, 20)
    assert heard == [mail.id]
    assert len(sandbox.exchange.subscriptions) == 0


async def test_notifications_that_are_asked_for(sandbox: Sandbox) -> None:
    def begin() -> tuple[Account, Any]:
        account = account_of(sandbox.url, connections=2)
        return account, account.inbox.subscribe_to_pull()

    account, (subscription, watermark) = await asyncio.to_thread(begin)
    mail = sandbox.exchange.arrive(ANNA, MAIL)

    def ask() -> None:
        (told,) = account.inbox.get_events(subscription, watermark)
        assert [type(each).__name__ for each in told.events] == ["CreatedEvent", "NewMailEvent"]
        assert told.events[-1].item_id.id == mail.id
        (told,) = account.inbox.get_events(subscription, told.events[-1].watermark)
        assert [type(each).__name__ for each in told.events] == ["StatusEvent"]
        account.inbox.unsubscribe(subscription)

    await asyncio.to_thread(ask)
    assert len(sandbox.exchange.subscriptions) == 0


async def test_which_folders_and_time_zones_there_are(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url, connections=2)
        top = account.msg_folder_root
        assert "Inbox" in [each.name for _, each in top.sync_hierarchy()]
        Folder(parent=account.inbox, name="Done").save()
        assert [(kind, each.name) for kind, each in top.sync_hierarchy()] == [("create", "Done")]
        for everything in (False, True):
            (zone,) = account.protocol.get_timezones(return_full_timezone_data=everything)
            assert zone.id == "UTC"
        with pytest.raises(ErrorTimeZone):
            list(account.protocol.get_timezones(timezones=[EWSTimeZone("Europe/Berlin")]))

    await asyncio.to_thread(work)


async def test_what_the_sandbox_does_not_know(sandbox: Sandbox) -> None:
    def work() -> None:
        with pytest.raises(ErrorInvalidOperation, match="does not know the operation EmptyFolder"):
            account_of(sandbox.url, connections=2).junk.empty()

    await asyncio.to_thread(work)


async def test_what_cannot_be_read(sandbox: Sandbox) -> None:
    sandbox.exchange.arrive(ANNA, MAIL.replace(b"j@customer", b"j+corruptbody@customer"))

    def work() -> None:
        account = account_of(sandbox.url, connections=2)
        (mail,) = account.inbox.all().only("subject", "author")
        assert mail.subject == "Grüße"
        (found,) = account.fetch([mail], only_fields=["body"])
        assert isinstance(found, ErrorItemCorrupt)

    await asyncio.to_thread(work)


async def test_a_mail_it_sends_is_read_as_it_was_sent(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url, connections=2)
        mail = Message(account=account, subject="Grüße", body="Text", to_recipients=["bert+17@contoso.example", ANNA])
        mail.attach(FileAttachment(name="a.txt", content=b"a"))
        mail.send()
        (received,) = account.inbox.all()
        assert (received.subject, str(received.body), received.is_read) == ("Grüße", "Text", False)
        assert received.attachments[0].content == b"a"
        assert received.mime_content.count(b"Message-ID: <sandbox.") == 1

    await asyncio.to_thread(work)


async def test_a_mail_forwarded_as_an_attachment(sandbox: Sandbox) -> None:
    sandbox.exchange.arrive(ANNA, MAIL)

    def work() -> None:
        account = account_of(sandbox.url, connections=2)
        original = Message(account=account, subject="Original", body="Inside", message_id="<o@x.example>")
        mail = Message(account=account, subject="FW", body="see below", to_recipients=["bert@contoso.example", ANNA])
        mail.attach(ItemAttachment(name="Original", item=original))
        mail.send()
        received = account.inbox.get(subject="FW")
        assert received.attachments[0].item.message_id == "<o@x.example>"
        assert str(received.attachments[0].item.body) == "Inside"
        assert b"Content-Type: message/rfc822" in received.mime_content

    await asyncio.to_thread(work)
