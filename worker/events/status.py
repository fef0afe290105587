"""What the CRM is told about a request it made."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from worker.events.event import Event, compose, derived, known, moment, told
from worker.mail.outcome import Reason

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
    tracestate: str = ""


def accepted(subject: Subject, *, occurred_at: datetime) -> Event:
    """Exchange has taken the mail."""
    return _event("accepted", subject, occurred_at)


def deferred(subject: Subject, reason: Reason, *, occurred_at: datetime, retry_at: datetime) -> Event:
    """Not sent yet; tried again at `retry_at`."""
    return _event("deferred", subject, occurred_at, reason=reason, retry_at=retry_at)


def failed(subject: Subject, reason: Reason, *, occurred_at: datetime) -> Event:
    """Not sent, and nothing more will be tried."""
    return _event("failed", subject, occurred_at, reason=reason)


def unresolved(subject: Subject, reason: Reason, *, occurred_at: datetime) -> Event:
    """Nobody can tell whether it left: a person must look."""
    return _event("unresolved", subject, occurred_at, reason=reason)


def _event(
    state: str,
    subject: Subject,
    occurred_at: datetime,
    *,
    reason: Reason | None = None,
    retry_at: datetime | None = None,
) -> Event:
    data = {
        "email_id": subject.email_id,
        "event_id": subject.event_id,
        "mailbox": subject.mailbox,
        "profile": subject.profile,
        "message_id": subject.message_id,
        "attempt": subject.attempt,
        "occurred_at": moment(occurred_at),
        "retry_at": moment(retry_at),
        "reason": told(reason) if reason else "",
    }
    return compose(
        state,
        _id(state, subject, reason),
        known(data),
        subject=subject.email_id,
        time=occurred_at,
        traceparent=subject.traceparent,
        tracestate=subject.tracestate,
    )


def _id(state: str, subject: Subject, reason: Reason | None) -> str:
    """The same for the same news however often it is published, so that a consumer can drop repeats.

    Another reason is other news, except where a request has but one end of the kind. The e-mail's id is in it for
    invalid events, of whose source and id nothing may be known.
    """
    which: tuple[object, ...] = (0,) if state in _ONCE else (subject.attempt, reason.code if reason else "")
    return derived(subject.source, subject.event_id, subject.email_id, state, *which)
