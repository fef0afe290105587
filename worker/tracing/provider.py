"""Where spans go: by OTLP over HTTP, from a queue of bounded length, in a thread of its own.

OpenTelemetry's own variables say where to, how many and which (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_BSP_...`,
`OTEL_TRACES_SAMPLER`); its SDK reads them.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from worker import __version__
from worker.clock import Clock
from worker.mail.trace import Tracing
from worker.settings import ConfigurationError
from worker.tracing.context import ChosenIds
from worker.tracing.spans import Spans
from worker.tracing.trouble import tell_seldom

FLUSH_SECONDS: Final = 2.0
"""How long the spans that are left may hold up the end of a worker."""

_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL: Final = "http/protobuf"

_log = structlog.get_logger("tracing")


def start(worker: str, clock: Clock) -> tuple[Tracing, Callable[[], Awaitable[None]]]:
    """`worker` is the name of this one among the fleet. Raises ConfigurationError."""
    variable = next((each for each in _PROTOCOLS if os.environ.get(each)), "")
    if variable and os.environ[variable] != _PROTOCOL:
        raise ConfigurationError(
            f"{variable}: spans go by {_PROTOCOL} only. Remedy: set it to that, and OTEL_EXPORTER_OTLP_ENDPOINT to "
            "the collector's port for it, 4318 as a rule"
        )
    tell_seldom(clock)
    ids = ChosenIds()
    try:
        provider = TracerProvider(resource=_resource(worker), id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except (ValueError, RuntimeError, ImportError) as error:
        raise ConfigurationError(
            f"MAILROUTER_TRACING: OpenTelemetry does not take its settings: {error}. Remedy: correct the variables "
            "that begin with OTEL_"
        ) from None

    async def stop() -> None:
        await _within(FLUSH_SECONDS, provider.shutdown)

    return Spans(provider.get_tracer("crm-mail-router", __version__), ids, clock), stop


def _resource(worker: str) -> Resource:
    """Who it is that traces; what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes first."""
    ours = {"service.name": "crm-mail-router", "service.version": __version__, "service.instance.id": worker}
    return Resource.create(ours).merge(OTELResourceDetector().detect())


async def _within(seconds: float, work: Callable[[], None]) -> None:
    """In a thread that the process does not wait for."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        work()
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="tracing-stop", daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            await done.wait()
    except TimeoutError:
        _log.warning("spans left behind at the end", seconds=seconds)
