"""Reads what requests carry: messages, attachments, property paths, with the checks of the schema that matter here."""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from worker.sandbox.imported import imported
from worker.sandbox.item import INTERNET_HEADERS, Attachment, Item, Property, PropertyKey, Recipient
from worker.sandbox.mime import render
from worker.sandbox.soap import Element, Fault, Refusal, local, t

PROPERTY_SETS: Final = {
    "Address": "00062004-0000-0000-c000-000000000046",
    "Appointment": "00062002-0000-0000-c000-000000000046",
    "CalendarAssistant": "11000e07-b51b-40d6-af21-caa85edab1d0",
    "Common": "00062008-0000-0000-c000-000000000046",
    "InternetHeaders": INTERNET_HEADERS,
    "Meeting": "6ed8da90-450b-101b-98da-00aa003f1305",
    "PublicStrings": "00020329-0000-0000-c000-000000000046",
    "Sharing": "00062040-0000-0000-c000-000000000046",
    "Task": "00062003-0000-0000-c000-000000000046",
    "UnifiedMessaging": "4442858e-a9e3-4e80-b900-317a210cc15b",
}
"""The GUIDs behind DistinguishedPropertySetId (MS-OXPROPS 1.3.2)."""

# The order of a message's elements (types.xsd, ItemType and then MessageType): the schema fixes it, Exchange checks it.
_ITEM_ORDER = """MimeContent ItemId ParentFolderId ItemClass Subject Sensitivity Body Attachments DateTimeReceived Size
Categories Importance InReplyTo IsSubmitted IsDraft IsFromMe IsResend IsUnmodified InternetMessageHeaders DateTimeSent
DateTimeCreated ResponseObjects ReminderDueBy ReminderIsSet ReminderNextTime ReminderMinutesBeforeStart DisplayCc
DisplayTo DisplayBcc HasAttachments ExtendedProperty Culture EffectiveRights LastModifiedName LastModifiedTime
IsAssociated WebClientReadFormQueryString WebClientEditFormQueryString ConversationId UniqueBody Flag StoreEntryId
InstanceKey NormalizedBody EntityExtractionResult PolicyTag ArchiveTag RetentionDate Preview
RightsManagementLicenseData PredictedActionReasons IsClutter BlockStatus HasBlockedImages TextBody IconIndex SearchKey
Sender ToRecipients CcRecipients BccRecipients IsReadReceiptRequested IsDeliveryReceiptRequested ConversationIndex
ConversationTopic From InternetMessageId IsRead IsResponseRequested References ReplyTo ReceivedBy
ReceivedRepresenting ApprovalRequestData VotingInformation ReminderMessageData""".split()  # noqa: SIM905 - reads as text
_FILE_ORDER = """AttachmentId Name ContentType ContentId ContentLocation AttachmentOriginalUrl Size LastModifiedTime
IsInline IsContactPhoto Content""".split()  # noqa: SIM905 - likewise
_MESSAGE_POSITION: Final = {t(name): position for position, name in enumerate(_ITEM_ORDER)}
_FILE_POSITION: Final = {t(name): position for position, name in enumerate(_FILE_ORDER)}

_TAGS: Final[dict[int, str]] = {0x1035: "message_id", 0x1042: "in_reply_to", 0x1039: "references", 0x0037: "subject"}
"""Properties by tag that are fields of the item (MS-OXPROPS: PidTagInternetMessageId, PidTagInReplyToId, ...)."""
_TIMES: Final[dict[int, str]] = {0x0E06: "received_at", 0x0039: "sent_at"}
"""Likewise (PidTagMessageDeliveryTime, PidTagClientSubmitTime)."""
MESSAGE_FLAGS: Final[PropertyKey] = ("tag", 0x0E07)
_READ, _UNSENT = 0x1, 0x8
"""Of PidTagMessageFlags, what a client can set before the first save (MS-OXCMSG 2.2.1.6)."""
_WRITTEN: Final = frozenset(
    """Subject Body Attachments InReplyTo ToRecipients CcRecipients BccRecipients Sender From InternetMessageId
    References ReplyTo""".split()  # noqa: SIM905 - reads as text
)
"""What a mail in MIME says, too: set besides it, they go before it, and it is not the item's text any more."""


def message(element: Element) -> Item:
    """An item with the content a request gives: in MIME, by fields that go before it, or by both. Raises Refusal where
    Exchange refuses the item, Fault where the request breaks the schema.
    """
    check_order(element, _MESSAGE_POSITION)
    mime = element.findtext(t("MimeContent"))
    item = Item() if mime is None else imported(_mime(mime))
    fields = [child for child in element if local(child) != "MimeContent"]
    for child in fields:
        set_field(item, child)
    if any(local(child) in _WRITTEN for child in fields):
        item.source = b""
    return item


def _mime(text: str) -> bytes:
    """Raises Refusal ErrorMimeContentInvalidBase64String, ErrorMimeContentInvalid."""
    try:
        source = base64.b64decode(text.translate(_BLANKS), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal("ErrorMimeContentInvalidBase64String", "The MIME content is no valid base64.") from None
    if not source.strip():
        raise Refusal("ErrorMimeContentInvalid", "The MIME content is empty.")
    return source


def set_field(item: Item, element: Element) -> None:
    """Set what one child of a Message element says."""
    name = local(element)
    if name in _TEXTS:
        setattr(item, _TEXTS[name], element.text or "")
    elif name in _RECIPIENTS:
        setattr(item, _RECIPIENTS[name], tuple(_mailbox(each) for each in element))
    elif name in _FLAGS:
        setattr(item, _FLAGS[name], boolean(element))
    elif (read := _OTHERS.get(name)) is not None:
        read(item, element)
    else:
        raise Refusal("ErrorInvalidPropertySet", f"Set action is invalid for property {name}.")


def clear_field(item: Item, field_uri: str) -> None:
    """DeleteItemField. Raises Refusal for what cannot be deleted."""
    name = field_uri.partition(":")[2]
    if name in _TEXTS and name not in ("ItemClass", "Importance", "Sensitivity"):
        setattr(item, _TEXTS[name], "")
    elif name in _RECIPIENTS:
        setattr(item, _RECIPIENTS[name], ())
    elif name in _FLAGS:
        setattr(item, _FLAGS[name], False)
    elif name == "Body":
        item.body = ""
    elif name == "Categories":
        item.categories = ()
    else:
        raise Refusal("ErrorInvalidPropertyDelete", f"Delete action is invalid for property {field_uri}.")


def property_key(path: Element) -> PropertyKey:
    """Which property an ExtendedFieldURI means. Raises Refusal when its attributes do not go together."""
    tag = path.get("PropertyTag")
    if tag is not None:
        return ("tag", int(tag, 0))
    distinguished = path.get("DistinguishedPropertySetId")
    property_set = PROPERTY_SETS.get(distinguished) if distinguished else (path.get("PropertySetId") or "").lower()
    name, number = path.get("PropertyName"), path.get("PropertyId")
    if not property_set or (name is None) == (number is None):
        raise Refusal("ErrorInvalidExtendedProperty", "The extended property attribute combination is invalid.")
    if name is None:
        return (property_set, int(number or "0"))
    return (property_set, name.lower() if property_set == INTERNET_HEADERS else name)


def set_property(item: Item, element: Element) -> None:
    """Set what an ExtendedProperty element says."""
    path = element.find(t("ExtendedFieldURI"))
    if path is None:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ExtendedFieldURI is missing.")
    key = property_key(path)
    values = element.find(t("Values"))
    value = element.findtext(t("Value")) or "" if values is None else tuple(each.text or "" for each in values)
    if key[0] == "tag" and key[1] in _TAGS and isinstance(value, str):
        setattr(item, _TAGS[int(key[1])], value)
        return
    if key[0] == "tag" and key[1] in _TIMES and isinstance(value, str):
        setattr(item, _TIMES[int(key[1])], moment(value))
        return
    if key == MESSAGE_FLAGS and isinstance(value, str):
        if item.folder is None:  # read-only from the first save on
            item.is_read, item.is_draft = bool(int(value) & _READ), bool(int(value) & _UNSENT)
        return
    item.properties[key] = Property(path.get("PropertyType") or "String", value)


def clear_property(item: Item, path: Element) -> None:
    key = property_key(path)
    if key[0] == "tag" and (key[1] in _TIMES or key == MESSAGE_FLAGS):
        raise Refusal("ErrorInvalidPropertyDelete", "Delete action is invalid for this property.")
    if key[0] == "tag" and key[1] in _TAGS:
        setattr(item, _TAGS[int(key[1])], "")
    item.properties.pop(key, None)


def tag_field(key: PropertyKey) -> str:
    """The item's field that a property tag stands for, "" for none."""
    return (_TAGS | _TIMES).get(int(key[1]), "") if key[0] == "tag" else ""


def attachment(element: Element) -> Attachment:
    """A FileAttachment, or an ItemAttachment with a message in it, without an id yet. Raises Refusal, Fault."""
    if local(element) != "FileAttachment":
        return _item_attachment(element)
    check_order(element, _FILE_POSITION)
    try:
        content = base64.b64decode((element.findtext(t("Content")) or "").translate(_BLANKS), validate=True)
    except (binascii.Error, ValueError):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: Content is not base64.") from None
    inline = element.find(t("IsInline"))
    return Attachment(
        id="",
        name=element.findtext(t("Name")) or "",
        content_type=element.findtext(t("ContentType")) or "",
        content=content,
        content_id=element.findtext(t("ContentId")) or "",
        content_location=element.findtext(t("ContentLocation")) or "",
        inline=inline is not None and boolean(inline),
    )


def _item_attachment(element: Element) -> Attachment:
    inner = element.find(t("Message"))
    if inner is None:
        raise Refusal("ErrorInvalidItemForOperationCreateItemAttachment", "The sandbox takes files and messages only.")
    item = message(inner)
    item.is_draft = False
    name = element.findtext(t("Name")) or item.subject
    return Attachment(id="", name=name, content_type="message/rfc822", content=item.source or render(item), item=item)


def moment(text: str) -> datetime:
    """In ISO 8601, UTC where nothing else is said. Raises ValueError."""
    found = datetime.fromisoformat(text.strip())
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def boolean(element: Element) -> bool:
    text = (element.text or "").strip()
    if text not in ("true", "false", "1", "0"):
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {local(element)} is no boolean.")
    return text in ("true", "1")


def check_order(element: Element, positions: dict[str, int]) -> None:
    """Raises Fault: an element the schema does not have, or has elsewhere."""
    last = -1
    for child in element:
        position = positions.get(str(child.tag), -1)
        if position < last or position < 0:
            raise Fault(
                "ErrorSchemaValidation",
                f"The request failed schema validation: The element '{local(element)}' has invalid child element "
                f"'{local(child)}'.",
            )
        last = position


def _mailbox(element: Element) -> Recipient:
    return Recipient(
        address=(element.findtext(t("EmailAddress")) or "").strip(),
        name=element.findtext(t("Name")) or "",
        routing_type=element.findtext(t("RoutingType")) or "SMTP",
    )


def _one_mailbox(field: str) -> Callable[[Item, Element], None]:
    def read(item: Item, element: Element) -> None:
        inner = element.find(t("Mailbox"))
        setattr(item, field, None if inner is None else _mailbox(inner))

    return read


def set_body(item: Item, element: Element) -> None:
    kind = element.get("BodyType")
    if kind not in ("HTML", "Text"):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: BodyType is missing or invalid.")
    item.body, item.body_type = element.text or "", kind


def _categories(item: Item, element: Element) -> None:
    item.categories = tuple(each.text or "" for each in element)


def _attachments(item: Item, element: Element) -> None:
    item.attachments = [attachment(each) for each in element]


def _choice(field: str, values: tuple[str, ...]) -> Callable[[Item, Element], None]:
    def read(item: Item, element: Element) -> None:
        if element.text not in values:
            raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {local(element)} is invalid.")
        setattr(item, field, element.text)

    return read


_BLANKS: Final = {ord(each): None for each in " \t\r\n"}
_TEXTS: Final = {
    "ItemClass": "item_class",
    "Subject": "subject",
    "InReplyTo": "in_reply_to",
    "InternetMessageId": "message_id",
    "References": "references",
}
_RECIPIENTS: Final = {"ToRecipients": "to", "CcRecipients": "cc", "BccRecipients": "bcc", "ReplyTo": "reply_to"}
_FLAGS: Final = {
    "IsReadReceiptRequested": "read_receipt",
    "IsDeliveryReceiptRequested": "delivery_receipt",
    "IsRead": "is_read",
}
_OTHERS: Final[dict[str, Callable[[Item, Element], None]]] = {
    "Attachments": _attachments,
    "Body": set_body,
    "Categories": _categories,
    "ExtendedProperty": set_property,
    "From": _one_mailbox("from_"),
    "Importance": _choice("importance", ("Low", "Normal", "High")),
    "Sender": _one_mailbox("sender"),
    "Sensitivity": _choice("sensitivity", ("Normal", "Personal", "Private", "Confidential")),
    # Nothing a mail's sender depends on: taken and not kept.
    "Culture": lambda _item, _element: None,
    "Flag": lambda _item, _element: None,
    "IsResponseRequested": lambda _item, _element: None,
    "ReminderIsSet": lambda _item, _element: None,
    "ReminderMinutesBeforeStart": lambda _item, _element: None,
}
