"""Files by URL in the simulated world: slow, now and then not to be had, some not there at all."""

import asyncio
import io
import random
from collections.abc import Sequence
from typing import Protocol

from worker.mail.message import Link, Spooled
from worker.mail.outcome import Deferred, Reason, Rejected, Scope

GONE = Reason("attachment-missing", Scope.MESSAGE, "there is no such file", "put it there")
AWAY = Reason("attachment-unavailable", Scope.MESSAGE, "no answer", "wait")


class Chances(Protocol):
    @property
    def unavailable(self) -> float: ...


class SimulatedFiles:
    def __init__(self, draw: random.Random, chances: Chances) -> None:
        self._draw = draw
        self._chances = chances

    async def fetch(self, links: Sequence[Link]) -> tuple[Spooled, ...] | Deferred | Rejected:
        await asyncio.sleep(self._draw.uniform(0, 10))
        if self._draw.random() < self._chances.unavailable:
            return Deferred(AWAY)
        if any(link.url.endswith("missing") for link in links):
            return Rejected(GONE)
        spool = io.BytesIO(b"content")
        return tuple(Spooled(spool, 0, 7) for _ in links)
