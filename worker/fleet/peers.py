"""The other workers that send, as far as they were heard of: how many share a limit, and what they have used of it.

A limit holds for all workers together. Each may use its share, which together are never more than the limit as long as
all know of each other; and none while what is known of the others has used it up. So what happens while one comes or
goes, before all have heard of it, is bounded twice. A worker that was not heard of for a while counts as gone, but what
it has sent counts on.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from worker.clock import Clock
from worker.events.news import BUCKET_SECONDS, News, Sent
from worker.mail.transport import WorkingMailbox

SILENT_SECONDS: Final = 10.0
"""A worker not heard of for so long is gone: some of its messages in a row were lost, or it died."""

SETTLING_SECONDS: Final = 3.0
"""A worker that is new takes no share of a limit until the others have had time to hear of it."""

WINDOW_SECONDS: Final = 60.0

MOST_WORKERS: Final = 1000
MOST_MAILBOXES: Final = 10_000
"""So many of one worker are remembered before those are forgotten that have sent nothing for a minute."""


@dataclass(slots=True)
class _Peer:
    """`takes`: whether it has begun to take mail; one that says hello has not yet."""

    heard_at: float
    takes: bool = False
    sent: dict[WorkingMailbox, tuple[tuple[float, int], ...]] = field(default_factory=dict)
    """When, and how many."""


class Peers:
    """`sends`: whether this worker is one of them."""

    def __init__(self, clock: Clock, name: str, *, sends: bool = True) -> None:
        self._clock = clock
        self.name = name
        self.sends = sends
        self._began_at = clock.monotonic()
        self._peers: dict[str, _Peer] = {}
        self._left: deque[_Peer] = deque(maxlen=MOST_WORKERS)

    def heard(self, news: News) -> None:
        """Of a worker; what this one said itself comes back, too, and tells nothing."""
        if news.worker == self.name or not news.sends:
            return
        now = self._clock.monotonic()
        if news.leaving:
            if peer := self._peers.pop(news.worker, None):
                self._left.append(peer)
            return
        if news.worker not in self._peers and len(self._peers) >= MOST_WORKERS:
            return
        peer = self._peers.setdefault(news.worker, _Peer(now))
        peer.heard_at = now
        peer.takes = not news.hello
        if len(peer.sent) > MOST_MAILBOXES:
            since = now - WINDOW_SECONDS
            peer.sent = {place: told for place, told in peer.sent.items() if told and told[0][0] > since}
        for sent in news.sent:
            peer.sent[WorkingMailbox(sent.profile, sent.mailbox)] = _moments(sent, now)

    @property
    def names(self) -> tuple[str, ...]:
        """All that are there, this one among them if it sends, in an order all agree on."""
        self._forget()
        return tuple(sorted((*self._peers, self.name) if self.sends else self._peers))

    @property
    def count(self) -> int:
        return len(self.names)

    @property
    def takers(self) -> int:
        """How many take mail: this one, and the others that have begun to."""
        self._forget()
        return 1 + sum(peer.takes for peer in self._peers.values())

    def share(self, limit: int, place: WorkingMailbox) -> int:
        """How much of a limit this worker may use. The odd ones go to other workers for each mailbox."""
        names = self.names
        count = len(names)
        if count == 1:
            return limit
        turn = (names.index(self.name) + crc32(f"{place.profile} {place.address}".encode())) % count
        return limit // count + (turn < limit % count)

    @property
    def settles_in(self) -> float:
        """In how many seconds this worker may use its share, the others having heard of it."""
        return max(0.0, self._began_at + SETTLING_SECONDS - self._clock.monotonic()) if self.count > 1 else 0.0

    @property
    def rank(self) -> int:
        """The place of this worker among all; behind those that send, where it does not."""
        return self.names.index(self.name) if self.sends else self.count

    def sent(self, place: WorkingMailbox) -> int:
        """How many mails others are known to have sent from a mailbox within the last minute."""
        since = self._clock.monotonic() - WINDOW_SECONDS
        told = (peer.sent.get(place, ()) for peer in (*self._peers.values(), *self._left))
        return sum(count for moments in told for at, count in moments if at > since)

    def _forget(self) -> None:
        now = self._clock.monotonic()
        for name in [name for name, peer in self._peers.items() if now - peer.heard_at > SILENT_SECONDS]:
            self._left.append(self._peers.pop(name))
        while self._left and now - self._left[0].heard_at > WINDOW_SECONDS:
            self._left.popleft()


def _moments(sent: Sent, now: float) -> tuple[tuple[float, int], ...]:
    """As late as it can have been."""
    return tuple((now - number * BUCKET_SECONDS, count) for number, count in enumerate(sent.counts) if count)


def buckets(moments: Iterable[float], now: float, number: int) -> tuple[int, ...]:
    """How many of the moments lie in each bucket before now."""
    counts = [0] * number
    for at in moments:
        if (index := int((now - at) // BUCKET_SECONDS)) < number:
            counts[max(0, index)] += 1
    return tuple(counts)
