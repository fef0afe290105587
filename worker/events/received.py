"""What the CRM is told about a mail that came in, as an event ready to publish."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from worker.events.event import Event, compose, known, moment
from worker.mail.address import Address
from worker.mail.incoming import IncomingMail
from worker.mail.trace import NOWHERE, TraceContext

Kind = Literal["message", "auto-reply", "bounce", "receipt", "meeting"]
Method = Literal["in-reply-to", "references", "tracking-token", "conversation", "none"]

HEADERS: Final = (
    "Authentication-Results",
    "Auto-Submitted",
    "Content-Language",
    "Delivered-To",
    "Disposition-Notification-To",
    "Feedback-ID",
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Organization",
    "Precedence",
    "Return-Path",
    "User-Agent",
    "X-Auto-Response-Suppress",
    "X-Failed-Recipients",
    "X-MS-Exchange-Organization-AuthAs",
    "X-MS-Exchange-Organization-SCL",
    "X-Mailer",
    "X-Original-To",
    "X-Priority",
    "X-Spam-Flag",
    "X-Spam-Score",
    "X-Spam-Status",
)
"""The header fields that are told, each as the first one that stands in the mail: the last server's own."""

_INCOMPLETE: Final = 2000


@dataclass(frozen=True, slots=True)
class Correlation:
    """Which e-mail of the CRM a mail belongs to, and how that is known. `verified`: our own key vouches for it."""

    method: Method = "none"
    email_id: str = ""
    tracking_token: str = ""
    verified: bool = False
    request: str = field(default="", compare=False)
    """Which request of ours, as its Message-ID tells it; not told the CRM."""


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """An attachment as the event carries it: with its content, or with the URL it is kept under. `size` in bytes."""

    name: str
    content_type: str
    size: int
    sha256: str
    content_id: str = ""
    inline: bool = False
    content: bytes | None = field(default=None, repr=False)
    url: str = ""


def received(  # noqa: PLR0913 - what the event tells
    event_id: str,
    mailbox: str,
    mail: IncomingMail,
    *,
    kind: Kind,
    automatic: bool,
    correlation: Correlation,
    files: Sequence[ReceivedFile],
    forwarded_by: Address | None = None,
    context: TraceContext = NOWHERE,
) -> Event:
    """The event of a normalised mail. The same mail gives the same bytes."""
    forwarder = _address(forwarded_by) if forwarded_by else ""
    data: dict[str, object] = {
        "mailbox": mailbox,
        "message_id": mail.message_id,
        "item_id": mail.id,
        "conversation_id": mail.conversation_id,
        "from": _address(mail.from_) if mail.from_ else "",
        "sender": _address(sender) if (sender := mail.sender or mail.from_) else "",
        "to": _addresses(mail.to),
        "cc": _addresses(mail.cc),
        "bcc": _addresses(mail.bcc),
        "reply_to": _addresses(mail.reply_to),
        "body": _body(mail),
        "sent_at": moment(mail.sent_at),
        "received_at": moment(mail.received_at),
        "importance": mail.importance,
        "sensitivity": mail.sensitivity,
        "headers": _headers(mail.headers),
        "in_reply_to": mail.in_reply_to.partition(" ")[0],
        "references": mail.references.split(),
        "attachments": [_file(each) for each in files],
        "kind": kind,
        "automatic": automatic,
        "correlation": known(
            {
                "method": correlation.method,
                "email_id": correlation.email_id,
                "tracking_token": correlation.tracking_token,
                "verified": correlation.verified,
            }
        ),
        "forwarded_by": forwarder,
        "incomplete": mail.incomplete[:_INCOMPLETE],
    }
    # The subject may be empty; everything else is left out then.
    told = {**known(data), "subject": mail.subject}
    return compose(
        "received",
        event_id,
        told,
        subject=mailbox,
        time=mail.received_at or mail.sent_at,
        traceparent=context.traceparent,
        tracestate=context.tracestate,
    )


def _address(address: Address) -> dict[str, object]:
    return known({"address": address.address, "name": address.name})


def _addresses(addresses: Iterable[Address]) -> list[dict[str, object]]:
    return [_address(each) for each in addresses]


def _body(mail: IncomingMail) -> dict[str, str]:
    bodies = {"html": mail.html, "text": mail.text}
    return {form: body for form, body in bodies.items() if body is not None}


def _headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    first: dict[str, str] = {}
    for name, value in headers:
        if value:
            first.setdefault(name, value)
    return {name: first[name] for name in HEADERS if name in first}


def _file(file: ReceivedFile) -> dict[str, object]:
    where = {"url": file.url} if file.url else {"content": base64.b64encode(file.content or b"").decode("ascii")}
    told: dict[str, object] = {
        "name": file.name,
        "content_type": file.content_type,
        "size": file.size,
        "content_id": file.content_id,
        "inline": file.inline,
        "sha256": file.sha256,
    }
    return known(told) | where
