"""A process that starts, works until it is told to stop, and stops within a bound."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

END_SECONDS: Final = 7.0
"""More than closing the connection to a broker that takes nothing (six seconds); than an upload that is broken off and
the end of a scheduler's term (five each, at the same time). With two for tracing it is less than the ten seconds that a
worker is given beyond `shutdown_seconds` before it is killed.
"""

_log = structlog.get_logger("service")


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set. Only the first one of each counts: stopping is bounded anyway."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopping.set)
    return stopping


def hang_up_on_signal() -> asyncio.Event:
    """An event that SIGHUP sets, which would end the process otherwise."""
    hang_up = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up.set)
    return hang_up


async def either(*waits: Coroutine[Any, Any, Any]) -> None:
    """Return when the first of these has ended; the others are cancelled. What the first raised is not told."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what still runs, and wait until it has ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def serve(
    work: Coroutine[None, None, None],
    stop: Callable[[], None],
    *,
    stopping: asyncio.Event,
    shutdown_seconds: float,
) -> None:
    """Do `work` until `stopping` is set; then ask it to `stop`, and cancel what has not ended within the bound. What
    takes longer than `END_SECONDS` over being cancelled is left behind.

    Work that ends by itself ends the service, and what it raises comes out here.
    """
    task = asyncio.create_task(work)
    told = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((task, told), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            _log.info("stopping", shutdown_seconds=shutdown_seconds)
            stop()
            await asyncio.wait((task,), timeout=shutdown_seconds)
        if not task.done():
            _log.warning("stopped before all work had ended; the broker gives it to another worker")
            return
        await task
    finally:
        for each in (task, told):
            each.cancel()
        await asyncio.wait((asyncio.gather(task, told, return_exceptions=True),), timeout=END_SECONDS)
