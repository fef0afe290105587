"""Files by URL: had before the draft and outside of the lane, and only where there is to be a draft."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from tests.unit.outbound.build import DEFERRED, EXPIRY, NOW, TROUBLE, entry, placed
from tests.unit.outbound.test_lanes import ANNA, BEA, Yard
from worker.mail.message import Attachment, Spooled
from worker.mail.outcome import Deferred, Delivered, Reason, Rejected, Scope, Unresolved
from worker.mail.transport import Look, Sight
from worker.outbound.entry import LookFor
from worker.outbound.fetching import AT_ONCE, IN_LINE

URL = "https://files.example/1"
OTHER = "https://other.example/1"
MISSING = Rejected(Reason("attachment-missing", Scope.MESSAGE, "there is no such file", "put it there"))


def slow(yard: Yard, url: str = URL) -> asyncio.Event:
    gate = yard.files.gates[url] = asyncio.Event()
    return gate


async def until(yard: Yard, kind: str, count: int = 1) -> None:
    while len(yard.journal.of(kind)) < count:  # noqa: ASYNC110 - one turn of the loop after the other
        await asyncio.sleep(0)


async def test_the_files_are_there_before_the_draft() -> None:
    yard = Yard()
    mail = entry("mail", URL, OTHER)
    mail.message = replace(
        mail.message, attachments=(Attachment("b.txt", "text/plain", b"UQ=="), *mail.message.attachments)
    )
    async with yard.open() as lanes:
        lanes.submit(mail)

    assert yard.journal.kinds() == ["fetch", "draft", "look", "send"]
    assert yard.journal.of("fetch") == [[URL, OTHER]]
    assert [type(each.content) for each in mail.message.attachments] == [bytes, Spooled, Spooled]
    assert [type(outcome) for outcome in yard.outcomes()] == [Delivered]
    assert [spool.closed for spool in yard.files.spools] == [True]


async def test_a_slow_download_delays_no_other_mail() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        gate = slow(yard)
        lanes.submit(entry("slow", URL))
        lanes.submit(entry("quick"))
        lanes.submit(entry("quick-by-url", OTHER))
        lanes.submit(placed(BEA, entry("of-another")))
        await until(yard, "send", 3)
        assert {each.event_id for each, _ in yard.settled} <= {"quick", "quick-by-url", "of-another"}
        gate.set()

    assert len(yard.outcomes()) == 4
    assert all(isinstance(outcome, Delivered) for outcome in yard.outcomes())


async def test_who_has_to_look_first_looks_first() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        lanes.submit(entry("mail", URL, step=LookFor()))

    assert yard.journal.kinds() == ["look", "fetch", "draft", "look", "send"]
    assert [type(outcome) for outcome in yard.outcomes()] == [Delivered]
    assert all(spool.closed for spool in yard.files.spools)


async def test_what_has_left_needs_no_files() -> None:
    yard = Yard()
    mail = entry("mail", URL, step=LookFor())
    yard.transport.outgoing(ANNA).look_script = [Look({mail.stamp: Sight(left_as="<a@b>")})]
    async with yard.open() as lanes:
        lanes.submit(mail)

    assert yard.journal.kinds() == ["look"]
    assert yard.outcomes() == [Delivered("<a@b>")]


async def test_a_file_that_is_not_there_fails_the_mail_after_a_look() -> None:
    yard = Yard()
    yard.files.script[URL] = [MISSING]
    async with yard.open() as lanes:
        lanes.submit(entry("mail", URL))

    assert yard.journal.kinds() == ["fetch", "look"]
    assert yard.outcomes() == [MISSING]


async def test_a_file_that_is_not_there_any_more_does_not_fail_a_mail_that_has_left() -> None:
    yard = Yard()
    yard.files.script[URL] = [MISSING]
    mail = entry("mail", URL)
    yard.transport.outgoing(ANNA).look_script = [Look({mail.stamp: Sight(left_as="<a@b>")})]
    async with yard.open() as lanes:
        lanes.submit(mail)

    assert yard.outcomes() == [Delivered("<a@b>")]


async def test_a_file_that_cannot_be_had_now_defers_the_mail_and_on_the_last_attempt_fails_it() -> None:
    yard = Yard()
    yard.files.script[URL] = [DEFERRED, DEFERRED]
    async with yard.open() as lanes:
        lanes.submit(entry("mail", URL))
        lanes.submit(entry("last", URL, last_attempt=True))

    assert {each.event_id: outcome for each, outcome in yard.settled} == {
        "mail": DEFERRED,
        "last": Rejected(DEFERRED.reason),
    }
    assert yard.journal.kinds() == ["fetch", "fetch", "look"]


async def test_what_has_expired_meanwhile_is_not_sent() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        gate = slow(yard)
        lanes.submit(entry("mail", URL, expires_at=EXPIRY))
        await until(yard, "fetch")
        yard.clock.seconds += (EXPIRY - NOW + timedelta(minutes=1)).total_seconds()
        gate.set()

    assert yard.journal.kinds() == ["fetch", "look"]
    (outcome,) = yard.outcomes()
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "expired"
    assert all(spool.closed for spool in yard.files.spools)


async def test_copies_of_a_request_are_fetched_once() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        gate = slow(yard)
        for _ in range(3):
            lanes.submit(entry("mail", URL))
        await until(yard, "fetch")
        gate.set()

    assert len(yard.journal.of("fetch")) == 1
    assert len(yard.settled) == 1


async def test_a_bug_costs_its_own_request() -> None:
    yard = Yard()
    yard.files.script[URL] = [RuntimeError("a bug"), RuntimeError("a bug")]
    async with yard.open() as lanes:
        lanes.submit(entry("mail", URL))
        lanes.submit(entry("last", URL, last_attempt=True))
        lanes.submit(entry("other", OTHER))

    kinds = {each.event_id: type(outcome) for each, outcome in yard.settled}
    assert kinds == {"mail": Deferred, "last": Unresolved, "other": Delivered}


async def test_nothing_is_fetched_for_a_sender_who_may_not_send_now() -> None:
    yard = Yard()
    yard.transport.outgoing(ANNA).look_script = [TROUBLE]
    async with yard.open() as lanes:
        lanes.submit(entry("first"))
        await until(yard, "look")
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        lanes.submit(entry("second", URL))

    assert not yard.journal.of("fetch")
    assert [type(outcome) for outcome in yard.outcomes()] == [Deferred, Deferred]


async def test_a_host_that_hangs_has_a_short_line_and_other_hosts_have_their_own() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        gate = slow(yard)
        for number in range(IN_LINE + 5):
            lanes.submit(entry(f"mail-{number}", URL))
        lanes.submit(entry("other", OTHER))
        await until(yard, "send")
        turned_away = [outcome for outcome in yard.outcomes() if isinstance(outcome, Deferred)]
        assert [(each.reason.code, each.reason.scope.beyond_message) for each in turned_away] == [
            ("attachments-slow", True)
        ] * 5
        assert yard.files.under_way == AT_ONCE
        gate.set()

    delivered = [outcome for outcome in yard.outcomes() if isinstance(outcome, Delivered)]
    assert len(delivered) == IN_LINE + 1
    assert yard.files.most <= AT_ONCE + 1


async def test_who_stops_waits_for_no_download() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        slow(yard)
        lanes.submit(entry("mail", URL))
        await until(yard, "fetch")
        await lanes.drain()
        lanes.submit(entry("later", URL))
        lanes.close()

    assert yard.settled == []
    assert yard.journal.of("fetch") == [[URL]]


async def test_who_stops_lets_go_of_what_was_fetched() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        mailbox = yard.transport.outgoing(ANNA)
        mailbox.gate.clear()
        lanes.submit(entry("first"))
        lanes.submit(entry("second", URL))
        await until(yard, "fetch")
        await asyncio.sleep(0)
        draining = asyncio.create_task(lanes.drain())
        await asyncio.sleep(0)
        mailbox.gate.set()
        await draining
        lanes.close()

    assert [each.event_id for each, _ in yard.settled] == ["first"]
    assert [spool.closed for spool in yard.files.spools] == [True]


async def test_what_is_given_back_lets_go_of_its_files() -> None:
    yard = Yard()
    async with yard.open() as lanes:
        mailbox = yard.transport.outgoing(ANNA)
        mailbox.gate.clear()
        lanes.submit(entry("hanging"))
        lanes.submit(entry("by-url", URL))
        await until(yard, "fetch")
        await asyncio.sleep(0)
        yard.clock.passed.set()
        await asyncio.wait_for(yard.something_settled.wait(), 5)
        assert [spool.closed for spool in yard.files.spools] == [True]
        mailbox.gate.set()

    outcome = next(outcome for each, outcome in yard.settled if each.event_id == "by-url")
    assert isinstance(outcome, Deferred)
    assert outcome.reason.code == "mailbox-slow"
