"""The port of files that an event names by URL: how the outbound flow gets at what is behind them."""

from collections.abc import Sequence
from typing import Protocol

from worker.mail.message import Link, Spooled
from worker.mail.outcome import Deferred, Rejected


class LinkedFiles(Protocol):
    async def fetch(self, links: Sequence[Link]) -> tuple[Spooled, ...] | Deferred | Rejected:
        """What is behind these links, in order, each found to be what its link says.

        All lie in one open file without a name, to be closed by whoever is given them; when that does not come about,
        or the process dies, nothing remains. Raises nothing for what hosts, the network or the disk do.
        """
