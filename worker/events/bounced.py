"""What the CRM is told about a mail of its own that came back."""

from datetime import datetime

from worker.events.event import Event, compose, derived, known, moment, told
from worker.mail.report import Failure, Report
from worker.mail.trace import NOWHERE, TraceContext


def bounced(  # noqa: PLR0913, PLR0917 - what the event tells
    report_id: str,
    email_id: str,
    mailbox: str,
    profile: str,
    report: Report,
    failure: Failure,
    *,
    occurred_at: datetime | None,
    context: TraceContext = NOWHERE,
) -> Event:
    """The mail did not reach one of its recipients. `report_id` is the id of the event of the report's own mail."""
    data = {
        "email_id": email_id,
        "mailbox": mailbox,
        "profile": profile,
        "message_id": report.message_id,
        "recipient": failure.recipient,
        "occurred_at": moment(occurred_at),
        "reason": told(failure.reason),
    }
    event_id = derived(report_id, email_id, "bounced", failure.recipient.casefold())
    return compose(
        "bounced",
        event_id,
        known(data),
        subject=email_id,
        time=occurred_at,
        traceparent=context.traceparent,
        tracestate=context.tracestate,
    )
