"""A mail as EWS shows it: the properties asked for, and how they are read.

Nothing is cleaned or decided here. Whatever is not there, or not as it should be, is left empty; a mail is not to be
lost over its details.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, cast

from lxml import etree

from worker.ews.template import TYPES
from worker.mail.address import Address
from worker.mail.incoming import File, IncomingMail
from worker.mail.message import Importance, Sensitivity

_ALWAYS: Final = (
    "item:ItemClass",
    "item:Subject",
    "item:Sensitivity",
    "item:Attachments",
    "item:DateTimeReceived",
    "item:Importance",
    "item:InReplyTo",
    "item:DateTimeSent",
    "item:ConversationId",
    "message:Sender",
    "message:ToRecipients",
    "message:CcRecipients",
    "message:BccRecipients",
    "message:ConversationIndex",
    "message:From",
    "message:InternetMessageId",
    "message:References",
    "message:ReplyTo",
)
_WITH_TEXTS: Final = ("item:Body", "item:InternetMessageHeaders")
TEXT_BODY: Final = "item:TextBody"
"""The body as plain text beside its HTML, made by the server; Exchange 2013 and newer."""

# [MS-OXPROPS]: PidTagSearchKey, PidTagSenderSmtpAddress, PidTagSentRepresentingSmtpAddress. The latter two are there
# for senders whose address is given in Exchange's own form.
_SEARCH_KEY, _SENDER_SMTP, _FROM_SMTP = "0x300b", "0x5d01", "0x5d02"
_TAGS: Final = ((_SEARCH_KEY, "Binary"), (_SENDER_SMTP, "String"), (_FROM_SMTP, "String"))

_T: Final = f"{{{TYPES}}}"
_FOLD: Final = re.compile(r"[\r\n]+[ \t]*")
_IMPORTANCES: Final = frozenset({"low", "normal", "high"})
_SENSITIVITIES: Final = frozenset({"normal", "personal", "private", "confidential"})


def properties(*, texts: bool, text_body: bool) -> list[dict[str, Any]]:
    """The properties to ask for, as zeep takes them: with body and headers, and with the plain text beside the body."""
    names = [*_ALWAYS, *(_WITH_TEXTS if texts else ()), *((TEXT_BODY,) if texts and text_body else ())]
    tags = ({"PropertyTag": tag, "PropertyType": kind} for tag, kind in _TAGS)
    return [*({"FieldURI": {"FieldURI": each}} for each in names), *({"ExtendedFieldURI": each} for each in tags)]


def read_mail(item: etree._Element, *, bare: bool) -> IncomingMail:
    """The mail in an item element of any kind: a message, a report, a meeting request."""
    cells = {child.tag: child for child in item}
    extended = dict(_extended(item))
    headers = () if bare else tuple(_headers(cells.get(_T + "InternetMessageHeaders")))
    html, text = (None, None) if bare else _bodies(cells)
    return IncomingMail(
        id=_id(cells.get(_T + "ItemId")),
        received_at=moment(_text(cells, "DateTimeReceived")),
        item_class=_text(cells, "ItemClass"),
        message_id=_text(cells, "InternetMessageId") or _header(headers, "message-id"),
        in_reply_to=_text(cells, "InReplyTo") or _header(headers, "in-reply-to"),
        references=_text(cells, "References") or _header(headers, "references"),
        conversation_id=_id(cells.get(_T + "ConversationId")),
        conversation_index=_decoded(_text(cells, "ConversationIndex")),
        search_key=extended.get(_SEARCH_KEY, ""),
        from_=next(_addresses(cells.get(_T + "From"), extended.get(_FROM_SMTP, "")), None),
        sender=next(_addresses(cells.get(_T + "Sender"), extended.get(_SENDER_SMTP, "")), None),
        to=tuple(_addresses(cells.get(_T + "ToRecipients"))),
        cc=tuple(_addresses(cells.get(_T + "CcRecipients"))),
        bcc=tuple(_addresses(cells.get(_T + "BccRecipients"))),
        reply_to=tuple(_addresses(cells.get(_T + "ReplyTo"))),
        subject=_text(cells, "Subject"),
        html=html,
        text=text,
        sent_at=moment(_text(cells, "DateTimeSent")),
        importance=cast("Importance", _one_of(_IMPORTANCES, _text(cells, "Importance"))),
        sensitivity=cast("Sensitivity", _one_of(_SENSITIVITIES, _text(cells, "Sensitivity"))),
        headers=headers,
        files=tuple(_files(cells.get(_T + "Attachments"))),
        bare=bare,
    )


def moment(text: str | None) -> datetime | None:
    """An xs:dateTime; without a zone it is UTC, as EWS means it."""
    try:
        found = datetime.fromisoformat((text or "").strip())
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def received_second(text: str | None) -> datetime | None:
    """When something was received, in whole seconds: not every operation tells more, and these are compared."""
    found = moment(text)
    return found.replace(microsecond=0) if found else None


def _text(cells: dict[str, etree._Element], name: str) -> str:
    cell = cells.get(_T + name)
    return "" if cell is None else (cell.text or "")


def _id(cell: etree._Element | None) -> str:
    return "" if cell is None else (cell.get("Id") or "")


def _bodies(cells: dict[str, etree._Element]) -> tuple[str | None, str | None]:
    """HTML and text, each where it is given."""
    body, plain = cells.get(_T + "Body"), cells.get(_T + "TextBody")
    html = text = None
    if body is not None and body.get("BodyType") == "HTML":
        html = body.text or ""
    elif body is not None:
        text = body.text or ""
    if plain is not None and plain.text:
        text = plain.text
    return html, text


def _addresses(holder: etree._Element | None, smtp: str = "") -> Iterator[Address]:
    """The mailboxes in an element, those without an address by their names. `smtp` is the address to use where one is
    not given, or not in that form.
    """
    if holder is None:
        return
    for mailbox in holder.iter(_T + "Mailbox"):
        address = (mailbox.findtext(_T + "EmailAddress") or "").strip()
        if not address or (mailbox.findtext(_T + "RoutingType") or "SMTP").upper() != "SMTP":
            address = smtp.strip() or address
        name = (mailbox.findtext(_T + "Name") or "").strip()
        if address or name:
            yield Address(address, "" if name == address else name)


def _headers(holder: etree._Element | None) -> Iterator[tuple[str, str]]:
    for header in () if holder is None else holder.iter(_T + "InternetMessageHeader"):
        name = (header.get("HeaderName") or "").strip()
        if name:
            yield name, _FOLD.sub(" ", header.text or "").strip()


def _header(headers: tuple[tuple[str, str], ...], name: str) -> str:
    return next((value for each, value in headers if each.casefold() == name), "")


def _extended(item: etree._Element) -> Iterator[tuple[str, str]]:
    """Values of extended properties by their tag."""
    for each in item.iterfind(_T + "ExtendedProperty"):
        uri = each.find(_T + "ExtendedFieldURI")
        tag = "" if uri is None else (uri.get("PropertyTag") or "")
        if tag:
            yield tag.casefold(), each.findtext(_T + "Value") or ""


def _files(holder: etree._Element | None) -> Iterator[File]:
    for attachment in () if holder is None else holder:
        cells = {child.tag: child for child in attachment}
        size = _text(cells, "Size").strip()
        yield File(
            id=_id(cells.get(_T + "AttachmentId")),
            name=_text(cells, "Name"),
            content_type=_text(cells, "ContentType"),
            size=int(size) if size.isdecimal() else 0,
            content_id=_text(cells, "ContentId"),
            inline=_text(cells, "IsInline").strip() in ("true", "1"),
            item=attachment.tag == _T + "ItemAttachment",
        )


def _one_of(words: frozenset[str], said: str) -> str:
    return said.casefold() if said.casefold() in words else "normal"


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
