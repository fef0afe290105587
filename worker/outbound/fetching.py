"""Whose turn it is to fetch files by URL: a few mails at once from each host, a short line behind them, no more.

A host that hangs would else take up all the requests a worker has in hand; what finds the line full goes back to the
broker.
"""

from asyncio import Semaphore
from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from worker.mail.files import LinkedFiles
from worker.mail.message import Link, Spooled
from worker.mail.outcome import Deferred, Reason, Rejected, Scope

AT_ONCE: Final = 4
IN_LINE: Final = 40
"""Mails that wait for one host, those under way included."""

_CROWDED: Final = Deferred(
    Reason(
        "attachments-slow",
        Scope.SERVER,
        "the host of its attachments by url takes long over those of other mails",
        "nothing to do: it is tried again; if it goes on, see how fast the host is for the workers",
    )
)


class Fetching:
    def __init__(self, files: LinkedFiles) -> None:
        self._files = files
        self._line: Counter[str] = Counter()
        self._turns: dict[str, Semaphore] = {}

    async def fetch(self, links: Sequence[Link]) -> tuple[Spooled, ...] | Deferred | Rejected:
        """As the port says; a mail stands in the line of the host of its first file."""
        host = urlsplit(links[0].url).netloc
        if self._line[host] >= IN_LINE:
            return _CROWDED
        self._line[host] += 1
        try:
            async with self._turns.setdefault(host, Semaphore(AT_ONCE)):
                return await self._files.fetch(links)
        finally:
            self._line[host] -= 1
            if not self._line[host]:
                del self._line[host], self._turns[host]
