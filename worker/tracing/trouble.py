"""What OpenTelemetry has to complain about: a line in our log, once a minute at most, without tracebacks."""

import logging
from typing import Final

import structlog

from worker.clock import Clock

EVERY_SECONDS: Final = 60.0

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
        cause = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            cause = f"{cause} {record.exc_info[1]}"
        _log.warning("tracing has trouble, mail has none", cause=cause, passed_over=self._passed_over)
        self._next, self._passed_over = now + EVERY_SECONDS, 0
