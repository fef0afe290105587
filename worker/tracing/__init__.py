"""Tracing by OpenTelemetry, which is optional: this package alone knows it, and imports it only where it is on."""

import importlib
from collections.abc import Awaitable, Callable

from worker.clock import Clock
from worker.mail.trace import OFF, Tracing
from worker.settings import ConfigurationError, Settings

Stop = Callable[[], Awaitable[None]]


def open_tracing(settings: Settings, worker: str, clock: Clock) -> tuple[Tracing, Stop]:
    """What traces, and what ends it in a few seconds at most. Raises ConfigurationError."""
    if settings.tracing == "off":
        return OFF, _nothing
    try:
        importlib.import_module("opentelemetry.sdk.trace")
        importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise ConfigurationError(
            f"MAILROUTER_TRACING: is on, but OpenTelemetry is not installed: {error}. Remedy: install what "
            "requirements-tracing.lock names (crm-mail-router[tracing]), or set it to off"
        ) from None
    from worker.tracing.provider import start  # noqa: PLC0415 - loads OpenTelemetry

    return start(worker, clock)


async def _nothing() -> None: ...
