"""Each row of the table in worker/outbound/rules.py."""

from datetime import timedelta

import pytest

from tests.unit.outbound.build import DEFERRED, DRAFT, EXPIRY, NOW, OTHER, REASON, TROUBLE, entry
from worker.mail.outcome import Deferred, Delivered, Rejected, Unknown, Unresolved
from worker.mail.transport import Drafted, Sight
from worker.outbound import rules
from worker.outbound.entry import Create, Done, LookFor, Retire, Send, Waiting
from worker.outbound.history import History

ONE = Sight(live=(DRAFT,))
SEVERAL = Sight(live=(DRAFT, OTHER))
LEFT = Sight(left_as="<a@b>", live=(OTHER,))
NOTHING = Sight()


def test_create_goes_to_a_look_and_is_in_doubt_once_confirmed() -> None:
    subject = entry()
    assert rules.after_create(subject, Drafted()) == LookFor()
    assert subject.doubt


def test_create_without_an_answer_goes_to_a_look_and_no_further() -> None:
    subject = entry()
    assert rules.after_create(subject, Unknown(REASON)) == LookFor()
    assert not subject.doubt


def test_refused_create_ends_only_after_a_look() -> None:
    subject = entry()
    assert rules.after_create(subject, Rejected(REASON)) == LookFor()
    assert rules.after_look(subject, NOTHING, NOW, NOW) == Done(Rejected(REASON))


def test_deferred_create_is_given_back() -> None:
    assert rules.after_create(entry(), DEFERRED) == Done(DEFERRED)


def test_deferred_on_the_last_attempt_is_given_up_after_a_look() -> None:
    subject = entry(last_attempt=True)
    assert rules.after_create(subject, DEFERRED) == LookFor()
    assert rules.after_look(subject, SEVERAL, NOW, NOW) == Retire((DRAFT, OTHER), all_of_them=True)
    assert rules.after_look(subject, NOTHING, NOW, NOW) == Done(Rejected(DEFERRED.reason))


def test_trouble_beyond_the_message_never_uses_up_the_last_attempt() -> None:
    assert rules.after_create(entry(last_attempt=True), TROUBLE) == Done(TROUBLE)


def test_what_has_left_is_accepted_whatever_else_is_seen() -> None:
    for subject in (entry(), entry(doubt=True), entry(verdict=REASON), entry(expires_at=NOW)):
        assert rules.after_look(subject, LEFT, NOW, NOW) == Done(Delivered("<a@b>"))


def test_only_a_draft_alone_is_sent() -> None:
    assert rules.after_look(entry(), ONE, NOW, NOW) == Send(DRAFT)


def test_of_several_all_but_the_first_are_retired() -> None:
    assert rules.after_look(entry(), SEVERAL, NOW, NOW) == Retire((OTHER,), all_of_them=False)


def test_nothing_without_doubt_begins_anew() -> None:
    assert rules.after_look(entry(), NOTHING, NOW, NOW) == Create()


def test_nothing_with_doubt_is_looked_for_thrice_and_never_created_again() -> None:
    for looks in range(2):
        step = rules.after_look(entry(doubt=True, history=History(empty_looks=looks)), NOTHING, NOW, NOW)
        assert isinstance(step, Done)
        assert isinstance(step.outcome, Waiting)
        assert step.outcome.empty_looks == looks + 1
    step = rules.after_look(entry(doubt=True, history=History(empty_looks=2)), NOTHING, NOW, NOW)
    assert isinstance(step, Done)
    assert isinstance(step.outcome, Unresolved)


def test_sent_is_accepted() -> None:
    assert rules.after_send(entry(), Delivered("<a@b>")) == Done(Delivered("<a@b>"))


def test_sent_without_a_message_id_is_looked_for_and_accepted_in_any_case() -> None:
    subject = entry(doubt=True)
    assert rules.after_send(subject, Delivered("", drafted_as="<c@d>")) == LookFor()
    assert rules.after_look(subject, NOTHING, NOW, NOW) == Done(Delivered("<c@d>"))
    assert rules.after_look(subject, LEFT, NOW, NOW) == Done(Delivered("<a@b>"))
    assert rules.after_look(subject, Sight(left_as=""), NOW, NOW) == Done(Delivered("<c@d>")), "shown without one"


def test_send_without_an_answer_is_looked_for_never_repeated() -> None:
    assert rules.after_send(entry(), Unknown(REASON)) == LookFor()


def test_no_answer_again_and_again_is_given_back() -> None:
    subject = entry()
    for _ in range(rules.MAX_UNANSWERED):
        assert rules.after_send(subject, Unknown(REASON)) == LookFor()
    assert rules.after_send(subject, Unknown(REASON)) == Done(Deferred(REASON))


def test_refused_send_retires_looks_and_fails() -> None:
    subject = entry(doubt=True)
    assert rules.after_send(subject, Rejected(REASON)) == LookFor()
    assert rules.after_look(subject, ONE, NOW, NOW) == Retire((DRAFT,), all_of_them=True)
    assert rules.after_look(subject, NOTHING, NOW, NOW) == Done(Rejected(REASON))


def test_expired_before_create_looks_instead() -> None:
    subject = entry(expires_at=EXPIRY)
    assert rules.before_create(subject, EXPIRY - timedelta(seconds=1)) == Create()
    assert rules.before_create(subject, EXPIRY) == LookFor()


def test_expiry_is_decided_only_by_a_look_that_began_after_it() -> None:
    subject = entry(expires_at=EXPIRY)
    late = EXPIRY + timedelta(seconds=30)
    early = rules.after_look(subject, NOTHING, EXPIRY - timedelta(seconds=1), late)
    assert isinstance(early, Done)
    assert isinstance(early.outcome, Waiting)
    within_allowance = rules.after_look(subject, NOTHING, EXPIRY + timedelta(seconds=1), late)
    assert isinstance(within_allowance, Done)
    assert isinstance(within_allowance.outcome, Waiting)
    decided = rules.after_look(subject, NOTHING, late, late)
    assert isinstance(decided, Done)
    assert isinstance(decided.outcome, Rejected)
    assert decided.outcome.reason.code == "expired"


@pytest.mark.parametrize("sight", [ONE, SEVERAL])
def test_expired_drafts_are_all_retired_not_sent(sight: Sight) -> None:
    assert rules.after_look(entry(expires_at=EXPIRY), sight, EXPIRY, EXPIRY) == Retire(sight.live, all_of_them=True)


def test_a_mail_larger_than_its_profile_takes_fails_before_exchange_is_asked() -> None:
    subject = entry()
    subject.max_bytes = subject.message.mail_bytes
    assert rules.before_create(subject, NOW) == Create()
    subject.max_bytes -= 1
    assert rules.before_create(subject, NOW) == LookFor(), "another delivery may have sent it, by another limit"
    step = rules.after_look(subject, NOTHING, NOW, NOW)
    assert isinstance(step, Done)
    assert isinstance(step.outcome, Rejected)
    assert step.outcome.reason.code == "message-too-large"
