"""A mail in a file (RFC 5322, `.eml`) as a send request."""

import base64
import email
import re
from collections.abc import Iterator
from datetime import datetime
from email import policy
from email.message import EmailMessage, MIMEPart
from typing import Final
from uuid import uuid4

from worker.clock import rfc3339
from worker.events.models import MESSAGE_ID, MOST_ID_CHARACTERS, MOST_REFERENCES

_ID: Final = re.compile(MESSAGE_ID.removeprefix("^").removesuffix("$"))


class UnusableMailError(ValueError):
    """The file is no mail that could be sent; the text says why."""


def event_of(mail: bytes, source: str, now: datetime) -> dict[str, object]:
    """A `crm.email.send.v1` with a new id, so that the same file sent twice is two mails. Raises UnusableMailError."""
    try:
        message = email.message_from_bytes(mail, policy=policy.default)
        data = _data(message)
    except Exception as error:  # the standard library's parser raises anything over a broken header
        raise UnusableMailError(f"cannot be read as a mail: {type(error).__name__}: {error}") from error
    if not data["from"]:
        raise UnusableMailError("it has no From address")
    event_id = str(uuid4())
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": "crm.email.send.v1",
        "time": rfc3339(now),
        "datacontenttype": "application/json",
        "data": {"email_id": event_id, **data},
    }


def _data(message: EmailMessage) -> dict[str, object]:
    bodies = _bodies(message)
    data: dict[str, object] = {
        "from": next(iter(_addresses(message, "From")), None),
        "to": _addresses(message, "To"),
        "cc": _addresses(message, "Cc"),
        "bcc": _addresses(message, "Bcc"),
        "reply_to": _addresses(message, "Reply-To"),
        "subject": " ".join(str(message.get("Subject", "")).split()),
        "body": bodies,
        "attachments": [_attachment(part, bodies.get("html", "")) for part in _files(message)],
    }
    if in_reply_to := _ids(message, "In-Reply-To"):
        data["in_reply_to"] = in_reply_to[0]
    if references := _ids(message, "References"):
        # The first is what the conversation is known by, the last ones are what is answered (RFC 5537, 3.4.4).
        data["references"] = [references[0], *references[1:][-(MOST_REFERENCES - 1) :]]
    return data


def _ids(message: EmailMessage, header: str) -> list[str]:
    """Message-IDs, whatever stands around them: comments and words are legal, too (RFC 5322, 3.6.4 and 4.5.4)."""
    return [each for each in _ID.findall(str(message.get(header, ""))) if len(each) <= MOST_ID_CHARACTERS]


def _addresses(message: EmailMessage, header: str) -> list[dict[str, str]]:
    found = [address for value in message.get_all(header, []) for address in value.addresses]
    return [
        {"address": each.addr_spec, "name": each.display_name} if each.display_name else {"address": each.addr_spec}
        for each in found
    ]


def _bodies(message: EmailMessage) -> dict[str, str]:
    bodies: dict[str, str] = {}
    for kind, subtype in (("html", "html"), ("text", "plain")):
        part = message.get_body(preferencelist=(subtype,))
        if part is not None:
            bodies[kind] = _text(part)
    return bodies or {"text": ""}


def _text(part: MIMEPart) -> str:
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):  # a character set nobody knows
        return _content(part).decode(errors="replace")


def _files(message: EmailMessage) -> list[MIMEPart]:
    """Every part that is neither a body nor a container; a mail within the mail is one file."""
    bodies = [message.get_body(preferencelist=(subtype,)) for subtype in ("html", "plain")]
    return [part for part in _leaves(message) if all(part is not body for body in bodies)]


def _leaves(part: MIMEPart) -> Iterator[MIMEPart]:
    if part.get_content_maintype() != "multipart":
        yield part
        return
    for each in part.iter_parts():
        assert isinstance(each, MIMEPart)  # what this policy makes
        yield from _leaves(each)


def _attachment(part: MIMEPart, html: str) -> dict[str, object]:
    ending = "eml" if part.get_content_type() == "message/rfc822" else part.get_content_subtype()
    attachment: dict[str, object] = {
        "name": part.get_filename() or f"attachment.{ending}",
        "content_type": part.get_content_type(),
        "content": base64.b64encode(_content(part)).decode(),
    }
    if content_id := str(part.get("Content-ID", "")).strip().strip("<>"):
        attachment["content_id"] = content_id
        # Not by its disposition: programs name images of the text "attachment", too.
        attachment["inline"] = f"cid:{content_id}" in html
    return attachment


def _content(part: MIMEPart) -> bytes:
    if part.get_content_maintype() == "message":
        within = part.get_payload(0)
        return within.as_bytes() if isinstance(within, MIMEPart) else b""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
