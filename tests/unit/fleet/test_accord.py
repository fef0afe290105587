"""What the workers make of what they tell each other."""

import asyncio

import pytest

from tests.unit.outbound.build import TROUBLE
from tests.unit.outbound.fakes import StubClock
from worker.events import news
from worker.events.news import LONGEST_SECONDS, MOST, News, Sent, Trouble
from worker.fleet.accord import Accord
from worker.fleet.pace import Pace, Pacing
from worker.fleet.pauses import Pauses
from worker.fleet.peers import SETTLING_SECONDS, SILENT_SECONDS, Peers
from worker.fleet.quota import Quota
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.transport import WorkingMailbox

ANNA = WorkingMailbox("P", "anna@contoso.example")
BEA = WorkingMailbox("P", "bea@contoso.example")
DOWN = Deferred(Reason("unreachable", Scope.SERVER, "no connection", "see whether it runs"))


class Worker:
    def __init__(self, name: str, clock: StubClock) -> None:
        self.clock = clock
        self.peers = Peers(clock, name)
        self.pace = Pace(clock, self.peers)
        self.asked = asyncio.Event()
        self.pauses = Pauses(clock, rank=lambda: 0, changed=lambda _key: self.asked.set())
        self.accord = Accord(clock, self.peers, self.pace, Quota(clock, self.peers), self.pauses, self.asked)

    def tell(self, *hearers: "Worker") -> None:
        told = self.accord.tell()
        assert told is not None
        for each in hearers:
            each.accord.hear(told)

    def send(self, place: WorkingMailbox, per_minute: int) -> bool:
        delay = self.pace.wait(place, Pacing(per_minute), bulk=False, due=True, room=True, seconds_a_mail=0)
        if delay is None:
            self.pace.began(place)
        return delay is None


def pair() -> tuple[Worker, Worker]:
    clock = StubClock()
    one, other = Worker("one", clock), Worker("other", clock)
    one.tell(other)
    other.tell(one)
    clock.seconds += SETTLING_SECONDS
    return one, other


def test_a_pause_and_its_end_hold_for_all() -> None:
    one, other = pair()
    one.pauses.failed(ANNA, TROUBLE)
    assert one.asked.is_set(), "it is told at once"
    one.tell(other)
    paused = other.pauses.of(ANNA)
    assert paused
    assert paused.retry_after_seconds == pytest.approx(3.0)
    assert other.pauses.of(BEA) is None
    one.clock.seconds += 4
    assert one.pauses.claim(ANNA) is None
    one.tell(other)
    assert other.pauses.claim(ANNA), "one probes"
    one.pauses.succeeded(ANNA)
    one.tell(other)
    assert other.pauses.claim(ANNA) is None
    assert not other.pauses.states()


def test_a_trouble_of_weeks_is_told_as_long_as_it_can_be_and_a_stale_one_not_at_all() -> None:
    one, other = pair()
    for mailbox in (ANNA, BEA):
        one.pauses.failed(mailbox, TROUBLE)
    for _ in range(11 * 24):
        one.clock.seconds += 3600
        one.pauses.failed(ANNA, TROUBLE)
    one.tell(other)
    ((_, pause),) = one.pauses.all()
    assert one.clock.monotonic() - pause.since > LONGEST_SECONDS
    assert other.pauses.of(ANNA)
    assert other.pauses.of(BEA) is None


def test_who_comes_late_is_told_everything() -> None:
    one, _ = pair()
    one.pauses.failed(ANNA, DOWN)
    one.send(ANNA, 10)
    late = Worker("late", one.clock)
    one.accord.hear(late.accord.hello())
    assert one.asked.is_set()
    one.tell(late)
    assert late.accord.answered.is_set()
    assert late.pauses.of(ANNA)
    assert late.peers.sent(ANNA) == 1
    [state] = late.pauses.states()
    assert (state.code, state.remedy) == ("unreachable", "see whether it runs")


def test_what_is_old_changes_nothing() -> None:
    one, other = pair()
    one.pauses.failed(ANNA, TROUBLE)
    old = one.accord.tell()
    assert old
    one.clock.seconds += 4
    one.pauses.succeeded(ANNA)
    one.tell(other)
    other.accord.hear(old)
    assert other.pauses.of(ANNA) is None


def test_what_was_forgotten_does_not_come_back() -> None:
    """The profiles were changed, and one worker has not noticed yet."""
    one, other = pair()
    one.pauses.failed(ANNA, TROUBLE)
    one.clock.seconds += 1
    other.pauses.forget()
    one.tell(other)
    assert other.pauses.of(ANNA) is None


def test_a_limit_is_shared() -> None:
    one, other = pair()
    assert sum(one.send(ANNA, 9) for _ in range(20)) + sum(other.send(ANNA, 9) for _ in range(20)) == 9


def test_who_is_new_sends_nothing_that_is_limited_until_all_have_heard() -> None:
    one, _ = pair()
    late = Worker("late", one.clock)
    one.tell(late)
    assert not late.send(ANNA, 30)
    one.clock.seconds += SETTLING_SECONDS
    one.tell(late)
    assert late.send(ANNA, 30)


@pytest.mark.parametrize("leaves", [True, False])
def test_what_one_has_sent_that_is_gone_counts_on(*, leaves: bool) -> None:
    one, other = pair()
    while other.send(ANNA, 8):
        pass
    other.tell(one)
    if leaves:
        one.accord.hear(other.accord.goodbye())
    else:
        one.clock.seconds += SILENT_SECONDS + 1
    assert one.peers.count == 1
    assert sum(one.send(ANNA, 8) for _ in range(20)) == 4
    one.clock.seconds += 61
    assert sum(one.send(ANNA, 8) for _ in range(20)) == 8


def test_who_has_nothing_to_tell_is_heard_of_now_and_then() -> None:
    one, _ = pair()
    told = []
    for _ in range(40):
        one.clock.seconds += 0.25
        told.append(one.accord.tell())
    assert sum(each is not None for each in told) == 5


def test_much_news_takes_turns_and_the_newest_are_always_told() -> None:
    one, other = pair()
    for number in range(5 * MOST):
        one.clock.seconds += 0.001
        one.pauses.failed(WorkingMailbox("P", f"user{number}@contoso.example"), DOWN_LONG)
    for _ in range(12):
        told = one.accord.tell()
        assert told
        assert len(told) < 64 * 1024
        other.accord.hear(told)
    assert other.pauses.mailboxes == 5 * MOST


DOWN_LONG = Deferred(Reason("ErrorServerBusy", Scope.MAILBOX, "busy"), 600.0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"worker": 3}',
        News(worker="other", troubles=(Trouble(changed_at=1e18, scope="planet", remaining=60),))
        .model_dump_json()
        .encode(),
        b'{"worker": "x", "sent": [{"profile": "P", "mailbox": "m", "counts": [-1]}]}',
        b'{"worker": "x", "troubles": [{"changed_at": 1, "remaining": 1e300, "scope": "server", "server": "s"}]}',
        *(
            b'{"worker": "x", "troubles": [{"changed_at": %s, "remaining": 60, "scope": "server", "server": "s"}]}'
            % time
            for time in (b"NaN", b"Infinity", b"1e999")
        ),
        b'{"worker": "x", "unheard": {"of": 1}}',
    ],
)
def test_nobody_is_trusted(body: bytes) -> None:
    one, _ = pair()
    one.accord.hear(body)
    assert not one.pauses.states()


def test_newer_versions_may_tell_more() -> None:
    assert news.read(
        b'{"worker": "x", "mood": "fine", "sent": [{"profile": "P", "mailbox": "m", "counts": [1], "n": 2}]}'
    ) == News(worker="x", sent=(Sent(profile="P", mailbox="m", counts=(1,)),))


def test_a_worker_that_only_reads_shares_pauses_and_takes_no_part_of_a_limit() -> None:
    clock = StubClock()
    sending, reading = Peers(clock, "a"), Peers(clock, "b", sends=False)
    there = Accord(clock, sending, Pace(clock, sending), Quota(clock, sending), Pauses(clock), asyncio.Event())
    other = Accord(clock, reading, Pace(clock, reading), Quota(clock, reading), Pauses(clock), asyncio.Event())
    for told in (other.hello(), there.hello()):
        there.hear(told)
        other.hear(told)
    assert (sending.names, reading.names) == (("a",), ("a",))
    assert sending.share(30, ANNA) == 30
    assert other.tell() is None, "it is not needed to know that it is there"
    other.pauses.failed(ANNA, DOWN)
    told_of = other.tell()
    assert told_of is not None
    there.hear(told_of)
    assert there.pauses.of(ANNA) is not None
    there.hear(other.goodbye())
    assert sending.names == ("a",)
    assert (sending.rank, reading.rank) == (0, 1)
