"""The way of a request as spans: what belongs to what, what is told of it, and what never is."""

import orjson
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from tests.unit.outbound.build import DEFERRED, REASON
from tests.unit.outbound.fakes import FakeMailbox
from tests.unit.tracing.way import BODY, KEY, SUBJECT, Desks
from worker.mail.message_id import compose, read, request_of
from worker.mail.outcome import Rejected
from worker.mail.stamp import stamp_of
from worker.mail.trace import NOWHERE, TraceContext
from worker.tracing.context import trace_id

TRACE, PARENT = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OWN = trace_id(request_of(stamp_of("/crm", "event-1")))


def context_of(event: dict[str, str]) -> tuple[int, int, str]:
    _, trace, span, flags = event["traceparent"].split("-")
    return int(trace, 16), int(span, 16), flags


def names(spans: list[ReadableSpan]) -> list[str]:
    return [span.name for span in spans]


def told(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


def mailbox(desks: Desks) -> FakeMailbox:
    return desks.transport.mailboxes.setdefault("anna@contoso.example", FakeMailbox(desks.journal))


async def test_the_crms_trace_goes_on_through_every_step_to_the_status() -> None:
    desks = Desks()
    await desks.take(desks.delivery(traceparent=GIVEN, tracestate="crm=1"))

    (process,) = desks.process()
    assert (process.name, process.kind) == ("process crm.mail.outbound", SpanKind.CONSUMER)
    assert process.parent is not None
    assert (process.context.trace_id, process.parent.span_id) == (TRACE, PARENT)
    steps = desks.steps(process)
    assert names(steps) == ["draft", "look", "send", "settle"]
    assert [told(step, "mailrouter.outcome") for step in steps] == ["drafted", "one draft", "delivered", "accepted"]
    assert {step.context.trace_id for step in steps} == {TRACE}
    ends = [
        process.start_time,
        *(each for step in steps for each in (step.start_time, step.end_time)),
        process.end_time,
    ]
    assert ends == sorted(ends, key=lambda each: each or 0)
    (status,) = desks.statuses
    assert context_of(status) == (TRACE, process.context.span_id, "01")
    assert status["tracestate"] == "crm=1"
    assert desks.broker.contexts == [TraceContext(status["traceparent"], "crm=1")], "and in the message's headers"


async def test_what_is_told_of_it() -> None:
    desks = Desks()
    await desks.take(desks.delivery(traceparent=GIVEN))

    (process,) = desks.process()
    assert process.attributes == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "crm.mail.outbound",
        "messaging.message.id": "event-1",
        "mailrouter.email_id": "mail-1",
        "mailrouter.mailbox.domain": "contoso.example",
        "mailrouter.profile": "Out",
        "mailrouter.attempt": 1,
        "mailrouter.outcome": "accepted",
    }
    assert process.status.status_code is StatusCode.UNSET


async def test_nothing_a_mail_says_is_told() -> None:
    desks = Desks()
    mailbox(desks).draft_script = [Rejected(REASON)]
    await desks.take(desks.delivery(traceparent=GIVEN), desks.delivery("event-2"))

    everything = orjson.dumps([orjson.loads(span.to_json()) for span in desks.memory.spans]).decode()
    for secret in (SUBJECT, BODY, "xaver", "anna", REASON.message):
        assert secret not in everything


async def test_without_a_parent_the_trace_is_the_one_that_an_answer_names() -> None:
    desks = Desks()
    await desks.take(desks.delivery())

    (process,) = desks.process()
    assert process.parent is None
    assert process.links == ()
    origin = read(compose("mail-1", stamp_of("/crm", "event-1"), "contoso.example", KEY), KEY)
    assert origin is not None
    assert process.context.trace_id == trace_id(origin.request) == OWN
    assert context_of(desks.statuses[0])[:2] == (OWN, process.context.span_id)


async def test_with_a_parent_a_link_leads_to_where_answers_will_be() -> None:
    desks = Desks()
    await desks.take(desks.delivery(traceparent=GIVEN))

    (process,) = desks.process()
    (link,) = process.links
    assert link.context.trace_id == OWN


async def test_a_parent_in_the_headers_of_the_message() -> None:
    desks = Desks()
    await desks.take(desks.delivery(headers={"traceparent": GIVEN.encode(), "tracestate": "a=b"}))

    (process,) = desks.process()
    assert (process.context.trace_id, dict(process.context.trace_state)) == (TRACE, {"a": "b"})


async def test_the_events_own_parent_comes_first() -> None:
    desks = Desks()
    await desks.take(desks.delivery(traceparent=GIVEN, headers={"traceparent": GIVEN.replace("0af7", "ffff")}))

    assert {span.context.trace_id for span in desks.memory.spans} == {TRACE}


async def test_headers_of_any_kind_do_no_harm() -> None:
    for value in (b"\xff", "00-xyz-01", 7, None, ["00"], f"00-{'0' * 32}-{'0' * 16}-01"):
        desks = Desks()
        await desks.take(desks.delivery(headers={"traceparent": value, "tracestate": value}))
        (process,) = desks.process()
        assert process.context.trace_id == OWN


async def test_a_retry_is_of_the_same_trace() -> None:
    desks = Desks()
    mailbox(desks).draft_script = [DEFERRED]
    await desks.take(desks.delivery(traceparent=GIVEN))
    ((_, headers, _),) = desks.journal.of("park")
    await desks.take(desks.delivery(traceparent=GIVEN, headers=headers))

    first, second = desks.process()
    assert [span.parent and span.parent.span_id for span in (first, second)] == [PARENT, PARENT]
    assert [told(span, "mailrouter.attempt") for span in (first, second)] == [1, 2]
    assert told(first, "mailrouter.outcome") == "deferred"
    assert told(first, "mailrouter.reason.code") == DEFERRED.reason.code
    assert first.status.status_code is StatusCode.UNSET
    assert [context_of(status)[:2] for status in desks.statuses] == [
        (TRACE, first.context.span_id),
        (TRACE, second.context.span_id),
    ]


async def test_what_failed_is_an_error_with_its_code() -> None:
    desks = Desks()
    mailbox(desks).draft_script = [Rejected(REASON)]
    await desks.take(desks.delivery(traceparent=GIVEN))

    (process,) = desks.process()
    assert process.status.status_code is StatusCode.ERROR
    assert (told(process, "mailrouter.outcome"), told(process, "error.type")) == ("failed", REASON.code)
    (draft, look, settle) = desks.steps(process)
    assert (told(draft, "mailrouter.outcome"), told(draft, "mailrouter.reason.code")) == ("rejected", REASON.code)
    assert told(look, "mailrouter.outcome") == "nothing"
    assert told(settle, "mailrouter.outcome") == "failed"


async def test_mails_of_one_batch_have_their_own_steps() -> None:
    desks = Desks()
    await desks.take(*(desks.delivery(f"event-{number}") for number in range(3)))

    assert [len(stamps) for _, stamps in desks.journal.of("draft")] == [3]
    assert len(desks.process()) == 3
    for process in desks.process():
        draft, *_ = steps = desks.steps(process)
        assert names(steps) == ["draft", "look", "send", "settle"]
        assert told(draft, "mailrouter.mails") == 3


async def test_a_request_that_came_twice_is_one_and_the_other_points_to_it() -> None:
    desks = Desks()
    await desks.take(desks.delivery(), desks.delivery())

    joined, process = desks.process()
    assert (told(joined, "mailrouter.outcome"), told(process, "mailrouter.outcome")) == ("joined", "accepted")
    assert [link.context.span_id for link in joined.links] == [process.context.span_id]
    assert desks.steps(joined) == []


async def test_what_the_crm_does_not_sample_is_not_kept_but_goes_on() -> None:
    desks = Desks()
    await desks.take(desks.delivery(traceparent=GIVEN[:-2] + "00"))

    assert desks.memory.spans == ()
    trace, _, flags = context_of(desks.statuses[0])
    assert (trace, flags) == (TRACE, "00")


async def test_of_a_campaign() -> None:
    desks = Desks()
    delivery = desks.delivery()
    delivery.bulk = True
    await desks.take(delivery)

    assert names(desks.process()) == ["process crm.mail.outbound.bulk"]


async def test_off_the_crms_own_context_is_in_the_status() -> None:
    desks = Desks(traced=False)
    await desks.take(desks.delivery(traceparent=GIVEN, tracestate="crm=1", headers={"traceparent": "00-1"}))

    (status,) = desks.statuses
    assert (status["traceparent"], "tracestate" in status) == (GIVEN, False)
    assert desks.broker.contexts == [NOWHERE]
    assert desks.memory.spans == ()
