"""What the CRM is told about a request, as events ready to publish: CloudEvents 1.0 in structured JSON.

What is not known is left out; no field is ever null. `schemas/events/` holds the schema of each.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from worker.clock import rfc3339
from worker.mail.outcome import Reason

SOURCE: Final = "/crm-mail-router"

_ONCE: Final = frozenset({"accepted", "unresolved"})
"""What is said of a request once, whichever attempt it was."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a status is about. Whatever is "" is not known, as much of an invalid event is not.

    `source` is the request's own, not ours. `message_id` is the one the mail left with, or may have left with.
    `attempt` counts from 1, the one under way included.
    """

    email_id: str
    event_id: str
    source: str
    mailbox: str = ""
    profile: str = ""
    message_id: str = ""
    attempt: int = 1
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class StatusEvent:
    routing_key: str
    id: str
    body: bytes


def accepted(subject: Subject, *, occurred_at: datetime) -> StatusEvent:
    """Exchange has taken the mail."""
    return _event("accepted", subject, occurred_at)


def deferred(subject: Subject, reason: Reason, *, occurred_at: datetime, retry_at: datetime) -> StatusEvent:
    """Not sent yet; tried again at `retry_at`."""
    return _event("deferred", subject, occurred_at, reason=reason, retry_at=retry_at)


def failed(subject: Subject, reason: Reason, *, occurred_at: datetime) -> StatusEvent:
    """Not sent, and nothing more will be tried."""
    return _event("failed", subject, occurred_at, reason=reason)


def unresolved(subject: Subject, reason: Reason, *, occurred_at: datetime) -> StatusEvent:
    """Nobody can tell whether it left: a person must look."""
    return _event("unresolved", subject, occurred_at, reason=reason)


def _event(
    state: str,
    subject: Subject,
    occurred_at: datetime,
    *,
    reason: Reason | None = None,
    retry_at: datetime | None = None,
) -> StatusEvent:
    moment = rfc3339(occurred_at)
    data = {
        "email_id": subject.email_id,
        "event_id": subject.event_id,
        "mailbox": subject.mailbox,
        "profile": subject.profile,
        "message_id": subject.message_id,
        "attempt": subject.attempt,
        "occurred_at": moment,
        "retry_at": rfc3339(retry_at) if retry_at else "",
        "reason": _reason(reason) if reason else "",
    }
    event_id = _id(state, subject, reason)
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": f"crm.email.{state}.v1",
        "subject": subject.email_id,
        "time": moment,
        "datacontenttype": "application/json",
        "traceparent": subject.traceparent,
        "data": _known(data),
    }
    return StatusEvent(f"email.{state}", event_id, orjson.dumps(_known(event)))


def _id(state: str, subject: Subject, reason: Reason | None) -> str:
    """The same for the same news however often it is published, so that a consumer can drop repeats.

    Another reason is other news, except where a request has but one end of the kind. The e-mail's id is in it for
    invalid events, of whose source and id nothing may be known.
    """
    which: tuple[object, ...] = (0,) if state in _ONCE else (subject.attempt, reason.code if reason else "")
    parts = (subject.source, subject.event_id, subject.email_id, state, *which)
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]


def _reason(reason: Reason) -> dict[str, object]:
    return _known(
        {
            "code": reason.code,
            "scope": reason.scope.value,
            "message": reason.message,
            "remedy": reason.remedy,
            "request_id": reason.request_id,
        }
    )


def _known(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value != ""}
