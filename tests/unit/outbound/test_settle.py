"""Where a delivery ends, and in which order: kept where a person finds it, told to the CRM, moved on, acked."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.outbound.build import DEFERRED, REASON, TROUBLE, entry
from tests.unit.outbound.fakes import FakeBroker, FakeDelivery, Journal, StubClock
from worker import retry
from worker.events.decode import Invalid
from worker.mail.outcome import Deferred, Delivered, Reason, Rejected, Scope, Unresolved
from worker.outbound.entry import Entry, Outcome, Waiting
from worker.outbound.history import History
from worker.outbound.settle import Settlement


class Desk:
    def __init__(self, max_attempts: int = 10) -> None:
        self.journal = Journal()
        self.broker = FakeBroker(self.journal)
        self.clock = StubClock()
        self.settlement = Settlement(
            self.broker, self.clock, max_attempts=max_attempts, horizon=timedelta(days=7), max_wait=timedelta(days=3)
        )

    async def settle(self, outcome: Outcome, **state: Any) -> tuple[Entry, str]:
        subject = entry(deliveries=[FakeDelivery(self.journal)], **state)
        return subject, await self.settlement.settle(subject, outcome)

    def statuses(self) -> list[tuple[str, dict[str, Any]]]:
        return [(key, event["data"]) for key, event, _ in self.journal.of("publish")]


async def test_accepted_is_told_before_the_ack() -> None:
    desk = Desk()
    _, name = await desk.settle(Delivered("<a@b>"))
    assert name == "accepted"
    assert desk.journal.kinds() == ["publish", "ack"]
    [(key, data)] = desk.statuses()
    assert key == "email.accepted"
    assert data["message_id"] == "<a@b>"
    assert (data["email_id"], data["event_id"], data["attempt"]) == ("mail-1", "event-1", 1)


async def test_every_delivery_of_an_entry_is_acked_and_told_once() -> None:
    desk = Desk()
    subject = entry(deliveries=[FakeDelivery(desk.journal), FakeDelivery(desk.journal)])
    await desk.settlement.settle(subject, Delivered("<a@b>"))
    assert desk.journal.kinds() == ["publish", "ack", "ack"]


async def test_a_failed_attempt_is_told_parked_and_then_acked() -> None:
    desk = Desk()
    _, name = await desk.settle(DEFERRED, history=History(attempts=1), doubt=True)
    assert name == "deferred"
    assert desk.journal.kinds() == ["publish", "park", "ack"]
    [(delay, headers, _)] = desk.journal.of("park")
    assert delay == retry.ATTEMPTS[1]
    assert (headers["x-attempts"], headers["x-doubt"]) == (2, True)
    [(key, data)] = desk.statuses()
    assert key == "email.deferred"
    assert data["reason"]["code"] == DEFERRED.reason.code
    assert data["retry_at"] == "2026-11-23T08:00:30.000Z"


async def test_trouble_beyond_the_message_uses_up_no_attempt_and_is_told_once() -> None:
    desk = Desk()
    await desk.settle(TROUBLE, history=History(attempts=1))
    await desk.settle(TROUBLE, history=History(attempts=1, waits=1, told=TROUBLE.reason.code))
    assert desk.journal.kinds() == ["publish", "park", "ack", "park", "ack"]
    assert [headers["x-attempts"] for _, headers, _ in desk.journal.of("park")] == [1, 1]
    assert [headers["x-waits"] for _, headers, _ in desk.journal.of("park")] == [1, 2]


async def test_the_servers_own_time_is_kept_to() -> None:
    desk = Desk()
    await desk.settle(TROUBLE)
    [(delay, _, _)] = desk.journal.of("park")
    assert delay == TROUBLE.retry_after_seconds


async def test_a_retry_does_not_outlast_the_expiry() -> None:
    desk = Desk()
    await desk.settle(DEFERRED, history=History(attempts=8), expires_at=desk.clock.now() + timedelta(seconds=90))
    [(delay, _, _)] = desk.journal.of("park")
    assert delay == 90


async def test_a_mail_whose_expiry_is_past_does_not_circle_until_it_can_be_reported() -> None:
    desk = Desk()
    busy = Deferred(Reason("ErrorServerBusy", Scope.MAILBOX, "busy"), 300.0)
    await desk.settle(busy, expires_at=desk.clock.now() - timedelta(seconds=1))
    [(delay, _, _)] = desk.journal.of("park")
    assert delay == 300


async def test_waiting_is_parked_and_not_told() -> None:
    desk = Desk()
    _, name = await desk.settle(Waiting(30, "in doubt", 2), doubt=True)
    assert name == "parked"
    assert desk.journal.kinds() == ["park", "ack"]
    [(_, headers, _)] = desk.journal.of("park")
    assert (headers["x-empty-looks"], headers["x-doubt"]) == (2, True)


async def test_refused_by_exchange_is_told_and_not_kept() -> None:
    desk = Desk()
    await desk.settle(Rejected(REASON))
    assert desk.journal.kinds() == ["publish", "ack"]
    [(key, data)] = desk.statuses()
    assert key == "email.failed"
    assert data["reason"] == {
        "code": REASON.code,
        "scope": "message",
        "message": REASON.message,
        "remedy": REASON.remedy,
    }


@pytest.mark.parametrize("code", ["too-old", "no-profile"])
async def test_what_an_operator_can_put_right_is_kept(code: str) -> None:
    desk = Desk()
    await desk.settle(Rejected(Reason(code, Scope.MAILBOX, "why", "what to do")))
    assert desk.journal.kinds() == ["bury", "publish", "ack"]
    [(burial, _)] = desk.journal.of("bury")
    assert (burial.reason, burial.detail, burial.remedy, burial.attempts) == (code, "why", "what to do", 1)


async def test_given_up_is_kept() -> None:
    desk = Desk()
    await desk.settle(Rejected(REASON), last_attempt=True)
    assert desk.journal.kinds() == ["bury", "publish", "ack"]


async def test_unresolved_is_kept_as_evidence_and_told() -> None:
    desk = Desk()
    await desk.settle(Unresolved(REASON))
    assert desk.journal.kinds() == ["bury", "publish", "ack"]
    assert desk.statuses()[0][0] == "email.unresolved"


async def test_trouble_far_beyond_the_horizon_ends_with_a_person() -> None:
    desk = Desk()
    desk.clock.seconds = timedelta(days=9).total_seconds()
    _, name = await desk.settle(TROUBLE)
    assert name == "unresolved"


@pytest.mark.parametrize("full", ["publish", "park"])
async def test_what_the_broker_does_not_confirm_is_given_back_not_acked(full: str) -> None:
    desk = Desk()
    desk.broker.full = {full}
    _, name = await desk.settle(DEFERRED)
    assert name == "unsettled"
    assert desk.journal.kinds()[-1] == "give_back"
    assert "ack" not in desk.journal.kinds()


async def test_an_invalid_event_is_kept_and_told_where_an_id_can_be_read() -> None:
    desk = Desk()
    delivery = FakeDelivery(desk.journal)
    await desk.settlement.refuse(delivery, Invalid("data.subject", "must be text", email_id="mail-1"))
    assert desk.journal.kinds() == ["bury", "publish", "ack"]
    [(burial, kept)] = desk.journal.of("bury")
    assert kept is delivery
    assert burial.reason == "invalid-event"
    assert "data.subject" in burial.detail
    assert desk.statuses()[0][0] == "email.failed"


async def test_an_invalid_event_without_an_id_is_kept() -> None:
    desk = Desk()
    await desk.settlement.refuse(FakeDelivery(desk.journal), Invalid("", "is not JSON"))
    assert desk.journal.kinds() == ["bury", "ack"]


async def test_the_id_of_a_status_tells_repeats_apart_from_news() -> None:
    desk = Desk()
    await desk.settle(DEFERRED)
    await desk.settle(DEFERRED)
    await desk.settle(DEFERRED, history=History(attempts=1))
    first, again, second = [message_id for _, _, message_id in desk.journal.of("publish")]
    assert first == again != second
