"""Mails that come in as spans: those that answer one of ours are of the trace that its Message-ID tells."""

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from tests.simulation.virtual_time import run
from tests.unit.events.sample import validator
from tests.unit.tracing.way import KEY, polled
from worker.mail.incoming import IncomingMail
from worker.mail.message_id import compose, request_of
from worker.mail.stamp import stamp_of
from worker.tracing.context import trace_id

STAMP = stamp_of("/crm", "event-1")
OURS = compose("mail-1", STAMP, "contoso.example", KEY)
FORGED = compose("mail-1", STAMP, "contoso.example", b"another key")
OWN = trace_id(request_of(STAMP))


def mail(in_reply_to: str = "", message_id: str = "<1@customer.example>") -> IncomingMail:
    return IncomingMail("", None, message_id=message_id, in_reply_to=in_reply_to, subject="an answer", text="yes")


def told(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


def test_an_answer_is_of_the_trace_of_what_it_answers() -> None:
    memory, (event,) = run(polled(mail(OURS)))

    received, poll = memory.spans
    assert (received.name, received.kind) == ("publish crm.mail:email.received", SpanKind.PRODUCER)
    assert received.context.trace_id == OWN
    assert told(received, "mailrouter.email_id") == "mail-1"
    assert told(received, "mailrouter.correlation") == "in-reply-to"
    assert [link.context.span_id for link in received.links] == [poll.context.span_id]
    assert event["traceparent"] == f"00-{OWN:032x}-{received.context.span_id:016x}-03"
    validator("crm.email.received.v1").validate({name: value for name, value in event.items() if name != "key"})
    assert (poll.name, told(poll, "mailrouter.published")) == ("poll", 1)
    assert poll.context.trace_id != OWN


def test_other_mail_has_a_trace_of_its_own() -> None:
    memory, events = run(polled(mail(), mail(FORGED, "<2@customer.example>")))

    traces = {span.context.trace_id for span in memory.spans}
    assert len(traces) == 3  # with that of the poll
    assert OWN not in traces
    assert len(events) == 2


def test_nothing_a_mail_says_is_told() -> None:
    memory, _ = run(polled(mail(OURS)))

    everything = "".join(span.to_json() for span in memory.spans)
    assert not [each for each in ("an answer", "yes", "user0@", "customer.example") if each in everything]


def test_a_poll_that_finds_nothing_leaves_nothing() -> None:
    memory, _ = run(polled())

    assert memory.spans == ()


def test_a_poll_that_fails() -> None:
    memory, _ = run(polled(mail(), denied=True))

    (poll,) = memory.spans
    assert (told(poll, "mailrouter.outcome"), told(poll, "error.type")) == ("failed", "ErrorAccessDenied")
