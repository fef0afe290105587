"""What the mailboxes of a profile use of their server together."""

import asyncio
import heapq
import random

import pytest

from tests.unit.outbound.fakes import StubClock
from worker.events import news
from worker.fleet.accord import Accord
from worker.fleet.pace import DUE_SECONDS, Pace
from worker.fleet.pauses import Pauses
from worker.fleet.peers import SETTLING_SECONDS, WINDOW_SECONDS, Peers
from worker.fleet.quota import BATCH_REQUESTS, Allowed, Quota
from worker.retry import tier

THIRTY = Allowed(per_minute=30)


class Worker:
    def __init__(self, clock: StubClock, name: str) -> None:
        self.peers = Peers(clock, name)
        self.quota = Quota(clock, self.peers)
        self.accord = Accord(clock, self.peers, Pace(clock, self.peers), self.quota, Pauses(clock), asyncio.Event())

    def wait(self, allowed: Allowed = THIRTY, *, bulk: bool = False, due: bool = True) -> float:
        return self.quota.wait("P", allowed, bulk=bulk, due=due) or 0.0

    def batch(self, allowed: Allowed = THIRTY, requests: int = BATCH_REQUESTS) -> bool:
        if self.wait(allowed):
            return False
        self.batch_of(requests)
        return True

    def batch_of(self, requests: int) -> None:
        self.quota.begin("P")
        for _ in range(requests):
            self.quota.made("P")
        self.quota.end("P", 1)


def fleet(clock: StubClock, count: int) -> list[Worker]:
    """Workers that know each other."""
    workers = [Worker(clock, f"w{number}") for number in range(count)]
    for each in workers:
        hear(workers, each.accord.hello())
    clock.seconds += SETTLING_SECONDS + 0.1
    for each in workers:
        hear(workers, each.accord.tell())
    return workers


def hear(workers: list[Worker], told: bytes | None) -> None:
    for each in workers:
        if told is not None:
            each.accord.hear(told)


def test_no_more_requests_in_a_minute_than_allowed() -> None:
    clock = StubClock()
    worker = Worker(clock, "w")
    assert all(worker.batch() for _ in range(7))
    opens_in = worker.wait()
    assert 0 < opens_in <= WINDOW_SECONDS
    (state,) = worker.quota.states()
    assert (state.profile, state.state, state.cause) == ("P", "waiting", "it may make 30 requests a minute")
    clock.seconds += opens_in
    assert worker.batch()
    assert worker.quota.states() == ()


def test_a_profile_whose_minute_is_over_waits_no_more_though_nobody_asks() -> None:
    clock = StubClock()
    worker = Worker(clock, "w")
    assert not all(worker.batch() for _ in range(8))
    assert worker.quota.states()
    clock.seconds += WINDOW_SECONDS + 1
    assert worker.quota.states() == ()


def test_batches_under_way_have_their_room() -> None:
    worker = Worker(StubClock(), "w")
    for _ in range(7):
        assert worker.wait() == 0
        worker.quota.begin("P")
    assert worker.wait() > 0
    worker.quota.end("P", 1)  # it has made no request after all
    assert worker.wait() == 0


def test_what_a_batch_really_took_counts() -> None:
    worker = Worker(StubClock(), "w")
    assert worker.batch(requests=28)
    assert not worker.batch()


def test_all_workers_together() -> None:
    workers = fleet(StubClock(), 4)
    made = 0
    for _ in range(20):
        for each in workers:
            made += BATCH_REQUESTS * each.batch()
            hear(workers, each.accord.tell())
    assert made == 28


def test_a_limit_too_small_to_share_is_used_by_one() -> None:
    workers = fleet(StubClock(), 4)
    assert sorted(each.batch(Allowed(per_minute=4)) for each in workers) == [False, False, False, True]


def test_mailboxes_at_once_are_shared_out() -> None:
    workers = fleet(StubClock(), 4)
    shares = [each.quota.at_once("P", Allowed(at_once=6)) for each in workers]
    assert sorted(share or 0 for share in shares) == [1, 1, 2, 2]
    assert workers[0].quota.at_once("P", Allowed()) is None


def test_a_limit_that_is_gone_is_forgotten() -> None:
    worker = Worker(StubClock(), "w")
    assert all(worker.batch() for _ in range(7))
    assert worker.wait(Allowed()) == 0
    assert worker.quota.sent() == {}


def test_who_comes_later_comes_later_and_a_campaign_last() -> None:
    clock = StubClock()
    worker = Worker(clock, "w")
    assert all(worker.batch() for _ in range(7))
    campaign = [worker.wait(bulk=True, due=False) for _ in range(3)]
    others = [worker.wait(due=False) for _ in range(3)]
    assert campaign == sorted(campaign)
    assert others == sorted(others)
    clock.seconds += others[-1] - 0.1
    assert worker.wait(due=False), "though there is room, one is before it"
    assert worker.wait(bulk=True, due=True), "likewise"
    assert not worker.wait(due=True)
    (state,) = worker.quota.states()
    assert state.waiting >= 3


@pytest.mark.parametrize(("workers", "slower"), [(1, 1.1), (4, 1.5)])
def test_a_line_moves_about_as_fast_as_it_may(workers: int, slower: float) -> None:
    """Each mail a batch of its own, of three requests, through the delay tiers of the broker to any of the workers."""
    clock, allowed, draw, mails = StubClock(), Allowed(per_minute=60), random.Random(1), 600
    known, passes, sent = fleet(clock, workers), 0, list[float]()
    began = told_at = clock.seconds
    parked = [(began, number, float("-inf")) for number in range(mails)]
    while parked:
        back_at, number, room_at = heapq.heappop(parked)
        clock.seconds = max(clock.seconds, back_at)
        for _ in range(int(clock.seconds - told_at)):
            told_at += 1
            for each in known:
                hear(known, each.accord.tell())
        passes += 1
        delay = room_at - clock.seconds
        if delay <= DUE_SECONDS:
            worker = draw.choice(known)
            delay = worker.wait(allowed, due=room_at >= 0)
            room_at = clock.seconds + delay
            if not delay:
                worker.batch_of(3)
                sent.append(clock.seconds)
                continue
        heapq.heappush(parked, (clock.seconds + tier(delay), number, room_at))
    assert most_in_a_minute(sent) <= 60 / 3
    assert sent[-1] - began <= slower * mails * 3, "in seconds: one request may be made in each"
    assert passes <= 30 * mails


def most_in_a_minute(moments: list[float]) -> int:
    return max(sum(at <= other < at + WINDOW_SECONDS for other in moments) for at in moments)


def test_a_raised_limit_shortens_the_line() -> None:
    worker = Worker(StubClock(), "w")
    assert all(worker.batch() for _ in range(7))
    for _ in range(100):
        worker.wait(due=False)
    assert worker.wait(due=False) > 600
    assert worker.wait(Allowed(per_minute=300), due=False) < 100


def test_others_are_told() -> None:
    worker = Worker(StubClock(), "w")
    worker.batch()
    told = worker.accord.tell()
    assert told is not None
    message = news.read(told)
    assert message is not None
    (sent,) = message.sent
    assert (sent.profile, sent.mailbox, sum(sent.counts)) == ("P", "", BATCH_REQUESTS)
