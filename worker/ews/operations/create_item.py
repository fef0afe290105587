"""CreateItem: drafts of whole mails, up to ten in a request (EWS reference, "CreateItem operation")."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from lxml import etree

from worker.ews import remedies
from worker.ews.template import (
    NAMESPACES,
    Filled,
    Shape,
    Template,
    Values,
    build,
    find,
    folder,
    fragment,
    hollow,
    place,
)
from worker.ews.text import escaped
from worker.ews.upload import Upload
from worker.mail.address import Address
from worker.mail.message import Attachment, Link, Message
from worker.mail.message_id import TRACE_HEADER
from worker.mail.outcome import Reason, Scope
from worker.mail.stamp import PROPERTY_NAME, PROPERTY_SET, Stamp

MAX_REQUEST_BYTES: Final = 64 * 2**20
"""The largest request Exchange takes (EWS request limit, maxAllowedContentLength): about 48 MB of files."""

TOO_LARGE: Final = Reason(
    "request-too-large",
    Scope.MESSAGE,
    f"with its attachments the mail is larger than a request to Exchange can be, {MAX_REQUEST_BYTES // 2**20} MiB",
    remedies.TOO_LARGE,
)

STAMP_FIELD: Final = {"PropertySetId": PROPERTY_SET, "PropertyName": PROPERTY_NAME, "PropertyType": "String"}
"""The named property that holds the stamp, as every request names it ([MS-OXWSXPROP], PathToExtendedFieldType)."""

_NAMED = {"Mailbox": {"Name": place("name"), "EmailAddress": place("address"), "RoutingType": "SMTP"}}
_BARE = {"Mailbox": {"EmailAddress": place("address"), "RoutingType": "SMTP"}}
_HEADER_FIELD = {
    "DistinguishedPropertySetId": "InternetHeaders",
    "PropertyName": place("name"),
    "PropertyType": "String",
}
_FILE = {
    "Name": place("name"),
    "ContentType": place("content_type"),
    "ContentId": place("content_id"),
    "IsInline": True,
    "Content": place("content"),
}
_EVERYTHING: dict[str, Any] = {
    "Subject": place("text"),
    "Sensitivity": place("text"),
    "Body": {"_value_1": place("text"), "BodyType": place("kind")},
    "Attachments": {"_value_1": [{"FileAttachment": _FILE}]},
    "Importance": place("text"),
    "InReplyTo": place("text"),
    "ExtendedProperty": [
        {"ExtendedFieldURI": STAMP_FIELD, "Value": place("text")},
        {"ExtendedFieldURI": _HEADER_FIELD, "Value": place("text")},
    ],
    "ToRecipients": {"_value_1": [_NAMED]},
    "CcRecipients": {"_value_1": [_BARE]},
    "BccRecipients": {"_value_1": [_NAMED]},
    "IsReadReceiptRequested": True,
    "IsDeliveryReceiptRequested": True,
    "From": _NAMED,
    "InternetMessageId": place("text"),
    "References": place("text"),
    "ReplyTo": {"_value_1": [_NAMED]},
}
"""A mail with everything the router sets, once: what the templates are cut out of."""

_LISTS = ("Attachments", "ToRecipients", "CcRecipients", "BccRecipients", "From", "ReplyTo")


class _Templates(NamedTuple):
    request: Template
    message: Shape
    named: Template
    bare: Template
    file: Shape
    stamp: Template
    header: Template


@cache
def _templates(impersonate: bool) -> _Templates:  # noqa: FBT001 - a key of the cache
    items = {"_value_1": [{"Message": _EVERYTHING}]}
    body = {"SavedItemFolderId": folder("drafts"), "Items": items, "MessageDisposition": "SaveOnly"}
    envelope = build("CreateItem", body, impersonate=impersonate)
    message = find(envelope, ".//t:Message")
    named, bare = find(message, "t:ToRecipients/t:Mailbox"), find(message, "t:CcRecipients/t:Mailbox")
    stamp, header = message.findall("t:ExtendedProperty", NAMESPACES)
    parts = [Template(fragment(each)) for each in (named, bare, stamp, header)]
    file = Shape(find(message, "t:Attachments/t:FileAttachment"))
    for name in _LISTS:
        hollow(find(message, f"t:{name}"), "all")
    shape = Shape(message)
    shape.children["ExtendedProperty"] = Template(place("all").encode())
    hollow(find(envelope, ".//m:Items"), "messages")
    return _Templates(Template(etree.tostring(envelope)), shape, parts[0], parts[1], file, parts[2], parts[3])


def request(mailbox: str, messages: Sequence[Message], named: Collection[Stamp], *, impersonate: bool) -> Filled:
    """The request that saves one draft of each message in the drafts of `mailbox`.

    Those whose stamps are `named` bear their Message-ID; not every server takes one.
    """
    templates = _templates(impersonate)
    filled: Filled = []
    for message in messages:
        filled += _message(templates, message, named=message.stamp in named)
    return templates.request.fill({"mailbox": escaped(mailbox), "messages": filled})


def _message(templates: _Templates, message: Message, *, named: bool) -> Filled:
    children: dict[str, Values] = {
        "Subject": {"text": escaped(message.subject)},
        "Body": _body(message),
        "ExtendedProperty": {"all": _properties(templates, message)},
        "From": {"all": _mailbox(templates, message.sender)},
    }
    if message.sensitivity != "normal":
        children["Sensitivity"] = {"text": message.sensitivity.capitalize().encode()}
    if message.importance != "normal":
        children["Importance"] = {"text": message.importance.capitalize().encode()}
    if message.attachments:
        children["Attachments"] = {"all": [p for each in message.attachments for p in _file(templates, each)]}
    if message.request_read_receipt:
        children["IsReadReceiptRequested"] = {}
    if message.request_delivery_receipt:
        children["IsDeliveryReceiptRequested"] = {}
    for name, text in _identification(message, named=named).items():
        if text:
            children[name] = {"text": escaped(text)}
    for name, addresses in _recipients(message).items():
        if addresses:
            children[name] = {"all": [p for each in addresses for p in _mailbox(templates, each)]}
    return templates.message.fill(children)


def _identification(message: Message, *, named: bool) -> Mapping[str, str]:
    return {
        "InternetMessageId": message.message_id if named else "",
        "InReplyTo": message.in_reply_to,
        "References": " ".join(message.references),
    }


def _recipients(message: Message) -> Mapping[str, tuple[Address, ...]]:
    return {
        "ToRecipients": message.to,
        "CcRecipients": message.cc,
        "BccRecipients": message.bcc,
        "ReplyTo": message.reply_to,
    }


def _body(message: Message) -> Values:
    if message.html is not None:
        return {"kind": b"HTML", "text": escaped(message.html)}
    return {"kind": b"Text", "text": escaped(message.text or "")}


def _mailbox(templates: _Templates, address: Address) -> Filled:
    if address.name:
        return templates.named.fill({"name": escaped(address.name), "address": escaped(address.address)})
    return templates.bare.fill({"address": escaped(address.address)})


def _properties(templates: _Templates, message: Message) -> Filled:
    filled = templates.stamp.fill({"text": escaped(message.stamp)})
    for name, value in ((TRACE_HEADER, _trace(message)), *message.headers):
        filled += templates.header.fill({"name": escaped(name), "text": escaped(value)})
    return filled


def _trace(message: Message) -> str:
    """Our Message-ID's left side: the same on every draft of a request, whatever Message-ID the server gives it."""
    left, _, _ = message.message_id.strip("<>").rpartition("@")
    return left or hashlib.sha256(message.stamp.encode()).hexdigest()


def _file(templates: _Templates, attachment: Attachment) -> Filled:
    content = attachment.content
    assert not isinstance(content, Link), "a file by URL is spooled before there is a draft"
    children: dict[str, Values] = {
        "Name": {"name": escaped(attachment.name)},
        "ContentType": {"content_type": escaped(attachment.content_type)},
        "Content": {"content": content if isinstance(content, bytes) else [Upload(content)]},
    }
    if attachment.content_id:
        children["ContentId"] = {"content_id": escaped(attachment.content_id)}
    if attachment.inline:
        children["IsInline"] = {}
    return templates.file.fill(children)
