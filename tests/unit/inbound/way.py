"""A mail's whole way from its bytes to the events the CRM gets, as the intake goes it, without an Exchange."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from tests.unit.events.sample import validator
from worker.events.bounced import bounced
from worker.events.event import Event
from worker.events.received import Correlation, Kind, ReceivedFile, received
from worker.inbound.classify import automatic, classify, needs_source
from worker.inbound.correlate import asks_conversation, by_conversation, correlate, is_own
from worker.inbound.identity import event_id
from worker.inbound.mime import parse
from worker.inbound.normalise import normalise
from worker.inbound.report import guess_report, read_report
from worker.mail.incoming import File, IncomingMail, SentCopy
from worker.mail.report import Report

KEY: Final = b"corpus"
RECEIVED_AT: Final = datetime(2026, 11, 23, 9, 0, 4, tzinfo=UTC)
MAILBOX: Final = "anna@contoso.example"
INLINE_BYTES: Final = 64 * 1024
MOST_BYTES: Final = 8 * 2**20

RECEIVED: Final = validator("crm.email.received.v1")
BOUNCED: Final = validator("crm.email.bounced.v1")


@dataclass(frozen=True)
class Way:
    mail: IncomingMail
    kind: Kind
    automatic: bool
    report: Report | None
    correlation: Correlation
    event: Event
    bounces: tuple[Event, ...]

    @property
    def data(self) -> dict[str, Any]:
        data = orjson.loads(self.event.body)["data"]
        assert isinstance(data, dict)
        return data


def way(source: bytes, key: bytes | None = KEY) -> Way:
    given = parse(source, "item-1", RECEIVED_AT)
    return of_mail(given, source if needs_source(given) else b"", key)


def of_mail(given: IncomingMail, source: bytes = b"", key: bytes | None = KEY) -> Way:
    mail = normalise(given)
    report = read_report(source) if source else None
    kind = classify(mail, report)
    if kind == "bounce" and report is None:
        report = guess_report(mail)
    about = replace(mail, in_reply_to=report.original) if report and report.original else mail
    correlation = correlate(about, key=key, prefix="CRM:")
    if asks_conversation(mail, correlation):
        copies = (SentCopy("<a@contoso.example>", "<b@contoso.example>"),)
        assert by_conversation(mail, copies, key=key) == Correlation()
    alone = automatic(mail, kind, own=is_own(mail, key))
    name = event_id(MAILBOX, given)
    event = received(
        name,
        MAILBOX,
        mail,
        kind=kind,
        automatic=alone,
        correlation=correlation,
        files=[_file(each) for each in mail.files],
    )
    return Way(mail, kind, alone, report, correlation, event, tuple(_bounces(name, mail, report, correlation)))


def _bounces(name: str, mail: IncomingMail, report: Report | None, correlation: Correlation) -> Iterator[Event]:
    if report is not None and correlation.email_id:
        for each in report.failures:
            at = mail.received_at
            yield bounced(name, correlation.email_id, MAILBOX, "Incoming", report, each, occurred_at=at)


def holds(way: Way) -> None:
    """What is true of any mail's events."""
    told = orjson.loads(way.event.body)
    RECEIVED.validate(told)
    assert set(told["data"]) <= set(RECEIVED.schema["properties"]["data"]["properties"])  # type: ignore[index]
    assert len(way.event.body) < MOST_BYTES
    assert way.event.routing_key == "email.received"
    for text in texts(told):
        text.encode()
        assert all(each >= " " or each in "\t\n\r" for each in text), text[:100]
    for event in way.bounces:
        BOUNCED.validate(orjson.loads(event.body))
        assert len(event.body) < 16_000
    assert len({event.id for event in way.bounces}) == len(way.bounces)


def texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in texts(each)]


def _file(file: File) -> ReceivedFile:
    content = file.content or b""
    small = len(content) <= INLINE_BYTES
    return ReceivedFile(
        name=file.name,
        content_type=file.content_type,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        content_id=file.content_id,
        inline=file.inline,
        content=content if small else None,
        url="" if small else "file:///var/lib/mailrouter/1",
    )
