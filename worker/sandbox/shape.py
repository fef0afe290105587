"""Which properties of an item an answer shows, and how: ItemShape in, XML out, in the order of the schema."""

import base64
import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

from lxml import etree

from worker.sandbox.conversations import conversation_id, topic
from worker.sandbox.item import Attachment, Item, PropertyKey, Recipient
from worker.sandbox.mime import render, transport_fields
from worker.sandbox.reading import MESSAGE_FLAGS, property_key, tag_field
from worker.sandbox.soap import Contents, Element, Refusal, escape, local, t

TABLE_TEXT: Final = 255
"""Characters of a string in a row of FindItem; the rest is cut off (MS-OXCTABL 3.2.5.5)."""


class Shape:
    """One request's ItemShape, ready to write items. A table shows less and cuts strings: `find` refuses what it does
    not show, `sync` leaves it out.

    `base` is the base shape where the request names none. Raises Refusal for a path that cannot be asked for.
    """

    def __init__(
        self,
        element: Element | None,
        *,
        view: Literal["item", "find", "sync"] = "item",
        milliseconds: bool = False,
        contents: Contents | None = None,
        base: str = "IdOnly",
    ) -> None:
        self.in_table = view != "item"
        self.contents = contents or Contents()
        self.precision: Literal["milliseconds", "seconds"] = "milliseconds" if milliseconds else "seconds"
        element = etree.Element("nothing") if element is None else element
        self.body_type = element.findtext(t("BodyType")) or "Best"
        self.header_names: list[str] = []
        self.extended: list[tuple[PropertyKey, str]] = []
        names = set(_BASE.get(element.findtext(t("BaseShape")) or base, ()))
        if self.in_table:
            names -= _NOT_IN_TABLES
        if element.findtext(t("IncludeMimeContent")) in ("true", "1"):
            names.add("MimeContent")
        for path in element.iterfind(f"{t('AdditionalProperties')}/*"):
            self._add(path, names)
        if view == "sync":
            names -= _NOT_IN_TABLES
        if self.in_table and names & _NOT_IN_TABLES:
            raise Refusal("ErrorInvalidPropertyRequest", "Property is not valid for this operation.")
        self._writers = {name: write for name, write in _WRITERS.items() if name in names}

        self.reads_content = bool(names & _CONTENT)

    def leave_out(self, name: str) -> None:
        """Though it was asked for."""
        self._writers.pop(name, None)

    def write(self, item: Item) -> str:
        element = item.element
        return f"<t:{element}>{''.join([write(item, self) for write in self._writers.values()])}</t:{element}>"

    def cut(self, text: str) -> str:
        return escape(text[:TABLE_TEXT] if self.in_table else text)

    def _add(self, path: Element, names: set[str]) -> None:
        kind = local(path)
        if kind == "FieldURI":
            names.add((path.get("FieldURI") or "").partition(":")[2])
        elif kind == "ExtendedFieldURI":
            names.add("ExtendedProperty")
            attributes = "".join(f' {escape(str(name))}="{escape(str(value))}"' for name, value in path.items())
            self.extended.append((property_key(path), f"<t:ExtendedFieldURI{attributes}/>"))
        elif kind == "IndexedFieldURI" and path.get("FieldURI") == "item:InternetMessageHeader":
            names.add("InternetMessageHeaders")
            self.header_names.append((path.get("FieldIndex") or "").casefold())


def shown(moment: datetime | None, precision: Literal["milliseconds", "seconds"]) -> str:
    """UTC, cut off: whole seconds unless the request asks for more (EWS reference, DateTimePrecision)."""
    return "" if moment is None else moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def attachment_xml(attachment: Attachment, shape: Shape | None = None) -> str:
    """An attachment as an item lists it; with a shape, what it holds as well."""
    element = attachment.element
    parts = [f'<t:{element}><t:AttachmentId Id="{attachment.id}"/>']
    parts.append(_text("Name", escape(attachment.name)))
    parts.append(_text("ContentType", escape(attachment.content_type)))
    parts.append(_text("ContentId", escape(attachment.content_id)))
    parts.append(_text("ContentLocation", escape(attachment.content_location)))
    parts.append(f"<t:Size>{len(attachment.content)}</t:Size><t:IsInline>{_flag(attachment.inline)}</t:IsInline>")
    if shape is not None and attachment.item is not None:
        parts.append(shape.write(attachment.item))
    elif shape is not None:
        parts.append(f"<t:Content>{shape.contents.base64(attachment.content)}</t:Content>")
    parts.append(f"</t:{element}>")
    return "".join(parts)


def mailbox_xml(recipient: Recipient) -> str:
    return (
        f"<t:Mailbox><t:Name>{escape(recipient.name or recipient.address)}</t:Name>"
        f"{_text('EmailAddress', escape(recipient.address))}"
        f"<t:RoutingType>{escape(recipient.routing_type)}</t:RoutingType></t:Mailbox>"
    )


def plain_text(markup: str) -> str:
    """What is left of HTML without its tags; rough, as a preview is."""
    text = _UNSEEN.sub("", markup)
    text = _LINE_END.sub("\r\n", " ".join(text.split()))
    return html.unescape(re.sub(r"<[^>]*>", "", text)).strip()


def _text(name: str, escaped: str) -> str:
    return f"<t:{name}>{escaped}</t:{name}>" if escaped else ""


def _flag(value: bool) -> str:  # noqa: FBT001 - the value is what it is about
    return "true" if value else "false"


def _field(name: str, value: Callable[[Item], str]) -> "Writer":
    """A field shown as text, left out where it is empty."""
    return lambda item, shape: _text(name, shape.cut(value(item)))


def _boolean(name: str, value: Callable[[Item], bool]) -> "Writer":
    return lambda item, _shape: f"<t:{name}>{_flag(value(item))}</t:{name}>"


def _moment(name: str, value: Callable[[Item], datetime | None]) -> "Writer":
    return lambda item, shape: _text(name, shown(value(item), shape.precision))


def _people(name: str, value: Callable[[Item], tuple[Recipient, ...]]) -> "Writer":
    def write(item: Item, _shape: Shape) -> str:
        return _text(name, "".join(mailbox_xml(each) for each in value(item)))

    return write


def _person(name: str, value: Callable[[Item], Recipient | None]) -> "Writer":
    """In a table Exchange shows the name only."""

    def write(item: Item, shape: Shape) -> str:
        person = value(item)
        if person is None:
            return ""
        if shape.in_table:
            shown_name = escape(person.name or person.address)
            return f"<t:{name}><t:Mailbox><t:Name>{shown_name}</t:Name></t:Mailbox></t:{name}>"
        return f"<t:{name}>{mailbox_xml(person)}</t:{name}>"

    return write


def _names(recipients: tuple[Recipient, ...]) -> str:
    return "; ".join(each.name or each.address for each in recipients)


def _item_id(item: Item, _shape: Shape) -> str:
    return f'<t:ItemId Id="{item.id}" ChangeKey="{item.change_key}"/>'


def _parent(item: Item, _shape: Shape) -> str:
    if item.folder is None:  # an attached item
        return ""
    return f'<t:ParentFolderId Id="{item.folder.id}" ChangeKey="{item.folder.change_key}"/>'


def _mime(item: Item, shape: Shape) -> str:
    return f'<t:MimeContent CharacterSet="UTF-8">{shape.contents.base64(item.source or render(item))}</t:MimeContent>'


def _conversation(item: Item, _shape: Shape) -> str:
    if item.folder is None:
        return ""
    return f'<t:ConversationId Id="{conversation_id(item.folder.mailbox.number, item.conversation)}"/>'


def _body(item: Item, shape: Shape) -> str:
    kind, text = item.body_type, item.body
    if shape.body_type == "Text" and kind == "HTML":
        kind, text = "Text", plain_text(text)
    elif shape.body_type == "HTML" and kind == "Text":
        kind, text = "HTML", f"<html><body><div>{escape(text)}</div></body></html>"
    return f'<t:Body BodyType="{kind}">{escape(text)}</t:Body>'


def _text_body(item: Item, _shape: Shape) -> str:
    text = plain_text(item.body) if item.body_type == "HTML" else item.body
    return f'<t:TextBody BodyType="Text">{escape(text)}</t:TextBody>'


def _attachments(item: Item, _shape: Shape) -> str:
    return _text("Attachments", "".join(attachment_xml(each) for each in item.attachments))


def _categories(item: Item, _shape: Shape) -> str:
    return _text("Categories", "".join(f"<t:String>{escape(each)}</t:String>" for each in item.categories))


def _headers(item: Item, shape: Shape) -> str:
    fields = [
        f'<t:InternetMessageHeader HeaderName="{escape(name)}">{escape(value)}</t:InternetMessageHeader>'
        for name, value in transport_fields(item)
        if not shape.header_names or name.casefold() in shape.header_names
    ]
    return _text("InternetMessageHeaders", "".join(fields))


def _extended(item: Item, shape: Shape) -> str:
    parts = []
    for key, path in shape.extended:
        found = item.properties.get(key)
        if found is not None:
            value: str | tuple[str, ...] = found.value
        elif field := tag_field(key):
            told = getattr(item, field)
            if told is None:
                continue
            value = told if isinstance(told, str) else shown(told, shape.precision)
        elif key == _SEARCH_KEY:
            value = base64.b64encode(item.search_key).decode()
        elif key == _CONVERSATION_INDEX:
            value = base64.b64encode(item.conversation_index).decode()
        elif key == MESSAGE_FLAGS:
            value = str(item.is_read | item.is_submitted << 2 | item.is_draft << 3 | bool(item.attachments) << 4)
        else:
            continue
        if isinstance(value, str):
            shown_value = f"<t:Value>{shape.cut(value)}</t:Value>"
        else:
            shown_value = f"<t:Values>{''.join(f'<t:Value>{shape.cut(each)}</t:Value>' for each in value)}</t:Values>"
        parts.append(f"<t:ExtendedProperty>{path}{shown_value}</t:ExtendedProperty>")
    return "".join(parts)


_SEARCH_KEY: Final[PropertyKey] = ("tag", 0x300B)
_CONVERSATION_INDEX: Final[PropertyKey] = ("tag", 0x0071)
_UNSEEN: Final = re.compile(r"<!--.*?-->|<(script|style|head)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_LINE_END: Final = re.compile(r"\s*(?:<br\s*/?>|</(?:p|div|tr|li|h[1-6])>)\s*", re.IGNORECASE)

Writer = Callable[[Item, Shape], str]

# In the order of the schema: ItemType, then MessageType.
_WRITERS: Final[dict[str, Writer]] = {
    "MimeContent": _mime,
    "ItemId": _item_id,
    "ParentFolderId": _parent,
    "ItemClass": _field("ItemClass", lambda item: item.item_class),
    "Subject": _field("Subject", lambda item: item.subject),
    "Sensitivity": _field("Sensitivity", lambda item: item.sensitivity),
    "Body": _body,
    "Attachments": _attachments,
    "DateTimeReceived": _moment("DateTimeReceived", lambda item: item.received_at),
    "Size": lambda item, _shape: f"<t:Size>{item.size}</t:Size>",
    "Categories": _categories,
    "Importance": _field("Importance", lambda item: item.importance),
    "InReplyTo": _field("InReplyTo", lambda item: item.in_reply_to),
    "IsSubmitted": _boolean("IsSubmitted", lambda item: item.is_submitted),
    "IsDraft": _boolean("IsDraft", lambda item: item.is_draft),
    "InternetMessageHeaders": _headers,
    "DateTimeSent": _moment("DateTimeSent", lambda item: item.sent_at or item.created_at),
    "DateTimeCreated": _moment("DateTimeCreated", lambda item: item.created_at),
    "DisplayCc": _field("DisplayCc", lambda item: _names(item.cc)),
    "DisplayTo": _field("DisplayTo", lambda item: _names(item.to)),
    "DisplayBcc": _field("DisplayBcc", lambda item: _names(item.bcc)),
    "HasAttachments": _boolean("HasAttachments", lambda item: any(not each.inline for each in item.attachments)),
    "ExtendedProperty": _extended,
    "LastModifiedTime": _moment("LastModifiedTime", lambda item: item.modified_at),
    "ConversationId": _conversation,
    "TextBody": _text_body,
    "SearchKey": lambda item, _shape: f"<t:SearchKey>{base64.b64encode(item.search_key).decode()}</t:SearchKey>",
    "Sender": _person("Sender", lambda item: item.sender),
    "ToRecipients": _people("ToRecipients", lambda item: item.to),
    "CcRecipients": _people("CcRecipients", lambda item: item.cc),
    "BccRecipients": _people("BccRecipients", lambda item: item.bcc),
    "IsReadReceiptRequested": _boolean("IsReadReceiptRequested", lambda item: item.read_receipt),
    "IsDeliveryReceiptRequested": _boolean("IsDeliveryReceiptRequested", lambda item: item.delivery_receipt),
    "ConversationIndex": lambda item, _shape: (
        f"<t:ConversationIndex>{base64.b64encode(item.conversation_index).decode()}</t:ConversationIndex>"
    ),
    "ConversationTopic": _field("ConversationTopic", lambda item: topic(item.subject)),
    "From": _person("From", lambda item: item.from_),
    "InternetMessageId": _field("InternetMessageId", lambda item: item.message_id),
    "IsRead": _boolean("IsRead", lambda item: item.is_read),
    "References": _field("References", lambda item: item.references),
    "ReplyTo": _people("ReplyTo", lambda item: item.reply_to),
}
_NOT_IN_TABLES: Final = frozenset(
    """MimeContent Body TextBody Attachments InternetMessageHeaders ToRecipients CcRecipients BccRecipients
    ReplyTo""".split()  # noqa: SIM905 - reads as text
)
_CONTENT: Final = frozenset({"MimeContent", "Body", "TextBody", "InternetMessageHeaders"})
_DEFAULT: Final = frozenset(
    """ItemId ItemClass Subject Sensitivity Body Attachments Size IsDraft DateTimeSent DateTimeCreated HasAttachments
    Importance ToRecipients CcRecipients BccRecipients From InternetMessageId IsRead References ReplyTo
    IsReadReceiptRequested IsDeliveryReceiptRequested""".split()  # noqa: SIM905 - likewise
)
_BASE: Final = {
    "IdOnly": frozenset({"ItemId"}),
    "Default": _DEFAULT,
    "AllProperties": frozenset(_WRITERS) - {"MimeContent", "ExtendedProperty", "TextBody", "SearchKey"},
}
