"""The connections to the servers of one account: one `Wire` for each URL."""

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from worker.ews.transport import Wire

MOST_IDLE: Final = 16
"""So many servers' connections are kept, and those in use besides."""


class Wires:
    """`make` connects to a URL, and may raise OSError."""

    def __init__(self, make: Callable[[str], Wire]) -> None:
        self._make = make
        self._wires: OrderedDict[str, Wire] = OrderedDict()
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def to(self, url: str) -> AsyncIterator[Wire]:
        """The connections to this URL, which stay as long as they are in use. Raises OSError."""
        if url not in self._wires:
            self._wires[url] = self._make(url)
        self._wires.move_to_end(url)
        self._users[url] += 1
        try:
            yield self._wires[url]
        finally:
            self._users[url] -= 1
            await self._let_go()

    async def close(self) -> None:
        while self._wires:
            await self._wires.popitem()[1].close()

    async def _let_go(self) -> None:
        """Close what was used longest ago, of what is too much."""
        self._users = +self._users
        while len(self._wires) - len(self._users) > MOST_IDLE:
            url = next(each for each in self._wires if each not in self._users)
            await self._wires.pop(url).close()
