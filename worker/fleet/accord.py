"""What this worker tells the others, and what it makes of what they tell: limits, pauses and their ends hold for all.

One message tells all that matters, so a lost one is made up for by the next. Where more than `MOST` mailboxes or
troubles are to be told of, they take turns. What a lost message costs: a pause is heard of a second later, by when at
most a request of each worker that did not hear was made; a limit is exceeded only where several in a row are lost, so
that a worker is taken to be gone.
"""

import asyncio
from itertools import islice
from typing import Final, TypeVar

from worker.clock import Clock
from worker.events import news
from worker.events.news import BUCKETS, LONGEST_SECONDS, MOST, MOST_FAILURES, News, Sent, Trouble
from worker.fleet.pace import Pace
from worker.fleet.pauses import Key, Pause, Pauses
from worker.fleet.peers import Peers, buckets
from worker.fleet.quota import Quota
from worker.mail.outcome import Reason, Scope

HEARTBEAT_SECONDS: Final = 2.0
"""Who sends, and has nothing to tell, tells that it is there."""

T = TypeVar("T")


class Accord:
    """`asked` is to be set when there is something that the others should know at once; `answered` is set when one of
    them was heard.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - all that is told of
        self, clock: Clock, peers: Peers, pace: Pace, quota: Quota, pauses: Pauses, asked: asyncio.Event
    ) -> None:
        self._name = peers.name
        self._sends = peers.sends
        self._clock = clock
        self._peers = peers
        self.pace = pace
        self.quota = quota
        self.pauses = pauses
        self._told_at = float("-inf")
        self._turn = 0
        self.answered = asyncio.Event()
        self.asked = asked

    def hello(self) -> bytes:
        """Of a worker that has just come: the others tell it what they know."""
        return news.write(News(worker=self._name, sends=self._sends, hello=True))

    def goodbye(self) -> bytes:
        return news.write(News(worker=self._name, sends=self._sends, leaving=True))

    def tell(self) -> bytes | None:
        """What the others are to know now; None while there is nothing, and they have heard of this worker lately."""
        now = self._clock.monotonic()
        sent = [
            Sent(profile=place.profile, mailbox=place.address, counts=buckets(moments, now, BUCKETS))
            for place, moments in self._of_turn([*self.quota.sent().items(), *self.pace.sent().items()])
        ]
        recent_first = sorted(self.pauses.all(), key=lambda each: -each[1].changed_at)
        troubles = [_told(key, pause, now) for key, pause in self._of_turn(recent_first)]
        quiet = not self._sends or now - self._told_at < HEARTBEAT_SECONDS
        if not sent and not troubles and quiet:
            return None
        self._told_at = now
        self._turn += 1
        return news.write(News(worker=self._name, sends=self._sends, sent=tuple(sent), troubles=tuple(troubles)))

    def hear(self, body: bytes) -> None:
        """A message of another worker, or of this one, or of nobody: untrusted."""
        message = news.read(body)
        if message is None or message.worker == self._name:
            return
        self._peers.heard(message)
        now = self._clock.monotonic()
        for told in message.troubles:
            if told.scope in tuple(Scope):
                self.pauses.heard(Key(told.profile, told.mailbox, told.server), _pause(told, now))
        if message.hello:
            self.asked.set()
            self._told_at = float("-inf")
        elif not message.leaving:
            self.answered.set()

    def _of_turn(self, all_of_them: list[T]) -> list[T]:
        """Half of the room is for the first ones, half for the others in turn."""
        if len(all_of_them) <= MOST:
            return all_of_them
        half = MOST // 2
        rest = all_of_them[half:]
        start = self._turn * half % len(rest)
        return all_of_them[:half] + list(islice(rest, start, start + half))


def _told(key: Key, pause: Pause, now: float) -> Trouble:
    reason = pause.reason
    return Trouble(
        profile=key.profile[:500],
        mailbox=key.mailbox[:500],
        server=key.server[:500],
        changed_at=pause.changed_at,
        over=pause.over,
        since=_seconds(now - pause.since),
        remaining=_seconds(pause.until - now),
        probing=_seconds(pause.probed_until - now),
        failures=min(pause.failures, MOST_FAILURES),
        code=reason.code[:500],
        scope=reason.scope,
        cause=reason.message[:500],
        remedy=reason.remedy[:500],
    )


def _seconds(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_SECONDS)


def _pause(told: Trouble, now: float) -> Pause:
    reason = Reason(told.code, Scope(told.scope), told.cause, told.remedy)
    until = now + told.remaining
    # One that is heard of in the moment it ends is a pause all the same.
    since = min(now - told.since, until - 0.001)
    return Pause(
        since, until, told.failures, reason, told.changed_at, now + told.probing if told.probing else 0.0, told.over
    )
