"""How many mailboxes of a profile are sent from at once: as many as a worker may, as long as the profile allows it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from worker.fleet.line import Line

STALLED_SECONDS: Final = 2.0
"""When all slots of a profile are taken and none was freed for so long, its mail is not taken in hand."""


class Gate:
    """So many are inside at once, `most`; None for any number. Campaigns let others go first."""

    def __init__(self) -> None:
        self._most: int | None = None
        self._inside = 0
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {False: deque(), True: deque()}

    def resize(self, most: int | None) -> None:
        self._most = most
        self._let_in()

    @asynccontextmanager
    async def inside(self, *, bulk: bool) -> AsyncIterator[None]:
        turn = asyncio.get_running_loop().create_future()
        self._waiting[bulk].append(turn)
        self._let_in()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        self._let_in()

    def _let_in(self) -> None:
        while (waiting := self._waiting[False] or self._waiting[True]) and self._room():
            turn = waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)

    def _room(self) -> bool:
        return self._most is None or self._inside < self._most


class Slots:
    """Those of one worker for one profile, for campaigns or for other mail. `line`: of the mail that comes back when it
    goes on.
    """

    def __init__(self, concurrency: int, gate: Gate, now: float) -> None:
        self.free = asyncio.Semaphore(concurrency)
        self.gate = gate
        self.moved_at = now
        self.line = Line()

    def stalled(self, now: float) -> bool:
        """Whether nothing has moved for a while, so that more mail would only pile up."""
        return self.free.locked() and now - self.moved_at > STALLED_SECONDS
