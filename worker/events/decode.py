"""From the bytes of a delivery to a request to send mail, or to what is wrong with them. Nothing here ever raises."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from worker.events import envelope, faults, models
from worker.mail.address import Address
from worker.mail.message import Attachment, Importance, Link, Sensitivity
from worker.mail.stamp import Stamp, stamp_of

_AHEAD: Final = timedelta(hours=1)
"""How far a publisher's clock may be ahead of ours."""

_READ_BYTES: Final = 16 * 2**20
"""So much is read of an event that is too large, to tell whose it is: what RabbitMQ 4 takes at most by default."""

_ENDLESS: Final = timedelta(days=366)
"""An expiry later than this after the event's time is none: the horizon ends a request long before."""

_IDENTIFIER: Final = re.compile(models.IDENTIFIER)
_ADDRESS: Final = re.compile(models.ADDRESS)
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_TRACESTATE: Final = re.compile(r"[ -~]{1,512}")


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A checked `crm.email.send.v1`. Times are aware and in UTC; a text that may be absent is "" then.

    Its repr leaves out what the mail says, so that no log ever does.
    """

    source: str
    event_id: str
    time: datetime
    email_id: str
    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str = field(repr=False)
    html: str | None = field(repr=False)
    text: str | None = field(repr=False)
    importance: Importance
    sensitivity: Sensitivity
    request_read_receipt: bool
    request_delivery_receipt: bool
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    in_reply_to: str
    references: tuple[str, ...]
    tracking_token: str
    attachments: tuple[Attachment, ...] = field(repr=False)
    send_after: datetime | None
    expires_at: datetime | None
    traceparent: str
    tracestate: str

    @property
    def stamp(self) -> Stamp:
        return stamp_of(self.source, self.event_id)


@dataclass(frozen=True, slots=True)
class Invalid:
    """What is wrong with an event: the field ("" for the event as a whole) and a sentence that goes on from its name.

    Neither repeats anything the event holds. The rest is what could be read of where it came from, "" otherwise.
    """

    field: str
    message: str
    email_id: str = ""
    source: str = ""
    event_id: str = ""
    mailbox: str = ""


def decode(  # noqa: PLR0913 - what a delivery brings, and by what it is judged
    body: bytes,
    content_type: str,
    headers: Mapping[str, object],
    *,
    now: datetime,
    max_bytes: int,
    horizon_days: float,
) -> SendRequest | Invalid:
    """Whatever the bytes are. An event older than the horizon is not invalid: what becomes of it, the flow decides."""
    too_large = f"the event is {len(body)} bytes long; the limit is {max_bytes} bytes"
    if len(body) > max(max_bytes, _READ_BYTES):
        return Invalid("", too_large)
    raw = envelope.read(body, content_type, headers)
    if isinstance(raw, str):
        return _invalid(envelope.guess(body, headers), "", raw)
    if len(body) > max_bytes:
        return _invalid(raw, "", too_large)
    try:
        event = models.SendEvent.model_validate(raw)
    except ValidationError as error:
        return _invalid(raw, *faults.first(error))
    fault = _fault_across_fields(event, now, timedelta(days=horizon_days))
    return _invalid(raw, *fault) if fault else _request(event)


def _fault_across_fields(event: models.SendEvent, now: datetime, horizon: timedelta) -> tuple[str, str] | None:
    data = event.data
    recipients = len(data.to or ()) + len(data.cc or ()) + len(data.bcc or ())
    if not recipients:
        return "data.to", "is without recipients, and so are cc and bcc: at least one is needed"
    if recipients > models.RECIPIENTS:
        return "data.to", f"with cc and bcc has {recipients} recipients; at most {models.RECIPIENTS} are possible"
    if event.time - now > _AHEAD:
        return "time", "is more than an hour ahead: one of the clocks is wrong"
    if data.send_after is not None and data.send_after - event.time > horizon:
        return "data.send_after", f"is more than {horizon.total_seconds() / 86400:g} days after the event's time"
    return None


def _request(event: models.SendEvent) -> SendRequest:
    data = event.data
    expires_at = data.expires_at
    if expires_at is not None and expires_at - event.time > _ENDLESS:
        expires_at = None
    return SendRequest(
        source=event.source,
        event_id=event.id,
        time=event.time,
        email_id=data.email_id,
        sender=Address(data.sender.address, data.sender.name or ""),
        to=_addresses(data.to),
        cc=_addresses(data.cc),
        bcc=_addresses(data.bcc),
        reply_to=_addresses(data.reply_to),
        subject=data.subject,
        html=data.body.html,
        text=data.body.text,
        importance=data.importance or "normal",
        sensitivity=data.sensitivity or "normal",
        request_read_receipt=data.request_read_receipt or False,
        request_delivery_receipt=data.request_delivery_receipt or False,
        headers=tuple((data.headers or {}).items()),
        in_reply_to=data.in_reply_to or "",
        references=tuple(data.references or ()),
        tracking_token=data.tracking_token or "",
        attachments=tuple(map(_attachment, data.attachments or ())),
        send_after=data.send_after,
        expires_at=expires_at,
        traceparent=_text(event.traceparent, _TRACEPARENT),
        tracestate=_text(event.tracestate, _TRACESTATE),
    )


def _addresses(mailboxes: Sequence[models.Mailbox] | None) -> tuple[Address, ...]:
    return tuple([Address(each.address, each.name or "") for each in mailboxes or ()])


def _attachment(file: models.File) -> Attachment:
    return Attachment(
        name=file.name,
        content_type=file.content_type or "application/octet-stream",
        content=Link(file.url, file.size, file.sha256 or "") if file.url else (file.content or "").encode("ascii"),
        content_id=file.content_id or "",
        inline=file.inline or False,
    )


def _invalid(raw: Mapping[str, object], where: str, message: str) -> Invalid:
    data = _mapping(raw.get("data"))
    return Invalid(
        where,
        message,
        email_id=_text(data.get("email_id"), _IDENTIFIER),
        source=_text(raw.get("source"), _IDENTIFIER),
        event_id=_text(raw.get("id"), _IDENTIFIER),
        mailbox=_text(_mapping(data.get("from")).get("address"), _ADDRESS, 320),
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object, pattern: re.Pattern[str], longest: int = 1024) -> str:
    """The value if it is a text of that pattern and length, else ""."""
    if isinstance(value, str) and len(value) <= longest and pattern.fullmatch(value):
        return value
    return ""
