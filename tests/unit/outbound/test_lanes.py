"""Batches of whatever waits; one lane's trouble is nobody else's; campaigns stand behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.unit.outbound.build import TROUBLE, entry, placed
from tests.unit.outbound.fakes import FakeDelivery, FakeFiles, FakeTransport, Journal, StubClock
from worker.clock import rfc3339
from worker.events.news import News
from worker.fleet.pace import Pace, Pacing
from worker.fleet.pauses import Pauses
from worker.fleet.peers import Peers
from worker.fleet.quota import Allowed, Quota
from worker.mail.outcome import Deferred, Delivered, Reason, Rejected, Scope, Unresolved
from worker.mail.transport import WorkingMailbox
from worker.outbound.entry import CLOCK_ALLOWANCE, Entry, Outcome, Waiting
from worker.outbound.history import History
from worker.outbound.lane import BATCH_MAILS, LANE_MAILS
from worker.outbound.lanes import Lanes
from worker.outbound.slots import STALLED_SECONDS

ANNA = WorkingMailbox("P", "anna@contoso.example")
BEA = WorkingMailbox("P", "bea@contoso.example")
CARA = WorkingMailbox("P", "cara@contoso.example")


class PatientClock(StubClock):
    """Who sleeps wakes when `passed` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.passed.wait()
        await super().sleep(seconds)


def shares(other: str, place: WorkingMailbox) -> int:
    """How much of a limit of one the yard's worker has beside one of that name."""
    peers = Peers(PatientClock(), "w")
    peers.heard(News(worker=other))
    return peers.share(1, place)


class Yard:
    def __init__(self) -> None:
        self.clock = PatientClock()
        self.journal = Journal()
        self.transport = FakeTransport(self.journal)
        self.files = FakeFiles(self.journal)
        self.peers = Peers(self.clock, "w")
        self.settled: list[tuple[Entry, Outcome]] = []
        self.something_settled = asyncio.Event()

    @asynccontextmanager
    async def open(self, concurrency: int = 4) -> AsyncIterator[Lanes]:
        async with asyncio.TaskGroup() as tasks:
            self.lanes = Lanes(
                self.transport,
                Pauses(self.clock),
                Pace(self.clock, self.peers),
                Quota(self.clock, self.peers),
                self.clock,
                self._settle,
                tasks,
                concurrency=concurrency,
                files=self.files,
                patience_seconds=15.0,
            )
            yield self.lanes

    async def _settle(self, subject: Entry, outcome: Outcome) -> None:
        self.settled.append((subject, outcome))
        self.something_settled.set()

    def outcomes(self) -> list[Outcome]:
        return [outcome for _, outcome in self.settled]

    def batches(self, what: str = "draft") -> list[int]:
        return [len(stamps) for _, stamps in self.journal.of(what)]


async def test_one_mail_takes_three_calls() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        lanes.submit(entry())
    assert yard.journal.kinds() == ["draft", "look", "send"]
    assert [type(outcome) for outcome in yard.outcomes()] == [Delivered]


async def test_what_comes_meanwhile_goes_together() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        mailbox = yard.transport.outgoing(ANNA)
        mailbox.gate.clear()
        lanes.submit(entry("first"))
        await asyncio.sleep(0)
        for number in range(2 * BATCH_MAILS + 3):
            lanes.submit(entry(f"event-{number}"))
        await asyncio.sleep(0)
        mailbox.gate.set()
    assert yard.batches() == [1, BATCH_MAILS, BATCH_MAILS, 3]
    assert len(yard.settled) == 2 * BATCH_MAILS + 4


async def test_a_slow_mailbox_holds_up_nobody_else() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        slow = yard.transport.outgoing(ANNA)
        slow.gate.clear()
        lanes.submit(entry("slow"))
        lanes.submit(placed(BEA, entry("quick")))
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        assert [subject.event_id for subject, _ in yard.settled] == ["quick"]
        slow.gate.set()
    assert len(yard.settled) == 2


async def test_copies_of_a_request_are_one_entry() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        yard.transport.outgoing(ANNA).gate.clear()
        for _ in range(3):
            lanes.submit(entry(deliveries=[FakeDelivery(yard.journal)]))
            await asyncio.sleep(0)
        yard.transport.outgoing(ANNA).gate.set()
    assert yard.batches() == [1]
    [(subject, _)] = yard.settled
    assert len(subject.deliveries) == 3


async def test_other_mail_overtakes_campaign_mail() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        yard.transport.outgoing(ANNA).gate.clear()
        lanes.submit(entry("campaign-0", bulk=True))
        await asyncio.sleep(0)
        for number in range(1, 30):
            lanes.submit(entry(f"campaign-{number}", bulk=True))
        lanes.submit(entry("urgent"))
        yard.transport.outgoing(ANNA).gate.set()
    order = [stamps for _, stamps in yard.journal.of("draft")]
    assert order[1] == ["/crm urgent"]


async def test_campaigns_of_other_mailboxes_take_no_slot_of_other_mail() -> None:
    yard = Yard()
    async with yard.open(concurrency=1) as lanes:
        yard.transport.outgoing(BEA).gate.clear()
        lanes.submit(placed(BEA, entry("campaign", bulk=True)))
        await asyncio.sleep(0)
        lanes.submit(entry("urgent"))
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        assert [subject.event_id for subject, _ in yard.settled] == ["urgent"]
        yard.transport.outgoing(BEA).gate.set()


async def test_a_paused_mailbox_is_not_asked() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        yard.transport.outgoing(ANNA).draft_script = [TROUBLE]
        lanes.submit(entry("event-1"))
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        lanes.submit(entry("event-2"))
        lanes.submit(placed(BEA, entry("event-3", mailbox=BEA.address)))
    assert [name for name, _ in yard.journal.of("draft")] == [ANNA.address, BEA.address]
    assert [type(outcome) for outcome in yard.outcomes()] == [Deferred, Deferred, Delivered]


async def test_a_mail_expires_although_its_sender_may_not_send() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        yard.transport.outgoing(ANNA).draft_script = [Deferred(Reason("ErrorSendAsDenied", Scope.MAILBOX, "denied"))]
        lanes.submit(entry("event-1"))
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        assert isinstance(lanes.hold(entry("event-2")), Deferred)
        expired = entry("event-3", expires_at=yard.clock.now() - CLOCK_ALLOWANCE)
        assert lanes.hold(expired) is None
        lanes.submit(expired)
    assert yard.journal.kinds() == ["draft", "look"]
    assert [type(outcome) for outcome in yard.outcomes()] == [Deferred, Rejected]


async def test_a_sender_in_trouble_does_not_stop_others_of_the_same_account() -> None:
    yard = Yard()
    account = WorkingMailbox("P", "router@contoso.example")
    async with yard.open() as lanes:
        yard.transport.outgoing(account).draft_script = [TROUBLE]
        lanes.submit(placed(account, entry("event-1")))
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        lanes.submit(placed(account, entry("event-2")))
        lanes.submit(placed(account, entry("event-3", mailbox=BEA.address)))
    assert yard.batches() == [1, 1]
    outcomes = {subject.event_id: type(outcome) for subject, outcome in yard.settled}
    assert outcomes == {"event-1": Deferred, "event-2": Deferred, "event-3": Delivered}


async def test_a_bug_costs_only_the_request_it_is_about() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        mailbox = yard.transport.outgoing(ANNA)
        mailbox.draft_script = [RuntimeError("bug"), RuntimeError("bug")]
        lanes.submit(entry("event-1", last_attempt=True))
        lanes.submit(entry("event-2"))
    outcomes = {subject.event_id: outcome for subject, outcome in yard.settled}
    assert isinstance(outcomes["event-1"], Unresolved)
    assert isinstance(outcomes["event-2"], Delivered)


async def test_a_place_that_goes_while_a_request_moves_there_costs_only_that_request() -> None:
    yard = Yard()
    yard.transport.gone = {BEA}
    async with yard.open() as lanes:
        lanes.submit(entry("event-1", places=(ANNA, BEA)))
        lanes.submit(entry("event-2", places=(ANNA, BEA), last_attempt=True))
        lanes.submit(entry("event-3"))
    outcomes = {subject.event_id: type(outcome) for subject, outcome in yard.settled}
    assert outcomes == {"event-1": Deferred, "event-2": Unresolved, "event-3": Delivered}


async def test_after_a_bug_nothing_is_sent_without_a_look() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        yard.transport.outgoing(ANNA).draft_script = [RuntimeError("bug")]
        lanes.submit(entry())
    assert yard.journal.kinds() == ["draft", "look", "draft", "look", "send"]


async def test_what_waits_behind_a_mailbox_that_hangs_is_given_back() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        mailbox = yard.transport.outgoing(ANNA)
        mailbox.gate.clear()
        lanes.submit(entry("hangs"))
        await asyncio.sleep(0)
        lanes.submit(entry("behind"))
        lanes.submit(entry("campaign", bulk=True))
        yard.clock.passed.set()
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        lanes.submit(entry("later"))
        lanes.submit(entry("hangs"))
        yard.something_settled.clear()
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        yard.clock.passed.clear()
        mailbox.gate.set()
    outcomes = {subject.event_id: outcome for subject, outcome in yard.settled}
    assert isinstance(outcomes.pop("hangs"), Delivered)
    assert outcomes.keys() == {"behind", "campaign", "later"}
    for outcome in outcomes.values():
        assert isinstance(outcome, Deferred)
        assert outcome.reason.scope is Scope.MAILBOX


async def test_a_mailbox_that_hung_goes_on_when_it_answers() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        yard.transport.outgoing(ANNA).gate.clear()
        lanes.submit(entry("hangs"))
        lanes.submit(placed(BEA, entry("other", mailbox=BEA.address)))
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        yard.clock.passed.set()
        await asyncio.sleep(0)
        yard.transport.outgoing(ANNA).gate.set()
        yard.clock.passed.clear()
        yard.something_settled.clear()
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        lanes.submit(entry("later"))
    assert [type(outcome) for outcome in yard.outcomes()] == [Delivered] * 3


async def test_draining_ends_what_is_under_way_and_begins_nothing() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        yard.transport.outgoing(ANNA).gate.clear()
        lanes.submit(entry("under way"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        lanes.submit(entry("waiting"))
        drained = asyncio.create_task(lanes.drain())
        await asyncio.sleep(0)
        yard.transport.outgoing(ANNA).gate.set()
        await drained
    assert [subject.event_id for subject, _ in yard.settled] == ["under way"]


async def test_mail_of_a_profile_that_does_not_move_is_not_taken_in_hand() -> None:
    """A burst after a rest is no standstill."""
    yard = Yard()
    async with yard.open(concurrency=1) as lanes:
        yard.transport.outgoing(ANNA).gate.clear()
        assert lanes.hold(entry("before")) is None
        yard.clock.seconds += 3600
        lanes.submit(entry("first"))
        await asyncio.sleep(0)
        assert lanes.hold(placed(BEA, entry("second"))) is None
        yard.clock.seconds += STALLED_SECONDS + 0.1
        held = lanes.hold(placed(BEA, entry("third")))
        assert isinstance(held, Waiting)
        assert lanes.hold(placed(BEA, entry("campaign", bulk=True))) is None
        yard.transport.outgoing(ANNA).gate.set()


async def test_a_lane_takes_in_two_batches_and_no_more() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        yard.transport.outgoing(ANNA).gate.clear()
        lanes.submit(entry("first"))
        await asyncio.sleep(0)
        held = []
        for number in range(LANE_MAILS + 5):
            subject = entry(f"event-{number}")
            if (reason := lanes.hold(subject)) is None:
                lanes.submit(subject)
            else:
                held.append(reason)
        assert len(held) == 5
        assert all(isinstance(each, Waiting) and each.due_at for each in held)
        assert lanes.hold(placed(BEA, entry("other", mailbox=BEA.address))) is None
        yard.transport.outgoing(ANNA).gate.set()


async def test_waiting_for_ones_turn_forgets_no_look() -> None:
    """Else a mail in doubt would be looked for for ever, in a mailbox that is always at its limit."""
    yard = Yard()
    async with yard.open() as lanes:
        assert lanes.hold(entry("first", pacing=Pacing(per_minute=1))) is None
        subject = entry("doubted", pacing=Pacing(per_minute=1), doubt=True, history=History(doubt=True, empty_looks=2))
        held = lanes.hold(subject)
        assert isinstance(held, Waiting)
        assert held.empty_looks == 2


async def test_a_profile_is_sent_from_so_many_mailboxes_at_once() -> None:
    yard = Yard()
    mails = [entry("first"), placed(BEA, entry("bulk", bulk=True)), placed(CARA, entry("third"))]
    async with yard.open() as lanes:
        first = yard.transport.outgoing(ANNA)
        first.gate.clear()
        for mail in mails:
            mail.allowed = Allowed(at_once=1)
            assert lanes.hold(mail) is None
            lanes.submit(mail)
        for _ in range(20):
            await asyncio.sleep(0)
        assert yard.settled == []
        first.gate.set()
    assert [subject.event_id for subject, _ in yard.settled] == ["first", "third", "bulk"], "campaigns let others go"


async def test_a_campaign_that_may_not_go_yet_keeps_no_turn_from_other_mail_of_its_mailbox() -> None:
    yard = Yard()
    mails = [placed(BEA, entry("first")), entry("campaign", bulk=True), entry("other")]
    async with yard.open() as lanes:
        yard.transport.outgoing(BEA).gate.clear()
        for mail in mails:
            mail.allowed = Allowed(at_once=1)
            assert lanes.hold(mail) is None
            lanes.submit(mail)
            await asyncio.sleep(0)
        yard.transport.outgoing(BEA).gate.set()
    assert [subject.event_id for subject, _ in yard.settled] == ["first", "other", "campaign"]


async def test_a_profile_goes_on_when_this_worker_has_a_part_of_it_again() -> None:
    """Also where all its slots were taken meanwhile, so that it did not move."""
    yard, allowed = Yard(), Allowed(at_once=1)
    place = WorkingMailbox("P", "")
    other = next(name for name in ("a", "z") if shares(name, place) == 0)
    async with yard.open(concurrency=1) as lanes:
        yard.peers.heard(News(worker=other))
        first, second = entry("first"), placed(BEA, entry("second"))
        for mail in (first, second):
            mail.allowed = allowed
        assert isinstance(lanes.hold(first), Waiting), "it is the other's"
        lanes.submit(first)  # it was let in a moment before
        await asyncio.sleep(0)
        yard.clock.seconds += STALLED_SECONDS + 0.1
        yard.peers.heard(News(worker=other, leaving=True))
        lanes.hold(second)
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        assert lanes.hold(second) is None


async def test_what_has_expired_waits_in_no_line() -> None:
    """It is reported at once; else it would come back each second, until its turn."""
    yard = Yard()
    async with yard.open() as lanes:
        expired = yard.clock.now() - timedelta(seconds=5)
        later = rfc3339(yard.clock.now() + timedelta(hours=5))
        for history in (History(due_at=later), History(room_at=later)):
            mail = entry(pacing=Pacing(per_minute=1), history=history, expires_at=expired)
            mail.allowed = Allowed(per_minute=4)
            assert lanes.hold(mail) is None
            mail.expires_at = None
            assert isinstance(lanes.hold(mail), Waiting)


async def test_a_turn_of_the_profile_is_none_of_the_mailbox() -> None:
    yard, limited = Yard(), Pacing(per_minute=30)
    async with yard.open() as lanes:
        line = [lanes.hold(entry(f"mail-{number}", pacing=limited)) for number in range(100)]
        turn = rfc3339(yard.clock.now())
        held = lanes.hold(entry("had room", pacing=limited, history=History(room_at=turn)))
    last = line[-1]
    assert isinstance(last, Waiting)
    assert isinstance(held, Waiting)
    assert held.delay_seconds > last.delay_seconds


async def test_who_does_not_answer_makes_no_line_longer() -> None:
    yard, limited = Yard(), Pacing(per_minute=120)
    async with yard.open() as lanes:
        for number in range(10):
            yard.something_settled.clear()
            mailbox = yard.transport.outgoing(ANNA)
            mailbox.look_script.append(TROUBLE)
            mailbox.gate.clear()
            lanes.submit(entry(f"slow-{number}"))
            await asyncio.sleep(0)
            yard.clock.seconds += 120
            mailbox.gate.set()
            await asyncio.wait_for(yard.something_settled.wait(), 5)
        yard.clock.seconds += 3600
        held = [lanes.hold(entry(f"mail-{number}", pacing=limited)) for number in range(200)]
    last = held[-1]
    assert isinstance(last, Waiting)
    assert last.delay_seconds < 50


async def test_a_profile_that_has_made_its_requests_keeps_its_mail_in_the_broker() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        for number in range(3):
            mail = placed(WorkingMailbox("P", f"user{number}@contoso.example"), entry(f"mail-{number}"))
            mail.allowed = Allowed(per_minute=4)
            assert lanes.hold(mail) is None, "there is room until the first one has begun"
            lanes.submit(mail)
    assert yard.batches() == [1]
    waiting = [each for each in yard.outcomes() if isinstance(each, Waiting)]
    assert len({each.delay_seconds for each in waiting}) == 2, "one comes back behind the other"
