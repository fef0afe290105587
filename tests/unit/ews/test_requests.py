"""Requests, as the schema has them: ours here; Microsoft's own by hand."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.unit.ews.build import DRAFT, FULL, MESSAGES, PLAIN, SOAP, TYPES, whole
from worker.events.schemas import schemas_path
from worker.ews.operations import create_item, find_item, retire, send_item
from worker.ews.operations.find_item import Folder
from worker.ews.template import Filled, Shape, Template, build
from worker.mail.address import Address
from worker.mail.message import Message
from worker.mail.stamp import PROPERTY_SET, VOID, Stamp, stamp_of

SCHEMA = etree.XMLSchema(etree.parse(schemas_path() / "ews" / "messages.xsd"))
NAMES = {"s": SOAP, "m": MESSAGES, "t": TYPES}
MAILBOX = "anna@contoso.example"

REQUESTS: dict[str, Callable[..., Filled]] = {
    "CreateItem": partial(create_item.request, MAILBOX, [FULL, PLAIN], {FULL.stamp, PLAIN.stamp}),
    "FindItem": partial(find_item.request, MAILBOX, list(Folder), offset=99, size=500),
    "SendItem": partial(send_item.request, MAILBOX, [DRAFT, DRAFT]),
    "UpdateItem": partial(retire.swap_request, MAILBOX, [DRAFT, DRAFT]),
    "DeleteItem": partial(retire.delete_request, MAILBOX, [("a", "b"), ("c", "d")]),
}


def valid(request: Filled) -> etree._Element:
    """The request, after the schema has passed its header blocks and its body."""
    root = etree.fromstring(whole(request))
    header, body = root
    for part in (*header, *body):
        assert SCHEMA.validate(part), SCHEMA.error_log
    assert len(body) == 1
    return root


def texts(root: etree._Element, path: str) -> list[str | None]:
    return [element.text for element in root.findall(path, NAMES)]


@pytest.mark.parametrize("acts_as", [[], [MAILBOX]], ids=["itself", "mailbox"])
@pytest.mark.parametrize("operation", REQUESTS)
def test_every_request_is_valid_and_names_whom_it_acts_as(operation: str, acts_as: list[str]) -> None:
    root = valid(REQUESTS[operation](impersonate=bool(acts_as)))

    assert root[1][0].tag == f"{{{MESSAGES}}}{operation}"
    assert b"[[" not in etree.tostring(root)
    assert texts(root, "s:Header/t:ExchangeImpersonation/t:ConnectingSID/t:PrimarySmtpAddress") == acts_as


@pytest.mark.parametrize("operation", ["CreateItem", "FindItem", "SendItem"])
def test_every_folder_is_named_with_its_mailbox(operation: str) -> None:
    root = valid(REQUESTS[operation](impersonate=False))

    folders = root.findall(".//t:DistinguishedFolderId", NAMES)
    assert folders
    assert [texts(folder, "t:Mailbox/t:EmailAddress") for folder in folders] == [[MAILBOX]] * len(folders)


def test_a_mail_with_everything_arrives_with_everything() -> None:
    root = valid(create_item.request(MAILBOX, [FULL], {FULL.stamp}, impersonate=False))
    (message,) = root.findall(".//t:Message", NAMES)

    shown = {
        path: texts(message, path)
        for path in (
            "t:Subject",
            "t:Sensitivity",
            "t:Body",
            "t:Importance",
            "t:InReplyTo",
            "t:InternetMessageId",
            "t:References",
            "t:IsReadReceiptRequested",
            "t:IsDeliveryReceiptRequested",
            "t:From/t:Mailbox/t:Name",
            "t:From/t:Mailbox/t:EmailAddress",
            "t:ToRecipients/t:Mailbox/t:Name",
            "t:ToRecipients/t:Mailbox/t:EmailAddress",
            "t:CcRecipients/t:Mailbox/t:EmailAddress",
            "t:BccRecipients/t:Mailbox/t:EmailAddress",
            "t:ReplyTo/t:Mailbox/t:EmailAddress",
            "t:Attachments/t:FileAttachment/t:Name",
            "t:Attachments/t:FileAttachment/t:ContentType",
            "t:Attachments/t:FileAttachment/t:ContentId",
            "t:Attachments/t:FileAttachment/t:IsInline",
            "t:Attachments/t:FileAttachment/t:Content",
        )
    }
    assert shown == {
        "t:Subject": [FULL.subject],
        "t:Sensitivity": ["Confidential"],
        "t:Body": [FULL.html],
        "t:Importance": ["High"],
        "t:InReplyTo": [FULL.in_reply_to],
        "t:InternetMessageId": [FULL.message_id],
        "t:References": ["<first@customer.example> <question@customer.example>"],
        "t:IsReadReceiptRequested": ["true"],
        "t:IsDeliveryReceiptRequested": ["true"],
        "t:From/t:Mailbox/t:Name": [FULL.sender.name],
        "t:From/t:Mailbox/t:EmailAddress": ["anna@contoso.example"],
        "t:ToRecipients/t:Mailbox/t:Name": ["To One"],
        "t:ToRecipients/t:Mailbox/t:EmailAddress": ["to1@customer.example", "to2@customer.example"],
        "t:CcRecipients/t:Mailbox/t:EmailAddress": ["cc@customer.example"],
        "t:BccRecipients/t:Mailbox/t:EmailAddress": ["bcc@customer.example"],
        "t:ReplyTo/t:Mailbox/t:EmailAddress": ["reply@contoso.example"],
        "t:Attachments/t:FileAttachment/t:Name": ["a.pdf", "logo.png"],
        "t:Attachments/t:FileAttachment/t:ContentType": ["application/pdf", "image/png"],
        "t:Attachments/t:FileAttachment/t:ContentId": ["logo"],
        "t:Attachments/t:FileAttachment/t:IsInline": ["true"],
        "t:Attachments/t:FileAttachment/t:Content": ["UERG", "UE5H"],
    }
    assert set(texts(message, ".//t:RoutingType")) == {"SMTP"}
    (body,) = message.findall("t:Body", NAMES)
    assert body.get("BodyType") == "HTML"


def test_stamp_trace_and_own_headers_travel_as_properties() -> None:
    root = valid(create_item.request(MAILBOX, [FULL], {FULL.stamp}, impersonate=False))

    properties = [
        (uri.get("PropertySetId") or uri.get("DistinguishedPropertySetId"), uri.get("PropertyName"), value.text)
        for uri, value in root.findall(".//t:ExtendedProperty", NAMES)
    ]
    assert properties == [
        (PROPERTY_SET, "RequestStamp", FULL.stamp),
        ("InternetHeaders", "X-CRM-Mail-Router", "crm.full.0"),
        ("InternetHeaders", "X-Campaign", "autumn"),
        ("InternetHeaders", "X-Second", "2 & 3"),
    ]


def test_what_a_mail_does_not_have_is_not_there() -> None:
    root = valid(create_item.request(MAILBOX, [PLAIN], set(), impersonate=False))
    (message,) = root.findall(".//t:Message", NAMES)

    names = [etree.QName(child).localname for child in message]
    assert names == ["Subject", "Body", "ExtendedProperty", "ExtendedProperty", "ToRecipients", "From"]
    assert [element.get("BodyType") for element in message.findall("t:Body", NAMES)] == ["Text"]


def test_only_named_drafts_bear_their_message_id() -> None:
    root = valid(create_item.request(MAILBOX, [FULL, PLAIN], {PLAIN.stamp}, impersonate=False))

    assert texts(root, ".//t:InternetMessageId") == [PLAIN.message_id]


def test_a_draft_is_sent_in_the_state_the_look_showed_and_kept_in_sent_items() -> None:
    root = valid(send_item.request(MAILBOX, [DRAFT], impersonate=False))

    (send,) = root.findall(".//m:SendItem", NAMES)
    assert send.get("SaveItemToFolder") == "true"
    assert [dict(element.attrib) for element in send.findall(".//t:ItemId", NAMES)] == [
        {"Id": DRAFT.id, "ChangeKey": DRAFT.version}
    ]
    assert [element.get("Id") for element in send.findall(".//t:DistinguishedFolderId", NAMES)] == ["sentitems"]


def test_folders_are_asked_for_in_the_order_mail_moves_through_them() -> None:
    root = valid(find_item.request(MAILBOX, list(Folder), offset=0, size=100, impersonate=False))

    folders = root.findall(".//m:ParentFolderIds/t:DistinguishedFolderId", NAMES)
    assert [folder.get("Id") for folder in folders] == ["drafts", "outbox", "sentitems"]
    assert root.find(".//m:Restriction", NAMES) is None
    assert texts(root, "s:Header/t:DateTimePrecision") == ["Milliseconds"]


def test_retiring_swaps_the_stamp_only_where_nothing_has_changed() -> None:
    root = valid(retire.swap_request(MAILBOX, [DRAFT], impersonate=False))

    (update,) = root.findall(".//m:UpdateItem", NAMES)
    assert dict(update.attrib.items()) == {"ConflictResolution": "NeverOverwrite", "MessageDisposition": "SaveOnly"}
    assert texts(update, ".//t:Value") == [VOID]


@given(st.text(), st.text(min_size=1), st.text(), st.text())
def test_no_text_of_a_mail_can_break_the_request(subject: str, name: str, body: str, header: str) -> None:
    message = Message(
        stamp=Stamp(stamp_of(subject, body)),
        message_id=f"<{header}@contoso.example>",
        sender=Address("a@contoso.example", name),
        subject=subject,
        to=(Address("x@customer.example", name),),
        html=body,
        headers=(("X-Header", header),),
    )

    valid(create_item.request(MAILBOX, [message], {message.stamp}, impersonate=True))


def test_large_attachments_are_passed_on_without_a_copy() -> None:
    filled = create_item.request(MAILBOX, [FULL], set(), impersonate=False)

    assert any(piece is FULL.attachments[0].content for piece in filled)


def test_a_place_that_is_not_filled_or_does_not_exist_is_a_bug_that_shows() -> None:
    template = Template(b"<a>[[one]]</a>")

    assert whole(template.fill({"one": b"1"})) == b"<a>1</a>"
    for names in ("", "one two"):
        with pytest.raises(AssertionError):
            template.fill(dict.fromkeys(names.split(), b"1"))


def test_a_child_that_does_not_exist_is_a_bug_that_shows() -> None:
    shape = Shape(etree.fromstring("<a><b>[[text]]</b><c/></a>"))

    assert whole(shape.fill({"c": {}, "b": {"text": b"1"}})) == b"<a><b>1</b><c/></a>"
    with pytest.raises(AssertionError):
        shape.fill({"d": {"text": b""}})


def test_the_folder_of_a_check_can_be_asked_for() -> None:
    body = {
        "FolderShape": {"BaseShape": "IdOnly"},
        "FolderIds": {"_value_1": [{"DistinguishedFolderId": {"Id": "drafts"}}]},
    }
    root = build("GetFolder", body, impersonate=False)

    assert SCHEMA.validate(root[1][0]), SCHEMA.error_log
