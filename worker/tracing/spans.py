"""The port `worker.mail.trace` by OpenTelemetry. Names and attributes follow its conventions for messaging where these
fit; what is ours begins with `mailrouter.`. No attribute holds an address or anything else a mail says.

Parents are named, never implied: several mails go through one call. A request whose event belongs to no trace begins
one, and so does a mail that comes in. The id of such a trace is the digest of the request in the Message-ID of its
mail: an answer brings it back, so both are of one trace although nobody remembers anything. Where the CRM has a trace
of its own, the span of its request has a link to where answers will be.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from worker.clock import Clock
from worker.mail.message_id import request_of
from worker.mail.outcome import Deferred, Reason, Rejected, Unknown
from worker.mail.stamp import Stamp
from worker.mail.trace import OFF, MailSpan, Step, TraceContext
from worker.mail.transport import Sight
from worker.tracing.context import ChosenIds, given, to_answers, trace_id, written

QUEUE: Final = "crm.mail.outbound"
BULK: Final = "crm.mail.outbound.bulk"
RECEIVED: Final = "crm.mail:email.received"

_WRONG: Final = frozenset({"failed", "unresolved", "abandoned", "unsettled"})
"""Outcomes that a span is an error for. A deferral is none yet."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Attributes = dict[str, str | int]


class Spans:
    """Begins them, each under what is named as its parent, or as the first of a trace."""

    def __init__(self, tracer: trace.Tracer, ids: ChosenIds, clock: Clock) -> None:
        self._tracer = tracer
        self._ids = ids
        self._clock = clock

    def send(  # noqa: PLR0913 - the port's
        self,
        parent: TraceContext,
        headers: Mapping[str, object],
        *,
        stamp: Stamp,
        event_id: str,
        email_id: str,
        sender: str,
        profile: str,
        attempt: int,
        bulk: bool,
    ) -> "Span":
        request, above, queue = request_of(stamp), given(parent, headers), BULK if bulk else QUEUE
        attributes: Attributes = {
            **_messaging("process", "process", queue),
            "messaging.message.id": event_id,
            "mailrouter.email_id": email_id,
            "mailrouter.mailbox.domain": _domain(sender),
            "mailrouter.profile": profile,
            "mailrouter.attempt": attempt,
        }
        links, name = [to_answers(request)] if above else [], f"process {queue}"
        return self.begin(name, SpanKind.CONSUMER, attributes, above=above, request=request, links=links)

    def poll(self, mailbox: str, profile: str) -> "Poll":
        attributes: Attributes = {"mailrouter.mailbox.domain": _domain(mailbox), "mailrouter.profile": profile}
        return Poll(self, self.begin("poll", SpanKind.INTERNAL, attributes))

    def receive(self, attributes: Attributes, *, request: str, since: datetime, poll: trace.Span) -> "Span":
        attributes = {**_messaging("publish", "send", RECEIVED), **attributes}
        links, name = [Link(poll.get_span_context())], f"publish {RECEIVED}"
        return self.begin(name, SpanKind.PRODUCER, attributes, request=request, links=links, since=since)

    def begin(  # noqa: PLR0913 - what OpenTelemetry asks
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        above: trace.Span | None = None,
        request: str = "",
        links: Sequence[Link] = (),
        since: datetime | None = None,
    ) -> "Span":
        """`request`: of which request the trace is that this begins, where it begins one."""
        self._ids.chosen = trace_id(request)
        context = trace.set_span_in_context(above, Context()) if above else Context()
        start_time = _nanoseconds(since) if since else self.now()
        return Span(self, self._tracer.start_span(name, context, kind, _known(attributes), links, start_time))

    def now(self) -> int:
        return _nanoseconds(self._clock.now())


class Span:
    """A mail's, a poll's, or that of a step."""

    def __init__(self, spans: Spans, span: trace.Span) -> None:
        self._spans = spans
        self.inner = span

    @property
    def context(self) -> TraceContext:
        return written(self.inner)

    def step(self, name: str, mails: int) -> Step:
        if not self.inner.is_recording():  # the sampler does not want it
            return OFF
        return _Step(self._spans.begin(name, SpanKind.INTERNAL, {"mailrouter.mails": mails}, above=self.inner))

    def join(self, other: MailSpan) -> None:
        if isinstance(other, Span):
            other.inner.add_link(self.inner.get_span_context())
        other.end("joined")

    def end(self, outcome: str, reason: Reason | None = None) -> None:
        code = reason.code if reason else ""
        if outcome in _WRONG:
            self.inner.set_attribute("error.type", code or outcome)
            self.inner.set_status(Status(StatusCode.ERROR))
        self.close({"mailrouter.outcome": outcome, "mailrouter.reason.code": code})

    def close(self, attributes: Attributes) -> None:
        self.inner.set_attributes(_known(attributes))
        self.inner.end(self._spans.now())


class _Step:
    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, outcome: object) -> None:
        name, code = _told(outcome)
        self._span.close({"mailrouter.outcome": name, "mailrouter.reason.code": code})


class Poll:
    """Kept of it is one that found something, or failed: most find nothing."""

    def __init__(self, spans: Spans, span: Span) -> None:
        self._spans = spans
        self._span = span

    def receive(  # noqa: PLR0913 - the port's
        self, *, since: datetime, email_id: str, request: str, kind: str, method: str, profile: str
    ) -> MailSpan:
        attributes: Attributes = {
            "mailrouter.email_id": email_id,
            "mailrouter.kind": kind,
            "mailrouter.correlation": method,
            "mailrouter.profile": profile,
        }
        return self._spans.receive(attributes, request=request, since=since, poll=self._span.inner)

    def end(self, published: int, reason: Reason | None) -> None:
        if published or reason:
            self._span.inner.set_attribute("mailrouter.published", published)
            self._span.end("failed" if reason else "ok", reason)


def _messaging(name: str, kind: str, destination: str) -> Attributes:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "messaging.destination.name": destination,
    }


def _told(outcome: object) -> tuple[str, str]:
    """In a word what came of a step, and the code of the reason where there is one."""
    match outcome:
        case None:
            return "", ""
        case str():
            return outcome, ""
        case Deferred(reason) | Rejected(reason) | Unknown(reason):
            return type(outcome).__name__.lower(), reason.code
        case Sight() if outcome.has_left:
            return "left", ""
        case Sight(live=live):
            return ("nothing", "one draft", "several drafts")[min(len(live), 2)], ""
        case _:
            return type(outcome).__name__.lower(), ""


def _known(attributes: Attributes) -> Attributes:
    return {name: value for name, value in attributes.items() if value != ""}


def _domain(address: str) -> str:
    return address.rpartition("@")[2].casefold()


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
