"""The URL of EWS for each mailbox of one account: found by Autodiscover, remembered, and looked up again when it fails.

unknown -> known     for a day
        -> failed    for a minute, then it is looked up again
known   -> doubted   its server fails: looked up again, at most once a minute; the old URL stays if nothing is found
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from worker.clock import Clock
from worker.ews.autodiscover.steps import Findings

GOOD_SECONDS: Final = 24 * 3600.0
KEPT_SECONDS: Final = 900.0
AGAIN_SECONDS: Final = 60.0
"""After a lookup that found nothing, and between two of one mailbox."""

_MOST_REMEMBERED: Final = 10_000
_AT_ONCE: Final = 10


@dataclass(slots=True)
class _Known:
    """`url` is "" where nothing was ever found; `findings` are of the last lookup."""

    url: str
    findings: Findings
    looked_at: float
    good_until: float


class Locator:
    """Addresses compare as they are: working mailboxes come in one spelling."""

    def __init__(self, find: Callable[[str], Awaitable[Findings]], clock: Clock) -> None:
        self._find = find
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def locate(self, address: str) -> str | Findings:
        """The URL; or what was found in its place. One lookup of an address at a time, whoever asks."""
        known = self._fresh(address)
        if known is None:
            turn = self._turns.setdefault(address, asyncio.Lock())
            async with turn:
                known = self._fresh(address) or await self._look_up(address)
        return known.url or known.findings

    def last(self, address: str) -> str:
        """The URL known by now, "" for none."""
        known = self._known.get(address)
        return known.url if known else ""

    def doubt(self, address: str, url: str) -> None:
        """What was told of this address does not hold, it seems. Old news about another URL is none."""
        known = self._known.get(address)
        if known is not None and known.url == url:
            known.good_until = min(known.good_until, known.looked_at + AGAIN_SECONDS)

    def _fresh(self, address: str) -> _Known | None:
        known = self._known.get(address)
        return known if known is not None and self._clock.monotonic() < known.good_until else None

    async def _look_up(self, address: str) -> _Known:
        async with self._at_once:
            findings = await self._find(address)
        now = self._clock.monotonic()
        url = findings.url or self.last(address)
        good = GOOD_SECONDS if findings.url else KEPT_SECONDS if url else AGAIN_SECONDS
        known = self._known[address] = _Known(url, findings, now, now + good)
        self._known.move_to_end(address)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return known
