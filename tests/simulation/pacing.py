"""Several workers that share limits and pauses, and the queue between them, in steps of a tenth of a second.

What each may do is decided by the product; the broker's part is played here: who gets a mail, how long the delay tiers
hold it, which news is lost. Workers die and others begin, by seed.
"""

import asyncio
import heapq
import itertools
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.simulation.virtual_time import EPOCH
from worker import retry
from worker.fleet.accord import Accord
from worker.fleet.pace import DUE_SECONDS, Pace, Pacing
from worker.fleet.pauses import Pauses
from worker.fleet.peers import Peers
from worker.fleet.quota import Quota
from worker.mail.transport import WorkingMailbox

STEP = 0.1
NEWS_SECONDS = 1.0


@dataclass
class Clock:
    seconds: float = 0.0

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")

    def jitter(self) -> float:
        return 0.5


class Worker:
    def __init__(self, name: str, clock: Clock) -> None:
        self.takes = True
        self.peers = Peers(clock, name)
        self.pace = Pace(clock, self.peers)
        self.asked = asyncio.Event()
        self.pauses = Pauses(clock, changed=lambda _key: self.asked.set(), rank=lambda: self.peers.rank)
        self.accord = Accord(clock, self.peers, self.pace, Quota(clock, self.peers), self.pauses, self.asked)
        self.told_at = -NEWS_SECONDS


@dataclass(order=True)
class Mail:
    back_at: float
    number: int
    place: WorkingMailbox = field(compare=False)
    bulk: bool = field(compare=False, default=False)
    due_at: float | None = field(compare=False, default=None)
    passes: int = field(compare=False, default=0)


class Fleet:
    """`limits`: mails a minute, by mailbox. `loss`: of the news, how much nobody hears. `churn`: the chance that within
    a second a worker dies, and another one begins.
    """

    def __init__(
        self, seed: int, workers: int, limits: dict[WorkingMailbox, int], *, loss: float = 0.0, churn: float = 0.0
    ) -> None:
        self.random = random.Random(seed)
        self.clock = Clock()
        self.limits = limits
        self.loss = loss
        self.churn = churn
        self.names = itertools.count()
        self.workers = [self._worker() for _ in range(workers)]
        self.parked: list[Mail] = []
        self.sent: dict[WorkingMailbox, list[tuple[float, Mail]]] = {place: [] for place in limits}
        self.passes: Counter[int] = Counter()
        self.serial = itertools.count()

    def publish(self, place: WorkingMailbox, mails: int, *, bulk: bool = False) -> None:
        for _ in range(mails):
            heapq.heappush(self.parked, Mail(self.clock.seconds, next(self.serial), place, bulk))

    def hold(self, workers: int) -> None:
        """So many have only said hello: they take no mail, until `release`."""
        for held in self.workers[-workers:]:
            held.takes = False
            for hearer in self.workers:
                hearer.accord.hear(held.accord.hello())

    def release(self) -> None:
        for held in self.workers:
            held.takes = True

    def run(self, seconds: float) -> None:
        until = self.clock.seconds + seconds
        while self.clock.seconds < until:
            self.clock.seconds += STEP
            self._news()
            if self.random.random() < self.churn * STEP:
                self.workers.pop(self.random.randrange(len(self.workers)))
                self.workers.append(self._worker())
            while self.parked and self.parked[0].back_at <= self.clock.seconds:
                self._give(heapq.heappop(self.parked))

    def most_in_a_minute(self, place: WorkingMailbox) -> int:
        most, window = 0, deque[float]()
        for at, _ in self.sent[place]:
            window.append(at)
            while window[0] <= at - 60:
                window.popleft()
            most = max(most, len(window))
        return most

    def _worker(self) -> Worker:
        return Worker(f"worker {next(self.names)}", self.clock)

    def _news(self) -> None:
        for teller in filter(lambda each: each.takes, self.workers):
            if self.clock.seconds - teller.told_at < NEWS_SECONDS and not teller.asked.is_set():
                continue
            teller.asked.clear()
            teller.told_at = self.clock.seconds
            if (news := teller.accord.tell()) is None:
                continue
            for hearer in self.workers:
                if self.random.random() >= self.loss:
                    hearer.accord.hear(news)

    def _give(self, mail: Mail) -> None:
        """To any worker, as the broker does; what it says is done."""
        mail.passes += 1
        now = self.clock.seconds
        worker = self.random.choice([each for each in self.workers if each.takes])
        if mail.due_at is not None and mail.due_at - now > DUE_SECONDS:
            mail.back_at = now + retry.tier(mail.due_at - now)
            heapq.heappush(self.parked, mail)
            return
        delay = worker.pace.wait(
            mail.place,
            Pacing(self.limits[mail.place]),
            bulk=mail.bulk,
            due=mail.due_at is not None,
            room=True,
            seconds_a_mail=0.0,
        )
        if delay is None:
            worker.pace.began(mail.place)
            self.sent[mail.place].append((now, mail))
            self.passes[mail.passes] += 1
            return
        mail.due_at = now + delay
        mail.back_at = now + retry.tier(delay)
        heapq.heappush(self.parked, mail)
