"""Lines to one URL. Where who is asked for signs in for a whole connection, each line is one, and one request at a time
has it; else all requests share one line.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from worker.ews.transport import CONNECTIONS, Wire

MOST: Final = 20
"""Connections that are signed in at once, those for notifications among them; who needs one more waits."""


class Lines:
    """`make` makes a line of at most so many connections. It may raise OSError, and so does `line` then."""

    def __init__(self, make: Callable[[int], Wire], *, bound: bool) -> None:
        self._make = make
        self._bound = bound
        self._turns = asyncio.Semaphore(MOST)
        self._free: list[Wire] = []
        self._all: list[Wire] = []

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Wire]:
        """A line for one request with all its attempts."""
        if not self._bound:
            if not self._all:
                self._all.append(self._make(CONNECTIONS))
            yield self._all[0]
            return
        async with self._turns:
            wire = self._free.pop() if self._free else self._new()
            try:
                yield wire
            finally:
                self._free.append(wire)

    async def close(self) -> None:
        for wire in self._all:
            await wire.close()
        self._all.clear()
        self._free.clear()

    def _new(self) -> Wire:
        wire = self._make(1)
        self._all.append(wire)
        return wire
