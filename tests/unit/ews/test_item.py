"""A mail as EWS shows it, however odd, read into what the flow works with."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.unit.ews.build import TYPES, response, success
from worker.ews.answer import ResponseMessage, read
from worker.ews.http_answer import Answer
from worker.ews.item import moment, read_mail, received_second
from worker.ews.operations import conversation, newest, sync_folder_items, user_configuration
from worker.ews.trouble import Trail
from worker.mail.address import Address
from worker.mail.incoming import Arrival, Changes, File, IncomingMail, SentCopy
from worker.mail.stamp import PROPERTY_SET

MAILBOX = (
    "<t:Mailbox><t:Name>{}</t:Name><t:EmailAddress>{}</t:EmailAddress><t:RoutingType>{}</t:RoutingType></t:Mailbox>"
)
FULL = f"""
<t:ItemId Id="AAMk" ChangeKey="CQ"/><t:ItemClass>IPM.Schedule.Meeting.Request</t:ItemClass><t:Subject>Hi</t:Subject>
<t:Sensitivity>Private</t:Sensitivity><t:Body BodyType="HTML" IsTruncated="false">&lt;p&gt;Hi&lt;/p&gt;</t:Body>
<t:Attachments>
  <t:FileAttachment><t:AttachmentId Id="f1"/><t:Name>logo.png</t:Name><t:ContentType>image/png</t:ContentType>
    <t:ContentId>logo@1</t:ContentId><t:Size>123</t:Size><t:IsInline>true</t:IsInline></t:FileAttachment>
  <t:ItemAttachment><t:AttachmentId Id="i1"/><t:Name>Fwd</t:Name><t:Size>many</t:Size></t:ItemAttachment>
  <t:ReferenceAttachment><t:AttachmentId Id="r1"/><t:Name>a link</t:Name></t:ReferenceAttachment>
</t:Attachments>
<t:DateTimeReceived>2026-11-23T12:00:00.123Z</t:DateTimeReceived><t:Importance>High</t:Importance>
<t:InternetMessageHeaders>
  <t:InternetMessageHeader HeaderName="Received">from a
\tby b</t:InternetMessageHeader>
  <t:InternetMessageHeader HeaderName="In-Reply-To">&lt;a@b&gt;</t:InternetMessageHeader>
  <t:InternetMessageHeader HeaderName="">nobody</t:InternetMessageHeader>
  <t:InternetMessageHeader HeaderName="References"/>
</t:InternetMessageHeaders>
<t:DateTimeSent>2026-11-23T13:00:00+02:00</t:DateTimeSent>
<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="0x300B" PropertyType="Binary"/><t:Value>a2V5</t:Value>
</t:ExtendedProperty>
<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="0x5d02" PropertyType="String"/>
<t:Value>bert@contoso.example</t:Value></t:ExtendedProperty>
<t:ConversationId Id="AAQk"/><t:Novelty><t:Inside/></t:Novelty><t:TextBody BodyType="Text">Hi</t:TextBody>
<t:Sender>{MAILBOX.format("Anna", "anna@contoso.example", "SMTP")}</t:Sender>
<t:ToRecipients>{MAILBOX.format("x@y.example", "x@y.example", "SMTP")}
  <t:Mailbox><t:Name>undisclosed</t:Name></t:Mailbox>{MAILBOX.format("Z", " z@y.example ", "SMTP")}</t:ToRecipients>
<t:ConversationIndex>{base64.b64encode(b"index").decode()}</t:ConversationIndex>
<t:From>{MAILBOX.format("Bert", "/O=CONTOSO/CN=BERT", "EX")}</t:From>
<t:InternetMessageId>&lt;m@x&gt;</t:InternetMessageId><t:References>&lt;r@x&gt;</t:References>
"""


def item(inner: str, kind: str = "MeetingRequest") -> etree._Element:
    return etree.fromstring(f'<t:{kind} xmlns:t="{TYPES}">{inner}</t:{kind}>')


def message(operation: str, content: str) -> ResponseMessage:
    got = read(Answer(200, {}, response(operation, success(operation, content))), operation, Trail("server"))
    assert isinstance(got, tuple)
    return got[0]


def test_everything_there_is() -> None:
    mail = read_mail(item(FULL), bare=False)

    assert mail == IncomingMail(
        id="AAMk",
        received_at=datetime(2026, 11, 23, 12, 0, 0, 123000, tzinfo=UTC),
        item_class="IPM.Schedule.Meeting.Request",
        message_id="<m@x>",
        in_reply_to="<a@b>",
        references="<r@x>",
        conversation_id="AAQk",
        conversation_index=b"index",
        search_key="a2V5",
        from_=Address("bert@contoso.example", "Bert"),
        sender=Address("anna@contoso.example", "Anna"),
        to=(Address("x@y.example"), Address("", "undisclosed"), Address("z@y.example", "Z")),
        subject="Hi",
        html="<p>Hi</p>",
        text="Hi",
        sent_at=datetime(2026, 11, 23, 11, tzinfo=UTC),
        importance="high",
        sensitivity="private",
        headers=(("Received", "from a by b"), ("In-Reply-To", "<a@b>"), ("References", "")),
        files=(
            File("f1", "logo.png", "image/png", 123, "logo@1", inline=True),
            File("i1", "Fwd", "", item=True),
            File("r1", "a link", ""),
        ),
    )


NAMED = "<t:Mailbox><t:Name>Xaver</t:Name></t:Mailbox>"
SMTP = (
    '<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="0x5d02" PropertyType="String"/>'
    "<t:Value>xaver@contoso.example</t:Value></t:ExtendedProperty>"
)


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (f"<t:From>{NAMED}</t:From>", Address("", "Xaver")),
        (f"{SMTP}<t:From>{NAMED}</t:From>", Address("xaver@contoso.example", "Xaver")),
        (f"{SMTP}<t:From><t:Mailbox/></t:From>", Address("xaver@contoso.example")),
        ("<t:From><t:Mailbox/></t:From>", None),
        (f"{SMTP}<t:From>{MAILBOX.format('Y', 'y@y.example', 'SMTP')}</t:From>", Address("y@y.example", "Y")),
    ],
)
def test_who_wrote_it(inner: str, expected: Address | None) -> None:
    assert read_mail(item(inner), bare=False).from_ == expected


def test_nothing_at_all_is_a_mail_too() -> None:
    assert read_mail(item('<t:ItemId Id="a"/>', "Item"), bare=False) == IncomingMail(id="a", received_at=None)


@pytest.mark.parametrize(
    ("body", "html", "text"),
    [
        ('<t:Body BodyType="Text">a</t:Body>', None, "a"),
        ('<t:Body BodyType="HTML"/>', "", None),
        ('<t:Body BodyType="HTML">a</t:Body>', "a", None),
        ('<t:Body BodyType="Text">a</t:Body><t:TextBody BodyType="Text">b</t:TextBody>', None, "b"),
        ("", None, None),
    ],
)
def test_bodies(body: str, html: str | None, text: str | None) -> None:
    mail = read_mail(item(body), bare=False)

    assert (mail.html, mail.text) == (html, text)


@given(
    st.text(), st.sampled_from(["DateTimeReceived", "ConversationIndex", "Importance", "Sensitivity", "DateTimeSent"])
)
def test_no_odd_value_costs_the_mail(value: str, name: str) -> None:
    root = item("")
    child = etree.SubElement(root, f"{{{TYPES}}}{name}")
    child.text = "".join(each for each in value if each.isprintable())

    read_mail(root, bare=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T12:00:00Z", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("2026-11-23T12:00:00", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        (" 2026-11-23T12:00:00.5+01:00\n", datetime(2026, 11, 23, 11, 0, 0, 500000, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_times(text: str | None, expected: datetime | None) -> None:
    assert moment(text) == expected
    assert received_second(text) == (expected.replace(microsecond=0) if expected else None)


CREATE = '<t:Create><t:{0}><t:ItemId Id="{1}"/>{2}</t:{0}></t:Create>'
STATE = "<m:SyncState>next</m:SyncState><m:IncludesLastItemInRange>true</m:IncludesLastItemInRange>"


def page(changes: str, state: str = STATE, before: str = "before") -> Changes | None:
    answer = message("SyncFolderItems", f"{state}<m:Changes>{changes}</m:Changes>")
    return sync_folder_items.changes(answer, before, most=2)


def test_only_what_appeared_is_told_of_whatever_kind_it_is() -> None:
    found = page(
        CREATE.format("Message", "a", "<t:DateTimeReceived>2026-11-23T12:00:00.9Z</t:DateTimeReceived>")
        + "<t:Update><t:Message><t:ItemId Id='b'/></t:Message></t:Update>"
        + "<t:Delete><t:ItemId Id='c'/></t:Delete>"
        + "<t:ReadFlagChange><t:ItemId Id='d'/><t:IsRead>true</t:IsRead></t:ReadFlagChange>"
        + CREATE.format("Novelty", "e", "<t:DateTimeReceived>never</t:DateTimeReceived>")
        + CREATE.format("PostItem", "f", "")
    )

    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert found == Changes((Arrival("a", noon), Arrival("e", None), Arrival("f", None)), "next", last=True)


@pytest.mark.parametrize(
    "found",
    [
        page(CREATE.format("Message", "", "")),
        page("<t:Create><t:Message/></t:Create>"),
        page("", "<m:SyncState/><m:IncludesLastItemInRange>true</m:IncludesLastItemInRange>"),
    ],
)
def test_a_page_that_may_hide_an_arrival_is_none(found: Changes | None) -> None:
    assert found is None


def test_a_server_need_not_say_that_nothing_follows() -> None:
    state = "<m:SyncState>next</m:SyncState>"
    arrival = CREATE.format("Message", "a", "")
    found = [page(changes, state) for changes in ("", arrival, 2 * arrival)]

    assert [each and each.last for each in found] == [True, True, False]


def test_a_page_that_leads_nowhere_is_the_last_one() -> None:
    """Else a server that gives the same state again and again would be asked for ever."""
    state = STATE.replace("true", "false")
    found = [page(CREATE.format("Message", "a", ""), state, before) for before in ("before", "next")]

    assert [each and each.last for each in found] == [False, True]


def test_the_newest_of_a_page() -> None:
    rows = (
        '<t:Items><t:Message><t:ItemId Id="a"/><t:DateTimeReceived>2026-11-23T12:00:00Z</t:DateTimeReceived>'
        '</t:Message><t:Novelty><t:ItemId Id="b"/></t:Novelty></t:Items>'
    )
    whole = f'<m:RootFolder IncludesLastItemInRange="false">{rows}</m:RootFolder>'

    assert newest.page(message("FindItem", whole)) == (
        [Arrival("a", datetime(2026, 11, 23, 12, tzinfo=UTC)), Arrival("b", None)],
        False,
    )
    for shown, last in ((rows, False), ("<t:Items/>", True)):
        found = newest.page(message("FindItem", f"<m:RootFolder>{shown}</m:RootFolder>"))
        assert found is not None
        assert found[1] is last
    assert newest.page(message("FindItem", "")) is None


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (f"<t:BinaryData>{base64.b64encode('é'.encode()).decode()}</t:BinaryData>", "é"),
        ("<t:BinaryData>/w==</t:BinaryData>", ""),
        ("<t:BinaryData>!</t:BinaryData>", ""),
        ("<t:BinaryData/>", ""),
        ("", ""),
    ],
)
def test_a_note_that_nobody_here_has_written_is_none(data: str, note: str) -> None:
    whole = f"<m:UserConfiguration>{data}</m:UserConfiguration>"

    assert user_configuration.note(message("GetUserConfiguration", whole)) == note


def test_our_own_mails_of_a_conversation_newest_first() -> None:
    def node(number: int, **named: str) -> str:
        properties = "".join(
            f'<t:ExtendedProperty><t:ExtendedFieldURI PropertySetId="{PROPERTY_SET}" PropertyName="{name}" '
            f'PropertyType="String"/><t:Value>{value}</t:Value></t:ExtendedProperty>'
            for name, value in named.items()
        )
        return (
            f'<t:ConversationNode><t:Items><t:Message><t:ItemId Id="{number}"/>'
            f"<t:DateTimeSent>2026-11-23T12:00:0{number}Z</t:DateTimeSent>{properties}"
            f"<t:InternetMessageId>&lt;{number}@x&gt;</t:InternetMessageId></t:Message></t:Items></t:ConversationNode>"
        )

    ours = {"RequestStamp": "/crm e", "x-crm-mail-router": "crm.a.b.0"}
    nodes = (
        node(1, **ours)
        + node(3, **ours)
        + node(2)
        + node(4, **{"x-crm-mail-router": "crm.forged"})
        + node(5, **{**ours, "RequestStamp": "void"})
    )
    content = (
        f'<m:Conversation><t:ConversationId Id="c"/><t:ConversationNodes>{nodes}</t:ConversationNodes></m:Conversation>'
    )

    copies = conversation.sent_copies(message("GetConversationItems", content), "contoso.example")

    assert copies == (
        SentCopy("<3@x>", "<crm.a.b.0@contoso.example>"),
        SentCopy("<1@x>", "<crm.a.b.0@contoso.example>"),
    )
    assert conversation.sent_copies(message("GetConversationItems", ""), "contoso.example") == ()
