"""What belongs to what: trace contexts as they come and go, and the trace that a request and its answers are of."""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from worker.mail.trace import TraceContext

_W3C: Final = TraceContextTextMapPropagator()
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class ChosenIds(RandomIdGenerator):
    """Random ids; for a new trace the one that was chosen, where one was. Spans begin in the event loop only."""

    chosen = 0

    def generate_trace_id(self) -> int:
        return self.chosen or super().generate_trace_id()


def given(context: TraceContext, headers: Mapping[str, object]) -> trace.Span | None:
    """Whose child something is to be: what an event names comes first, then what its message's headers do, as
    instrumentations of AMQP clients write them. None where nothing is named, or nothing of the right form.
    """
    named = TraceContext(_text(headers.get("traceparent")), _text(headers.get("tracestate")))
    return _read(context) or _read(named)


def written(span: trace.Span) -> TraceContext:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, trace.set_span_in_context(span, Context()))
    return TraceContext(carrier.get("traceparent", ""), carrier.get("tracestate", ""))


def trace_id(request: str) -> int:
    """That of a request's own trace, by its digest (`worker.mail.message_id`). 0 for none."""
    try:
        return int.from_bytes(base64.urlsafe_b64decode(request + "==")) if request else 0
    except binascii.Error:
        return 0


def to_answers(request: str) -> Link:
    """To a trace that may be there later; of a span in it nothing is known."""
    chosen = trace_id(request)
    there = SpanContext(chosen, chosen % 2**64 or 1, is_remote=True, trace_flags=_SAMPLED)
    return Link(there, {"mailrouter.link": "answers"})


def _read(context: TraceContext) -> trace.Span | None:
    if not context.traceparent:
        return None
    carrier = {"traceparent": context.traceparent, "tracestate": context.tracestate}
    span = trace.get_current_span(_W3C.extract(carrier, Context()))
    return span if span.get_span_context().is_valid else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
