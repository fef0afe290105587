from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from tests.unit.events.sample import validator
from worker.events import status
from worker.events.event import Event
from worker.events.status import Subject
from worker.mail.outcome import Reason, Scope

AT = datetime(2026, 11, 23, 8, 0, 5, 123456, tzinfo=UTC)
SUBJECT = Subject(
    email_id="mail-1",
    event_id="event-1",
    source="/crm/contoso",
    mailbox="anna@contoso.example",
    profile="Outgoing",
    message_id="<crm.1@contoso.example>",
    attempt=2,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    tracestate="crm=t61rcWkgMzE",
)
REASON = Reason("ErrorServerBusy", Scope.MAILBOX, "Exchange is busy", "wait", "request-1")


def of_each(subject: Subject, reason: Reason = REASON) -> dict[str, Event]:
    unsent = replace(subject, message_id="")
    return {
        "accepted": status.accepted(subject, occurred_at=AT),
        "deferred": status.deferred(unsent, reason, occurred_at=AT, retry_at=AT + timedelta(minutes=5)),
        "failed": status.failed(unsent, reason, occurred_at=AT),
        "unresolved": status.unresolved(subject, reason, occurred_at=AT),
    }


STATES = tuple(of_each(SUBJECT))


def read(event: Event) -> dict[str, Any]:
    body = orjson.loads(event.body)
    assert isinstance(body, dict)
    return body


def assert_by_the_schema(event: Event) -> None:
    """Valid, and without a field that the schema does not know."""
    body = read(event)
    against = validator(body["type"])
    against.validate(body)
    assert isinstance(against.schema, dict)
    properties = against.schema["properties"]
    assert set(body) <= set(properties)
    assert set(body["data"]) <= set(properties["data"]["properties"])


@pytest.mark.parametrize("state", STATES)
def test_each_is_as_its_schema_says(state: str) -> None:
    event = of_each(SUBJECT)[state]
    body = read(event)

    assert_by_the_schema(event)
    assert (event.routing_key, event.id) == (f"email.{state}", body["id"])
    assert body["type"] == f"crm.email.{state}.v1"
    assert (body["source"], body["subject"], body["time"]) == ("/crm-mail-router", "mail-1", "2026-11-23T08:00:05.123Z")
    assert (body["traceparent"], body["tracestate"]) == (SUBJECT.traceparent, SUBJECT.tracestate)


def test_deferred_in_full() -> None:
    assert read(of_each(SUBJECT)["deferred"])["data"] == {
        "email_id": "mail-1",
        "event_id": "event-1",
        "mailbox": "anna@contoso.example",
        "profile": "Outgoing",
        "attempt": 2,
        "occurred_at": "2026-11-23T08:00:05.123Z",
        "retry_at": "2026-11-23T08:05:05.123Z",
        "reason": {
            "code": "ErrorServerBusy",
            "scope": "mailbox",
            "message": "Exchange is busy",
            "remedy": "wait",
            "request_id": "request-1",
        },
    }


def test_failed_for_an_event_of_which_only_the_email_id_is_known() -> None:
    event = status.failed(
        Subject("mail-1", "", ""), Reason("invalid-event", Scope.MESSAGE, "id: is missing"), occurred_at=AT
    )

    assert_by_the_schema(event)
    assert read(event)["data"] == {
        "email_id": "mail-1",
        "attempt": 1,
        "occurred_at": "2026-11-23T08:00:05.123Z",
        "reason": {"code": "invalid-event", "scope": "message", "message": "id: is missing"},
    }


@pytest.mark.parametrize("scope", Scope)
def test_every_scope_is_in_the_schema(scope: Scope) -> None:
    assert_by_the_schema(of_each(SUBJECT, replace(REASON, scope=scope))["failed"])


@pytest.mark.parametrize("state", STATES)
def test_the_same_news_has_the_same_id(state: str) -> None:
    again = replace(
        SUBJECT, mailbox="", profile="", message_id="<other@contoso.example>", traceparent="", tracestate=""
    )

    assert of_each(SUBJECT)[state].id == of_each(again, replace(REASON, message="still busy"))[state].id


def test_other_news_has_another_id() -> None:
    subjects = [
        SUBJECT,
        replace(SUBJECT, event_id="event-2"),
        replace(SUBJECT, source="/crm/fabrikam"),
        replace(SUBJECT, email_id="mail-2"),
        replace(SUBJECT, source="/crm/contosoevent-1", event_id=""),
    ]
    ids = [event.id for subject in subjects for event in of_each(subject).values()]

    assert len(set(ids)) == len(ids)


def test_what_is_said_of_each_attempt_has_an_id_for_each() -> None:
    later = replace(SUBJECT, attempt=3)
    same = {state for state in STATES if of_each(SUBJECT)[state].id == of_each(later)[state].id}

    assert same == {"accepted", "unresolved"}


def test_another_reason_in_the_same_attempt_is_news() -> None:
    other = of_each(SUBJECT, replace(REASON, code="ErrorSendAsDenied"))
    same = {state for state in STATES if of_each(SUBJECT)[state].id == other[state].id}

    assert same == {"accepted", "unresolved"}


def test_times_are_written_in_utc() -> None:
    local = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert read(status.accepted(SUBJECT, occurred_at=local))["data"]["occurred_at"] == "2026-11-23T08:00:05.123Z"


def test_ids_never_change() -> None:
    """A consumer that has the ids of last year must recognise a repeat of today."""
    assert status.accepted(SUBJECT, occurred_at=AT).id == "e33e85fc27a65ea02829ea88d77daa8d"
