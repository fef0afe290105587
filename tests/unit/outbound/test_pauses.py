"""Who is asked while something is in trouble, and who is not."""

from dataclasses import replace

from tests.unit.outbound.build import DEFERRED, TROUBLE
from tests.unit.outbound.fakes import StubClock
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.transport import WorkingMailbox
from worker.outbound import pauses as module
from worker.outbound.pauses import Pauses

ANNA = WorkingMailbox("P", "anna@contoso.example")
BEA = WorkingMailbox("P", "bea@contoso.example")
CARA = WorkingMailbox("Q", "cara@fabrikam.example")
DOWN = Deferred(Reason("unreachable", Scope.SERVER, "no connection"))
LOST = Deferred(Reason("no-answer-cut", Scope.SERVER, "no whole answer"))


def test_a_mailbox_in_trouble_pauses_alone_and_for_as_long_as_the_server_said() -> None:
    clock = StubClock()
    pauses = Pauses(clock)
    pauses.failed(ANNA, TROUBLE)
    assert pauses.of(ANNA) == Deferred(TROUBLE.reason, 3.0)
    assert pauses.of(BEA) is None
    assert pauses.mailboxes == 1
    clock.seconds = 3.1
    assert pauses.of(ANNA) is None
    assert pauses.mailboxes == 0


def test_a_profile_or_server_in_trouble_pauses_its_profile_and_no_other() -> None:
    pauses = Pauses(StubClock())
    pauses.failed(ANNA, DOWN)
    assert pauses.of(BEA)
    assert pauses.of(CARA) is None


def test_what_fails_for_its_own_reason_pauses_nobody() -> None:
    pauses = Pauses(StubClock())
    pauses.failed(ANNA, DEFERRED)
    assert pauses.of(ANNA) is None


def test_one_lost_answer_proves_nothing_two_in_a_row_do() -> None:
    pauses = Pauses(StubClock())
    pauses.failed(ANNA, LOST)
    assert pauses.of(ANNA) is None
    pauses.failed(ANNA, LOST)
    assert pauses.of(ANNA)


def test_a_mail_that_goes_out_ends_the_trouble() -> None:
    pauses = Pauses(StubClock())
    pauses.failed(ANNA, LOST)
    pauses.succeeded(BEA)
    pauses.failed(ANNA, LOST)
    assert pauses.of(ANNA) is None


def test_the_oldest_trouble_is_told_by_scope_while_probes_come() -> None:
    clock = StubClock()
    pauses = Pauses(clock)
    pauses.failed(ANNA, TROUBLE)
    clock.seconds = 100.0
    pauses.failed(ANNA, TROUBLE)
    pauses.failed(BEA, TROUBLE)
    pauses.failed(CARA, DOWN)
    clock.seconds = 110.0
    assert [pauses.longest_seconds(each) for each in (Scope.MAILBOX, Scope.PROFILE, Scope.SERVER)] == [110.0, 0.0, 10.0]
    clock.seconds = 200.0
    pauses.succeeded(ANNA)
    assert pauses.longest_seconds(Scope.MAILBOX) == 100.0
    clock.seconds = 103.0 + module.FRESH_SECONDS
    assert pauses.longest_seconds(Scope.MAILBOX) == 0.0, "no mail waits: nobody has probed"


def test_pauses_grow_while_probes_fail() -> None:
    clock = StubClock()
    pauses = Pauses(clock)
    waits = []
    for _ in range(6):
        pauses.failed(ANNA, DOWN)
        paused = pauses.of(ANNA)
        assert paused
        assert paused.retry_after_seconds
        waits.append(paused.retry_after_seconds)
        clock.seconds += paused.retry_after_seconds
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] == waits[-2]


def test_what_has_run_out_is_forgotten_when_there_is_too_much() -> None:
    clock = StubClock()
    pauses = Pauses(clock)
    for number in range(module.MOST):
        pauses.failed(replace(ANNA, address=f"{number}@contoso.example"), TROUBLE)
    clock.seconds = 10
    pauses.failed(ANNA, TROUBLE)
    assert len(pauses._pauses) == 1
