"""Who is asked while something is in trouble, and who is not."""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.unit.outbound.build import DEFERRED, TROUBLE
from tests.unit.outbound.fakes import StubClock
from worker.fleet import pauses as module
from worker.fleet.pauses import SPACING, Key, Pauses
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.transport import WorkingMailbox

ANNA = WorkingMailbox("P", "anna@contoso.example")
BEA = WorkingMailbox("P", "bea@contoso.example")
CARA = WorkingMailbox("Q", "cara@fabrikam.example")
DAN = WorkingMailbox("R", "dan@contoso.example")
DOWN = Deferred(Reason("unreachable", Scope.SERVER, "no connection"))
DENIED = Deferred(Reason("http-401", Scope.PROFILE, "refused"))
REFUSED = Deferred(Reason("ErrorSendAsDenied", Scope.MAILBOX, "it may not send as that sender"))
LOST = Deferred(Reason("no-answer-cut", Scope.MAILBOX, "no whole answer"))


def server_of(mailbox: WorkingMailbox) -> str:
    return "mail.fabrikam.example" if mailbox.profile == "Q" else "mail.contoso.example"


class Scene:
    def __init__(self, *, rank: int = 0) -> None:
        self.clock = StubClock()
        self.changed: list[Key] = []
        self.pauses = Pauses(
            self.clock, server_of=server_of, probe_seconds=30, rank=lambda: rank, changed=self.changed.append
        )

    def probe(self, mailbox: WorkingMailbox = ANNA) -> bool:
        return self.pauses.claim(mailbox) is None

    def wait(self, seconds: float) -> None:
        self.clock.seconds += seconds


def test_a_mailbox_in_trouble_pauses_alone_and_for_as_long_as_the_server_said() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, TROUBLE)
    assert scene.pauses.of(ANNA) == Deferred(TROUBLE.reason, 3.0)
    assert scene.pauses.of(BEA) is None
    assert scene.pauses.mailboxes == 1
    scene.wait(2.9)
    assert not scene.probe()
    scene.wait(0.2)
    assert scene.probe()


@pytest.mark.parametrize(("failure", "free"), [(TROUBLE, {BEA, CARA, DAN}), (DENIED, {CARA, DAN}), (DOWN, {CARA})])
def test_what_a_failure_speaks_about_is_paused(failure: Deferred, free: set[WorkingMailbox]) -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, failure)
    assert {each for each in (ANNA, BEA, CARA, DAN) if scene.pauses.of(each) is None} == free
    assert scene.pauses.longest_seconds(failure.reason.scope) == 0.0
    scene.wait(7)
    assert scene.pauses.longest_seconds(failure.reason.scope) == 7.0


@pytest.mark.parametrize(("failure", "may_look"), [(REFUSED, True), (TROUBLE, False), (DENIED, False), (DOWN, False)])
def test_who_may_not_send_may_be_looked_for(failure: Deferred, may_look: bool) -> None:  # noqa: FBT001
    """A missing right is in the way of sending alone; a time that the server names is in the way of everything."""
    scene = Scene()
    scene.pauses.failed(ANNA, failure)
    assert scene.pauses.of(ANNA) is not None
    assert (scene.pauses.of(ANNA, looking=True) is None) is may_look
    assert (scene.pauses.claim(ANNA, looking=True) is None) is may_look


def test_to_look_is_not_to_probe() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, REFUSED)
    scene.wait(60)
    assert scene.pauses.claim(ANNA, looking=True) is None
    assert scene.probe()
    assert not scene.probe()


def test_what_fails_for_its_own_reason_pauses_nobody() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, DEFERRED)
    assert scene.pauses.of(ANNA) is None


def test_behind_a_pause_one_mail_is_the_probe_and_ends_it() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, DOWN)
    scene.wait(60)
    assert scene.probe(BEA)
    assert not scene.probe(ANNA)
    assert not scene.probe(DAN)
    assert scene.pauses.of(ANNA)
    scene.pauses.succeeded(BEA)
    assert scene.probe(ANNA)
    assert scene.probe(DAN)
    assert not scene.pauses.states()


def test_a_probe_that_says_nothing_leaves_it_to_the_next() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, TROUBLE)
    scene.wait(4)
    assert scene.probe()
    scene.pauses.undecided(ANNA)
    assert scene.probe()


def test_a_probe_that_nobody_answers_for_is_not_waited_for_for_ever() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, TROUBLE)
    scene.wait(4)
    assert scene.probe()
    scene.wait(31)
    assert scene.probe()


def test_another_worker_probes_first_if_it_has_a_mail() -> None:
    scene = Scene(rank=2)
    scene.pauses.failed(ANNA, TROUBLE)
    scene.wait(3.1)
    assert not scene.probe()
    scene.wait(0.6)
    assert scene.probe()


def test_one_lost_answer_proves_nothing_two_in_a_row_do() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, LOST)
    assert scene.probe()
    assert scene.probe()
    assert not scene.pauses.states()
    scene.pauses.failed(ANNA, LOST)
    assert scene.pauses.of(ANNA)


def test_several_silent_mailboxes_are_their_server() -> None:
    scene = Scene()
    for mailbox in (ANNA, BEA, DAN):
        assert scene.pauses.of(replace(ANNA, address="other@contoso.example")) is None
        scene.pauses.failed(mailbox, LOST)
    assert scene.pauses.of(replace(ANNA, address="other@contoso.example"))
    assert scene.pauses.of(CARA) is None


def test_a_mailbox_that_answers_between_acquits_its_server() -> None:
    scene = Scene()
    for mailbox in (ANNA, BEA, DAN):
        scene.pauses.failed(mailbox, LOST)
        scene.pauses.succeeded(replace(ANNA, address="well@contoso.example"))
    assert scene.pauses.of(replace(ANNA, address="other@contoso.example")) is None


def test_a_mail_that_goes_out_ends_the_trouble() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, DENIED)
    scene.pauses.succeeded(BEA)
    assert scene.pauses.of(ANNA) is None
    assert scene.changed == [Key("P"), Key("P")]


def test_pauses_grow_while_probes_fail_up_to_half_a_minute() -> None:
    scene = Scene()
    waits = []
    for _ in range(6):
        scene.pauses.failed(ANNA, DOWN)
        paused = scene.pauses.of(ANNA)
        assert paused
        assert paused.retry_after_seconds
        waits.append(paused.retry_after_seconds)
        scene.wait(paused.retry_after_seconds)
        assert scene.probe()
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] == waits[-2] == 30.0


def test_what_fails_during_a_pause_does_not_lengthen_it() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, DOWN)
    [before] = scene.pauses.states()
    scene.pauses.failed(BEA, DOWN)
    assert [each.tries for each in scene.pauses.states()] == [before.tries]


def test_what_waits_comes_back_one_after_the_other() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, DOWN)
    waits = [paused.retry_after_seconds or 0.0 for _ in range(500) if (paused := scene.pauses.of(BEA))]
    assert all(later - earlier == pytest.approx(SPACING) for earlier, later in pairwise(waits))
    [state] = scene.pauses.states()
    assert 500 <= state.waiting <= 500 + 1 / SPACING
    assert (state.server, state.mailbox, state.profile) == ("mail.contoso.example", "", "")


def test_a_pause_that_nobody_probes_any_more_is_forgotten() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, TROUBLE)
    scene.wait(module.STALE_SECONDS)
    assert scene.pauses.states()
    scene.wait(10)
    assert not scene.pauses.states()
    assert scene.pauses.mailboxes == 0


def test_what_has_run_out_is_forgotten_when_there_is_too_much() -> None:
    scene = Scene()
    for number in range(module.MOST):
        scene.pauses.failed(replace(ANNA, address=f"{number}@contoso.example"), TROUBLE)
    scene.wait(10)
    scene.pauses.failed(ANNA, TROUBLE)
    assert len(list(scene.pauses.all())) == 1


def test_what_a_server_allows_a_mailbox_holds_in_every_profile() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, TROUBLE)  # with a time that the server named
    reading = WorkingMailbox("R", ANNA.address)
    assert scene.pauses.closed(reading) == Deferred(TROUBLE.reason, 3.0)
    assert scene.pauses.closed(WorkingMailbox("Q", ANNA.address)) is None, "that one is on another server"
    scene.wait(3.1)
    assert scene.pauses.claim(reading, reading=True) is None
    assert scene.pauses.of(ANNA) is not None, "somebody is trying"
    scene.pauses.succeeded(reading)
    assert scene.pauses.of(ANNA) is None


def test_reading_takes_no_place_in_the_line() -> None:
    scene = Scene()
    scene.pauses.failed(ANNA, TROUBLE)
    for _ in range(5):
        assert scene.pauses.claim(ANNA, reading=True) == Deferred(TROUBLE.reason, 3.0)
    assert scene.pauses.of(ANNA) == Deferred(TROUBLE.reason, 3.0)
    assert scene.pauses.of(ANNA) == Deferred(TROUBLE.reason, 3.0 + SPACING)
