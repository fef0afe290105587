"""A mail in MIME becomes an item, as Exchange makes one when mail arrives. Whatever the mail looks like, there is one.

What Exchange keeps and what it drops: of two bodies the HTML one; an attached mail becomes an ItemAttachment; an
invitation becomes a meeting message; a delivery report gets a class of its own and loses its machine-readable part,
which only the MIME still has.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.policy import compat32
from email.utils import getaddresses, parsedate_to_datetime
from typing import Final

from worker.sandbox.item import Attachment, Item, Recipient

MOST_NESTED: Final = 20
"""Mails in mails; what is deeper is a file."""
MOST_PARTS: Final = 2000
"""Parts of a mail that are looked at; Exchange refuses mails of more than some hundred."""

_AS_IS: Final = compat32.clone(linesep="\r\n", max_line_length=None)
_FOLD: Final = re.compile(r"[ \t]*[\r\n]+[ \t]*")
_REPORTS: Final = {
    "failed": "NDR",
    "delivered": "DR",
    "delayed": "Delayed",
    "relayed": "Relayed",
    "expanded": "Expanded",
}
_MEETINGS: Final = {"REQUEST": "Request", "CANCEL": "Canceled", "REPLY": "Resp"}
_ANSWERS: Final = {"ACCEPTED": "Pos", "DECLINED": "Neg", "TENTATIVE": "Tent"}


@dataclass(slots=True)
class _Parts:
    """What is found on the way through a mail."""

    html: str | None = None
    text: str | None = None
    calendar: str | None = None
    method: str = ""
    status: str = ""
    """The machine-readable part of a report."""
    attachments: list[Attachment] = field(default_factory=list)
    count: int = 0


def parse(source: bytes, depth: int = 0) -> Item:
    """The item; its attachments have no ids yet."""
    item = Item(is_read=False, is_draft=False, source=source)
    try:
        message = message_from_bytes(source)
        _read_fields(item, message)
        parts = _Parts()
        _collect(message, parts, depth)
    except RecursionError:  # nested deeper than anybody reads
        item.body = source.decode("utf-8", "replace")
        return item
    item.attachments = parts.attachments
    if parts.html is not None:
        item.body, item.body_type = parts.html, "HTML"
    else:
        item.body = parts.text or ""
    item.item_class = _class(message, parts)
    return item


def _read_fields(item: Item, message: Message) -> None:
    fields = {name.casefold(): value for name, value in reversed(list(_raw_fields(message)))}  # the first one counts
    item.subject = decoded(fields.get("subject", ""))
    item.message_id = fields.get("message-id", "")
    item.in_reply_to = fields.get("in-reply-to", "")
    item.references = fields.get("references", "")
    item.to, item.cc, item.bcc, item.reply_to = (
        tuple(_people(fields.get(name, ""))) for name in ("to", "cc", "bcc", "reply-to")
    )
    item.from_ = next(_people(fields.get("from", "")), None)
    item.sender = next(_people(fields.get("sender", "")), None) or item.from_
    item.sent_at = _moment(fields.get("date", ""))
    item.importance = _importance(fields)
    item.sensitivity = {"personal": "Personal", "private": "Private", "company-confidential": "Confidential"}.get(
        fields.get("sensitivity", "").casefold(), "Normal"
    )
    item.read_receipt = "disposition-notification-to" in fields
    try:
        item.conversation_index = base64.b64decode(fields.get("thread-index", ""), validate=True)
    except (binascii.Error, ValueError):
        item.conversation_index = b""


def _raw_fields(message: Message) -> Iterator[tuple[str, str]]:
    """Unfolded, bytes that are no ASCII read as UTF-8."""
    for name, value in message.raw_items():
        raw = str(value).encode("ascii", "surrogateescape") if not str(value).isascii() else b""
        yield name, _FOLD.sub(" ", raw.decode("utf-8", "replace") if raw else str(value)).strip(" \t\r\n")


def decoded(value: str) -> str:
    """RFC 2047's encoded words as text; the value as it is, where they cannot be read."""
    if "=?" not in value:
        return _clean(value)
    try:
        return _clean(str(make_header(decode_header(value))))
    except (MessageError, LookupError, UnicodeError, ValueError):
        return _clean(value)


def _people(value: str) -> Iterator[Recipient]:
    for name, address in getaddresses([value]):
        if address and (name or "@" in address):
            yield Recipient(address, decoded(name))


def _moment(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _importance(fields: dict[str, str]) -> str:
    told = fields.get("importance", "").casefold() or fields.get("x-msmail-priority", "").casefold()
    if told in ("low", "normal", "high"):
        return told.capitalize()
    return {"1": "High", "2": "High", "4": "Low", "5": "Low"}.get(fields.get("x-priority", "")[:1], "Normal")


def _collect(part: Message, parts: _Parts, depth: int, *, related: bool = False) -> None:
    parts.count += 1
    if parts.count > MOST_PARTS:
        return
    try:
        _collect_one(part, parts, depth, related=related)
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001 - the standard library raises a dozen kinds for parts that make no sense
        parts.attachments.append(Attachment("", "unreadable.dat", "application/octet-stream", b""))


def _collect_one(part: Message, parts: _Parts, depth: int, *, related: bool) -> None:
    kind = part.get_content_type()
    if kind == "message/rfc822":
        _embedded(part, parts, depth)
    elif kind in ("message/delivery-status", "message/disposition-notification"):
        parts.status = _text_of(part)
    elif part.is_multipart():
        for child in _children(part):
            _collect(child, parts, depth, related=kind == "multipart/related")
    elif not _is_body(part, kind, parts):
        parts.attachments.append(_file(part, kind, len(parts.attachments), related=related))


def _children(part: Message) -> list[Message]:
    payload = part.get_payload() if part.is_multipart() else ()
    return [each for each in payload if isinstance(each, Message)]


def _is_body(part: Message, kind: str, parts: _Parts) -> bool:
    """Take a part as the body (or the invitation) if it is one."""
    if part.get_content_disposition() == "attachment" or _file_name(part):
        return False
    if kind == "text/html" and parts.html is None:
        parts.html = _text_of(part)
    elif kind == "text/plain" and parts.text is None:
        parts.text = _text_of(part)
    elif kind == "text/calendar" and parts.calendar is None:
        parts.calendar = _text_of(part)
        parts.method = str(part.get_param("method") or "")
    else:
        return kind == "text/rfc822-headers"  # of a report: Exchange drops it
    return True


def _file(part: Message, kind: str, number: int, *, related: bool) -> Attachment:
    content_id = str(part.get("Content-ID") or "").strip().strip("<>")
    inline = part.get_content_disposition() == "inline"
    return Attachment(
        id="",
        name=_file_name(part) or f"ATT{number + 1:05d}{'.txt' if kind == 'text/plain' else '.dat'}",
        content_type=kind,
        content=_bytes_of(part),
        content_id=content_id,
        content_location=" ".join(str(part.get("Content-Location") or "").split()),
        inline=bool(content_id) and (inline or related),
    )


def _embedded(part: Message, parts: _Parts, depth: int) -> None:
    children = _children(part)
    if str(part.get("Content-Transfer-Encoding") or "").strip().casefold() == "base64":  # against the rule, but seen
        source = base64.b64decode(str((children[0] if children else part).get_payload()).encode("ascii", "replace"))
    else:
        source = _source(children[0]) if children else _bytes_of(part)
    if depth >= MOST_NESTED:
        parts.attachments.append(Attachment("", "message.eml", "application/octet-stream", source))
        return
    inner = parse(source, depth + 1)
    name = inner.subject or _file_name(part) or "Untitled"
    parts.attachments.append(Attachment("", name, "message/rfc822", source, item=inner))


def _source(message: Message) -> bytes:
    try:
        return message.as_bytes(policy=_AS_IS)
    except (UnicodeError, LookupError, ValueError, KeyError):  # what the standard library cannot write
        return str(message.get_payload()).encode("utf-8", "replace")


def _bytes_of(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text_of(part: Message) -> str:
    if part.is_multipart():  # the fields of a delivery status, which the parser takes for messages
        return "\n".join(_source(each).decode("utf-8", "replace") for each in _children(part))
    content = _bytes_of(part)
    for charset in (str(part.get_content_charset() or "utf-8"), "utf-8", "windows-1252"):
        try:
            return _clean(content.decode(charset))
        except (LookupError, UnicodeError, ValueError):
            continue
    return _clean(content.decode("latin-1"))


def _clean(text: str) -> str:
    """What cannot stand in any XML answer at all goes; control characters stay, as Exchange has them."""
    return re.sub("[\ud800-\udfff\ufffe\uffff]", "\ufffd", text)


def _file_name(part: Message) -> str:
    try:
        return " ".join(decoded(part.get_filename() or "").split())
    except (MessageError, LookupError, UnicodeError, ValueError):
        return ""


def _class(message: Message, parts: _Parts) -> str:
    kind = message.get_content_type()
    if kind == "multipart/report":
        return _report_class(str(message.get_param("report-type") or ""), parts.status)
    if parts.calendar is not None:
        return _meeting_class(parts.calendar, parts.method)
    if kind == "multipart/signed":
        return "IPM.Note.SMIME.MultipartSigned"
    if kind in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        return "IPM.Note.SMIME"
    return "IPM.Note"


def _report_class(report_type: str, status: str) -> str:
    if report_type.casefold() == "disposition-notification":
        read = re.search(r"^Disposition:.*;\s*displayed", status, re.IGNORECASE | re.MULTILINE)
        return f"REPORT.IPM.Note.{'IPNRN' if read else 'IPNNRN'}"
    actions = [each.casefold() for each in re.findall(r"^Action:\s*([a-z]+)", status, re.IGNORECASE | re.MULTILINE)]
    if report_type.casefold() == "delivery-status" and actions:
        action = next((each for each in _REPORTS if each in actions), "")
        return f"REPORT.IPM.Note.{_REPORTS[action]}" if action else "IPM.Note"
    return "IPM.Note"


def _meeting_class(calendar: str, method: str) -> str:
    found = method or "".join(re.findall(r"^METHOD:\s*(\w+)", calendar, re.IGNORECASE | re.MULTILINE)[:1])
    kind = _MEETINGS.get(found.upper(), "")
    if not kind:
        return "IPM.Note"
    if kind == "Resp":
        answers = re.findall(r"PARTSTAT=(\w+)", calendar, re.IGNORECASE)
        kind += "." + _ANSWERS.get(answers[0].upper() if answers else "", "Tent")
    return f"IPM.Schedule.Meeting.{kind}"
