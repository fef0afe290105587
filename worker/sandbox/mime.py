"""An item as the Internet message it left or came as. What was made here is only rendered when somebody asks for it."""

import base64
import re
from email import message_from_bytes
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from worker.sandbox.conversations import topic
from worker.sandbox.item import Item, Recipient

_FIELD_NAME = re.compile(r"[!-9;-~]+")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n|\A\r?\n")
_FOLD = re.compile(rb"[ \t]*\r?\n[ \t]+")
_CONTENT_TYPE = re.compile(r"[a-z]+/[\w.+-]+", re.ASCII | re.IGNORECASE)
_IMPORTANCE = {"Low": "low", "High": "high"}
_SENSITIVITY = {"Personal": "Personal", "Private": "Private", "Confidential": "Company-Confidential"}


def header_fields(item: Item) -> list[tuple[str, str]]:
    """The header fields of the mail, in the order they would stand in it."""
    fields = [
        ("From", _addresses((item.from_,) if item.from_ else ())),
        ("Sender", _addresses((item.sender,) if item.sender and item.sender != item.from_ else ())),
        ("To", _addresses(item.to)),
        ("CC", _addresses(item.cc)),
        ("Reply-To", _addresses(item.reply_to)),
        ("Subject", item.subject),
        ("Date", format_datetime(item.sent_at) if item.sent_at else ""),
        ("Message-ID", item.message_id),
        ("Thread-Topic", topic(item.subject)),
        ("Thread-Index", base64.b64encode(item.conversation_index).decode()),
        ("In-Reply-To", item.in_reply_to),
        ("References", item.references),
        ("Importance", _IMPORTANCE.get(item.importance, "")),
        ("Sensitivity", _SENSITIVITY.get(item.sensitivity, "")),
        ("Disposition-Notification-To", _addresses((item.from_,) if item.read_receipt and item.from_ else ())),
        *item.headers(),
    ]
    return [(name, value) for name, value in fields if value]


def transport_fields(item: Item) -> list[tuple[str, str]]:
    """The header fields as they came over the wire: unfolded, nothing decoded."""
    if item.source:
        return source_fields(item.source)
    return [
        (name, value if value.isascii() else Header(value, "utf-8", 10_000).encode(""))
        for name, value in header_fields(item)
    ]


def source_fields(source: bytes) -> list[tuple[str, str]]:
    """The header fields of a mail in MIME. What is no field is left out."""
    end = _BLANK_LINE.search(source)
    head = source[: end.start()] if end else source
    fields = []
    for line in _FOLD.sub(b" ", head).splitlines():
        name, colon, value = line.partition(b":")
        if colon and _FIELD_NAME.fullmatch(name.decode("latin-1").rstrip()):
            fields.append((name.decode().rstrip(), value.strip().decode("utf-8", "replace")))
    return fields


def render(item: Item) -> bytes:
    """The whole mail in MIME."""
    mail = EmailMessage(policy=SMTP)
    for name, value in header_fields(item):
        if name not in mail and _FIELD_NAME.fullmatch(name):
            mail[name] = _one_line(value)
    mail.set_content(item.body, subtype="html" if item.body_type == "HTML" else "plain")
    for each in item.attachments:
        if each.item is not None:
            mail.add_attachment(message_from_bytes(each.content, policy=SMTP))
            continue
        kind = each.content_type if _CONTENT_TYPE.fullmatch(each.content_type) else "application/octet-stream"
        main, _, sub = kind.partition("/")
        mail.add_attachment(
            each.content,
            maintype=main,
            subtype=sub,
            filename=_one_line(each.name) or None,
            disposition="inline" if each.inline else "attachment",
            cid=f"<{_one_line(each.content_id)}>" if each.content_id else None,
        )
    return mail.as_bytes()


def _addresses(recipients: tuple[Recipient, ...]) -> str:
    return ", ".join(f"{_quoted(each.name)}<{each.address}>" if each.name else each.address for each in recipients)


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" '


def _one_line(text: str) -> str:
    return " ".join(text.split())
