"""Time and chance come in through here, wherever they decide anything: dates, pauses, turns, schedules, jitter.

That is what lets several whole workers run in one event loop under a controlled clock (`tests/simulation`). How long
something may take is bounded by the loop's own time (`asyncio.timeout`, and what `worker/rabbitmq` waits for), which
such a loop controls as well. What is drawn elsewhere (`uuid4`) is a name, and nothing is decided by it.
"""

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall-clock time, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards; for measuring, never for dates."""

    async def sleep(self, seconds: float) -> None: ...

    def jitter(self) -> float:
        """A random number in [0, 1), to keep workers from acting in step."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def jitter(self) -> float:
        return random.random()  # noqa: S311 - spreads load, guards nothing


def rfc3339(moment: datetime) -> str:
    """UTC with milliseconds, as every event of ours writes a time: `2026-11-23T08:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
