"""An event loop whose time is virtual: when nothing is ready, it jumps to the next timer. Hours pass in milliseconds.

Nothing in such a loop may wait for the outside: no sockets, no threads, no processes.
"""

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

Result = TypeVar("Result")
EPOCH = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)


class _Jump(selectors.BaseSelector):
    """Stands in for the waiting: instead of blocking for a while, it lets that while have passed."""

    def __init__(self, inner: selectors.BaseSelector, advance: Callable[[float], None]) -> None:
        self._inner = inner
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits for something that can never happen")
        self._advance(timeout)
        return self._inner.select(0)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def get_map(self) -> Any:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual_seconds = 0.0
        super().__init__(_Jump(selectors.DefaultSelector(), self._pass))

    def time(self) -> float:
        return self._virtual_seconds

    def _pass(self, seconds: float) -> None:
        self._virtual_seconds += max(0.0, seconds)


class VirtualClock:
    """The product's clock port in virtual time. `skew_seconds` sets this clock apart from the others."""

    def __init__(self, seed: int = 0, skew_seconds: float = 0.0) -> None:
        self._random = random.Random(seed)
        self._skew = timedelta(seconds=skew_seconds)

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.monotonic()) + self._skew

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def jitter(self) -> float:
        return self._random.random()


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
