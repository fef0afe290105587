"""What OpenTelemetry has to complain about: a line in our log, once a minute at most, without tracebacks."""

import logging
from typing import Final

import structlog

from worker.clock import Clock

EVERY_SECONDS: Final = 60.0
_OF_HEADERS: Final = "opentelemetry.util.re"
"""Repeats what it cannot read of OTEL_EXPORTER_OTLP_HEADERS: a token, as a rule."""

_log = structlog.get_logger("tracing")


def tell_seldom(clock: Clock) -> None:
    """From now on, for all of its loggers."""
    library = logging.getLogger("opentelemetry")
    library.handlers = [Seldom(clock)]
    library.propagate = False


class Seldom(logging.Handler):
    """Its threads come in here one at a time. What comes in between is counted."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._next = float("-inf")
        self._passed_over = 0

    def emit(self, record: logging.LogRecord) -> None:
        now = self._clock.monotonic()
        if now < self._next:
            self._passed_over += 1
            return
        _log.warning("tracing has trouble, mail has none", cause=told(record), passed_over=self._passed_over)
        self._next, self._passed_over = now + EVERY_SECONDS, 0


def told(record: logging.LogRecord) -> str:
    cause = str(record.msg).replace("%s", "...") if record.name == _OF_HEADERS else record.getMessage()
    return f"{cause} {record.exc_info[1]}" if record.exc_info and record.exc_info[1] else cause
