"""The connections to the servers of one account: lines for each URL."""

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from worker.ews.lines import Lines
from worker.ews.transport import Wire

MOST_IDLE: Final = 16
"""So many servers' connections are kept, and those in use besides."""


class Wires:
    """`make` makes a line to a URL of at most so many connections, and may raise OSError. `bound`: see `Lines`."""

    def __init__(self, make: Callable[[str, int], Wire], *, bound: bool) -> None:
        self._make = make
        self._bound = bound
        self._lines: OrderedDict[str, Lines] = OrderedDict()
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def to(self, url: str) -> AsyncIterator[Wire]:
        """A line to this URL; its lines stay as long as one is in use. Raises OSError."""
        if url not in self._lines:
            self._lines[url] = Lines(partial(self._make, url), bound=self._bound)
        self._lines.move_to_end(url)
        self._users[url] += 1
        try:
            async with self._lines[url].line() as wire:
                yield wire
        finally:
            self._users[url] -= 1
            await self._let_go()

    async def close(self) -> None:
        while self._lines:
            await self._lines.popitem()[1].close()

    async def _let_go(self) -> None:
        """Close what was used longest ago, of what is too much."""
        self._users = +self._users
        while len(self._lines) - len(self._users) > MOST_IDLE:
            url = next(each for each in self._lines if each not in self._users)
            await self._lines.pop(url).close()
