"""Whose turn it is: by time, by hint, by share, and not while in trouble."""

import itertools
from collections.abc import Sequence

from worker.inbound.schedule import LOST_SECONDS, SUSPECT_FROM, WAITS, Schedule, Watch
from worker.inbound.ticket import Hint, Polled
from worker.mail.outcome import Reason, Scope
from worker.profiles.directory import IncomingRoute
from worker.profiles.loader import parse

MAILBOX_DENIED = Reason("ErrorAccessDenied", Scope.MAILBOX, "denied", "grant it")
SERVER_DOWN = Reason("unreachable", Scope.SERVER, "down")
ONE_MAIL = Reason("no-answer-timeout", Scope.MESSAGE, "no answer")


def routes(*counts: int, poll_seconds: float = 10) -> tuple[IncomingRoute, ...]:
    """So many mailboxes of one profile each."""
    profiles = [
        {
            "name": f"P{number}",
            "direction": "incoming",
            "server": "exchange",
            "location": "https://mail.contoso.example/EWS/Exchange.asmx",
            "username": "router@contoso.example",
            "password": "env:PATH",
            "poll_seconds": poll_seconds,
        }
        for number in range(len(counts))
    ]
    mailboxes = [
        {"address": f"user{each}@p{number}.example", "incoming": f"P{number}"}
        for number, count in enumerate(counts)
        for each in range(count)
    ]
    return parse({"profile": profiles, "mailbox": mailboxes}, "test").incoming()


def schedule(*counts: int, capacity: int = 100) -> Schedule:
    return Schedule(routes(*counts), 0.0, itertools.repeat(0.0), capacity)


def report(watch: Watch, reason: Reason | None = None, **more: object) -> Polled:
    working = watch.route.working
    return Polled(1, working.profile, working.address, reason=reason, **more)  # type: ignore[arg-type]


def hint(watch: Watch) -> Hint:
    return Hint(watch.route.working.profile, (watch.route.working.address,))


def back(plan: Schedule, watches: Sequence[Watch], now: float, reason: Reason | None = None) -> None:
    for watch in watches:
        plan.polled(report(watch, reason), now)


def test_each_mailbox_is_out_once_and_again_after_its_interval() -> None:
    plan = schedule(3)
    out = plan.take(1.0)
    assert len(out) == 3
    assert plan.take(100.0) == []
    back(plan, out, 100.0)
    assert len(plan.take(100.0)) == 3, "the interval counts from the beginning of the poll"
    back(plan, out, 100.5)
    assert plan.take(100.6) == []
    assert 100.6 < plan.next_at(100.6) <= 110.0
    assert len(plan.take(110.0)) == 3


def test_the_first_polls_are_spread() -> None:
    plan = schedule(1000, capacity=1000)
    assert len(plan.take(0.0)) < 20
    assert len(plan.take(5.0)) > 450


def test_a_hint_makes_it_due_at_once_and_one_that_is_out_once_more() -> None:
    plan = schedule(1)
    (watch,) = plan.take(0.0)
    plan.heard(hint(watch), 0.5)
    assert plan.take(0.5) == []
    plan.polled(report(watch), 1.0)
    assert plan.take(1.0) == [watch]
    plan.polled(report(watch), 2.0)
    assert plan.take(2.5) == []
    plan.heard(hint(watch), 3.0)
    plan.heard(hint(watch), 3.0)
    assert plan.take(3.0) == [watch]
    plan.heard(Hint("P0", ("nobody@p0.example",)), 3.0)
    plan.heard(Hint("nobody", ("user0@p0.example",)), 3.0)


def test_more_goes_to_the_end_of_the_line() -> None:
    plan = schedule(3, capacity=1)
    (huge,) = plan.take(1.0)
    plan.polled(report(huge, more=True), 2.0)
    (other,) = plan.take(2.0)
    assert other is not huge
    plan.polled(report(other), 3.0)
    (third,) = plan.take(3.0)
    assert third not in (huge, other)
    plan.polled(report(third), 4.0)
    assert plan.take(4.0) == [huge]


def test_a_profile_that_does_not_answer_keeps_its_share_only() -> None:
    plan = schedule(50, 50, capacity=10)
    first = plan.take(1.0)
    assert sorted(watch.route.working.profile for watch in first) == ["P0"] * 5 + ["P1"] * 5
    back(plan, [watch for watch in first if watch.route.working.profile == "P1"], 2.0)
    assert {watch.route.working.profile for watch in plan.take(2.0)} == {"P1"}


def test_a_mailbox_in_trouble_waits_longer_and_longer_and_hints_do_not_change_that() -> None:
    plan = schedule(2)
    watch, other = plan.take(1.0)
    plan.polled(report(other), 1.0)
    now = 1.0
    for wait in (*WAITS, WAITS[-1]):
        turn = plan.polled(report(watch, MAILBOX_DENIED), now)
        assert turn.began is not None
        plan.heard(hint(watch), now)
        assert watch not in plan.take(now + wait - 0.1)
        plan.heard(hint(watch), now)
        now += wait + 0.1
        found = plan.take(now)
        assert watch in found
        back(plan, [each for each in found if each is not watch], now)
    turn = plan.polled(report(watch), now)
    assert turn.ended is not None
    assert turn.ended.failures == len(WAITS) + 1
    assert watch.trouble is None


def test_the_server_names_the_wait() -> None:
    plan = schedule(1)
    (watch,) = plan.take(0.0)
    plan.polled(report(watch, MAILBOX_DENIED, retry_after_seconds=300.0), 0.0)
    assert plan.take(299.0) == []
    assert plan.take(301.0) == [watch]


def test_a_server_in_trouble_is_probed_by_one_mailbox() -> None:
    plan = schedule(20)
    out = plan.take(1.0)
    back(plan, out, 1.0, SERVER_DOWN)
    trouble = plan.lanes["P0"].trouble
    assert trouble is not None
    assert trouble.failures == 1, "what was out already does not count again"
    assert plan.take(1.0 + WAITS[0] - 0.1) == []
    assert plan.next_at(1.5) == trouble.until
    (probe,) = plan.take(1.0 + WAITS[0] + 0.1)
    assert plan.take(5.0) == []
    plan.polled(report(probe, SERVER_DOWN), 5.0)
    assert plan.take(9.0) == []
    (probe,) = plan.take(10.5)
    assert plan.polled(report(probe), 11.0).ended is not None
    assert len(plan.take(11.0)) == 19


def test_a_poll_nobody_reports_is_forgotten_in_the_end() -> None:
    plan = schedule(1)
    (watch,) = plan.take(0.0)
    assert plan.take(LOST_SECONDS - 1) == []
    assert plan.take(LOST_SECONDS) == [watch]
    plan.polled(report(watch), LOST_SECONDS + 1)
    assert plan.take(LOST_SECONDS + 2) == []
    assert plan.take(2 * LOST_SECONDS) == [watch]


def test_a_mail_that_holds_up_many_polls_is_suspected() -> None:
    plan = schedule(1)
    now = 0.0
    (watch,) = plan.watches.values()
    for _ in range(SUSPECT_FROM):
        assert plan.take(now) == [watch]
        assert watch.suspect == ""
        plan.polled(report(watch, ONE_MAIL, stuck="a"), now)
        now += 100
    assert watch.suspect == "a"
    plan.take(now)
    plan.polled(report(watch, ONE_MAIL, stuck="b"), now)
    assert watch.suspect == ""


def test_no_mail_is_suspected_where_the_whole_mailbox_is_denied() -> None:
    """A right that is taken away between sync and fetch may be told of a mail first, and then of the mailbox."""
    plan = schedule(1)
    now = 0.0
    (watch,) = plan.watches.values()
    for turn in range(3 * SUSPECT_FROM):
        assert plan.take(now) == [watch]
        denied = turn % SUSPECT_FROM == SUSPECT_FROM - 1
        plan.polled(report(watch, MAILBOX_DENIED if denied else ONE_MAIL, stuck="" if denied else "a"), now)
        assert watch.suspect == ""
        now += 100


def test_a_ticket_that_did_not_get_out_is_tried_again() -> None:
    plan = schedule(1)
    (watch,) = plan.take(0.0)
    plan.not_issued(watch, 0.0)
    assert plan.take(1.0) == []
    assert plan.take(2.0) == [watch]


def test_a_thousand_polls_leave_no_heap_behind() -> None:
    plan = schedule(1)
    now = 0.0
    for _ in range(1000):
        (watch,) = plan.take(now)
        plan.polled(report(watch), now)
        now += 10
    assert len(plan._times) < 10


def test_a_thousand_hints_leave_no_heap_behind() -> None:
    plan = Schedule(routes(3, poll_seconds=3600), 0.0, itertools.repeat(0.0), 100)
    watches = plan.take(1.0)
    now = 1.0
    for _ in range(1000):
        back(plan, watches, now)
        for watch in watches:
            plan.heard(hint(watch), now + 0.5)
        now += 1.0
        assert plan.take(now) == watches
    assert len(plan._times) <= 4 * len(watches)
    back(plan, watches, now)
    assert plan.next_at(now) > now
    assert plan.take(now + 3600.0) == watches, "none was forgotten"


def test_the_oldest_trouble_is_told_by_scope_until_it_ends() -> None:
    plan = schedule(2, 1)
    first, second, other = plan.take(1.0)
    back(plan, [first], 1.0, MAILBOX_DENIED)
    back(plan, [second], 5.0, MAILBOX_DENIED)
    back(plan, [other], 7.0, SERVER_DOWN)
    assert [plan.longest_seconds(each, 10.0) for each in (Scope.MAILBOX, Scope.PROFILE, Scope.SERVER)] == [
        9.0,
        0.0,
        3.0,
    ]
    plan.polled(report(first), 10.0)
    assert plan.longest_seconds(Scope.MAILBOX, 10.0) == 5.0
