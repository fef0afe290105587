"""What every implementation of `OutgoingMailbox` owes the flow: the obligations of `worker/mail/transport.py`, one by
one, on each bed of `beds.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from tests.contract.beds import BEDS, Bed
from worker.mail.address import Address
from worker.mail.message import Message
from worker.mail.outcome import Deferred, Delivered, Scope, Unknown
from worker.mail.stamp import Stamp, stamp_of
from worker.mail.transport import Draft, Drafted, Look, OutgoingMailbox, Sight

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=BEDS)
async def bed(request: pytest.FixtureRequest) -> AsyncIterator[Bed]:
    async with BEDS[request.param]() as bed:
        yield bed


def a_message(number: int = 0) -> Message:
    return Message(
        stamp=stamp_of("/crm/contoso", f"event-{number}"),
        message_id=f"<crm.{number}@contoso.example>",
        sender=Address("anna@contoso.example", "Anna"),
        subject=f"Number {number}",
        to=(Address("x@customer.example", "X"),),
        text="Good morning",
    )


async def look(mailbox: OutgoingMailbox, *stamps: Stamp) -> Look:
    found = await mailbox.look(dict.fromkeys(stamps, LONG_AGO))
    assert isinstance(found, Look)
    return found


async def sight(mailbox: OutgoingMailbox, stamp: Stamp) -> Sight:
    return (await look(mailbox, stamp)).of(stamp)


async def drafted(mailbox: OutgoingMailbox, *messages: Message) -> Sequence[Draft]:
    """One live draft of each, as a look shows it."""
    assert list(await mailbox.draft(messages)) == [Drafted()] * len(messages)
    seen = await look(mailbox, *(message.stamp for message in messages))
    return [seen.of(message.stamp).live[0] for message in messages]


async def test_nothing_is_seen_of_what_was_never_drafted(bed: Bed) -> None:
    assert await sight(bed.mailbox(), a_message().stamp) == Sight()


async def test_e1_a_draft_is_seen_by_every_later_look_until_it_is_sent(bed: Bed) -> None:
    mailbox, other, message = bed.mailbox(), bed.mailbox(), a_message()

    await drafted(mailbox, message)

    for each in (mailbox, other, mailbox):
        seen = await sight(each, message.stamp)
        assert not seen.has_left
        assert len(seen.live) == 1


async def test_every_draft_of_a_stamp_is_seen_whoever_made_it(bed: Bed) -> None:
    mailbox, other, message = bed.mailbox(), bed.mailbox(), a_message()

    await mailbox.draft([message])
    await other.draft([message, message])

    seen = await sight(mailbox, message.stamp)
    assert len({draft.id for draft in seen.live}) == 3
    assert list(seen.live) == sorted(seen.live)


async def test_outcomes_and_sights_belong_to_their_messages(bed: Bed) -> None:
    mailbox, messages = bed.mailbox(), [a_message(number) for number in range(23)]

    drafts = await drafted(mailbox, *messages)

    assert len({draft.id for draft in drafts}) == len(messages)
    outcomes = await mailbox.send(drafts[:11])
    assert [type(outcome) for outcome in outcomes] == [Delivered] * 11
    seen = await look(mailbox, *(message.stamp for message in messages))
    assert [seen.of(message.stamp).has_left for message in messages] == [True] * 11 + [False] * 12


async def test_sent_once_it_has_left_and_is_no_draft_any_more(bed: Bed) -> None:
    mailbox, message = bed.mailbox(), a_message()

    outcomes = await mailbox.send(await drafted(mailbox, message))

    assert outcomes in ([Delivered(message.message_id)], [Delivered("")])
    assert await sight(mailbox, message.stamp) == Sight(left_as=message.message_id)
    assert await sight(bed.mailbox(), message.stamp) == Sight(left_as=message.message_id)
    assert bed.left(message.stamp) == 1


async def test_a_mail_leaves_under_the_name_its_outcome_gives(bed: Bed) -> None:
    mailbox, first, second = bed.mailbox(), a_message(1), a_message(2)
    await mailbox.send(await drafted(mailbox, first))
    await look(mailbox, first.stamp)

    assert await mailbox.send(await drafted(mailbox, second)) == [Delivered(second.message_id)]
    assert await sight(mailbox, second.stamp) == Sight(left_as=second.message_id)


async def test_e2_a_sent_mail_is_seen_at_every_moment_of_its_way(bed: Bed) -> None:
    mailbox, message = bed.mailbox(), a_message()
    bed.dwell(0.05)
    drafts = await drafted(mailbox, message)

    sending = asyncio.create_task(mailbox.send(drafts))
    began = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < began + 0.25:
        seen = await sight(bed.mailbox(), message.stamp)  # each with nothing remembered
        assert seen.has_left or [draft.id for draft in seen.live] == [drafts[0].id]
        if sending.done():
            seen = await sight(bed.mailbox(), message.stamp)
            assert seen.has_left
            assert not seen.live

    assert [type(outcome) for outcome in await sending] == [Delivered]
    assert bed.left(message.stamp) == 1


async def test_e3_of_many_sends_of_one_draft_at_most_one_takes_effect(bed: Bed) -> None:
    message = a_message()
    drafts = await drafted(bed.mailbox(), message)

    outcomes = await asyncio.gather(*(bed.mailbox().send(drafts) for _ in range(5)))
    again = await bed.mailbox().send(drafts)

    assert sum(isinstance(outcome, Delivered) for (outcome,) in outcomes) == 1
    assert sum(isinstance(outcome, Unknown) for (outcome,) in outcomes) == 4
    assert isinstance(again[0], Unknown)
    assert bed.left(message.stamp) == 1


@pytest.mark.parametrize("dwell_seconds", [0.0, 0.2])
async def test_e3_a_draft_on_its_way_is_not_sent_again(bed: Bed, dwell_seconds: float) -> None:
    mailbox, message = bed.mailbox(), a_message()
    bed.dwell(dwell_seconds)
    drafts = await drafted(mailbox, message)

    await mailbox.send(drafts)
    (outcome,) = await mailbox.send(drafts)

    assert isinstance(outcome, Unknown)
    async with asyncio.timeout(5):
        while bed.left(message.stamp) == 0:
            await look(mailbox, message.stamp)
    assert bed.left(message.stamp) == 1


async def test_e3_a_draft_changed_since_the_look_is_not_sent(bed: Bed) -> None:
    mailbox, message = bed.mailbox(), a_message()
    drafts = await drafted(mailbox, message)

    bed.change(drafts[0])
    (outcome,) = await mailbox.send(drafts)

    assert isinstance(outcome, Unknown)
    assert bed.left(message.stamp) == 0
    assert len((await sight(mailbox, message.stamp)).live) == 1


async def test_a_retired_draft_is_out_of_play(bed: Bed) -> None:
    mailbox, message = bed.mailbox(), a_message()
    await mailbox.draft([message])
    first, second = await drafted(mailbox, message), (await sight(mailbox, message.stamp)).live

    await mailbox.retire(second[1:])

    assert [draft.id for draft in (await sight(mailbox, message.stamp)).live] == [first[0].id]
    (outcome,) = await mailbox.send(second[1:])
    assert isinstance(outcome, Unknown)
    assert bed.left(message.stamp) == 0


async def test_e4_a_draft_changed_since_the_look_is_not_retired(bed: Bed) -> None:
    mailbox, message = bed.mailbox(), a_message()
    drafts = await drafted(mailbox, message)

    bed.change(drafts[0])
    await mailbox.retire(drafts)

    assert len((await sight(mailbox, message.stamp)).live) == 1


@pytest.mark.parametrize("dwell_seconds", [0.0, 0.2])
async def test_e4_what_was_sent_is_not_retired(bed: Bed, dwell_seconds: float) -> None:
    mailbox, message = bed.mailbox(), a_message()
    bed.dwell(dwell_seconds)
    drafts = await drafted(mailbox, message)

    await mailbox.send(drafts)
    await bed.mailbox().retire(drafts)

    assert (await sight(mailbox, message.stamp)).has_left
    async with asyncio.timeout(5):
        while bed.left(message.stamp) == 0:
            await look(mailbox, message.stamp)


async def test_a_draft_without_an_answer_is_unknown_and_the_look_tells(bed: Bed) -> None:
    mailbox, lost, done = bed.mailbox(), a_message(1), a_message(2)

    with bed.losing("request"):
        (first,) = await mailbox.draft([lost])
    with bed.losing("answer"):
        (second,) = await mailbox.draft([done])

    assert isinstance(first, Unknown)
    assert isinstance(second, Unknown)
    seen = await look(mailbox, lost.stamp, done.stamp)
    assert seen.of(lost.stamp) == Sight()
    assert len(seen.of(done.stamp).live) == 1


async def test_a_send_without_an_answer_is_unknown_and_the_look_tells(bed: Bed) -> None:
    mailbox, lost, done = bed.mailbox(), a_message(1), a_message(2)
    drafts = await drafted(mailbox, lost, done)

    with bed.losing("request"):
        (first,) = await mailbox.send(drafts[:1])
    with bed.losing("answer"):
        (second,) = await mailbox.send(drafts[1:])

    assert isinstance(first, Unknown)
    assert isinstance(second, Unknown)
    seen = await look(mailbox, lost.stamp, done.stamp)
    assert not seen.of(lost.stamp).has_left
    assert len(seen.of(lost.stamp).live) == 1
    assert seen.of(done.stamp) == Sight(left_as=done.message_id)
    assert (bed.left(lost.stamp), bed.left(done.stamp)) == (0, 1)


async def test_without_a_whole_answer_there_is_no_look(bed: Bed) -> None:
    mailbox, message = bed.mailbox(), a_message()
    await drafted(mailbox, message)

    with bed.losing("answer"):
        outcome = await mailbox.look({message.stamp: LONG_AGO})

    assert isinstance(outcome, Deferred)


async def test_retiring_never_fails(bed: Bed) -> None:
    mailbox, message = bed.mailbox(), a_message()
    drafts = await drafted(mailbox, message)

    for what in ("request", "answer"):
        with bed.losing(what):
            await mailbox.retire(drafts)

    await mailbox.retire(drafts)
    assert bed.left(message.stamp) == 0


async def test_a_busy_server_did_nothing_and_says_when_to_come_back(bed: Bed) -> None:
    mailbox, message = bed.mailbox(), a_message()
    drafts = await drafted(mailbox, message)

    with bed.busy():
        outcomes = [
            *await mailbox.draft([a_message(1)]),
            *await mailbox.send(drafts),
            await mailbox.look({message.stamp: LONG_AGO}),
        ]

    for outcome in outcomes:
        assert isinstance(outcome, Deferred)
        assert outcome.reason.scope is Scope.MAILBOX
        assert outcome.retry_after_seconds is not None
        assert outcome.retry_after_seconds > 0
    assert (await sight(mailbox, a_message(1).stamp)) == Sight()
    assert bed.left(message.stamp) == 0


async def test_a_draft_that_comes_late_is_seen_beside_what_has_left(bed: Bed) -> None:
    mailbox, other, message = bed.mailbox(), bed.mailbox(), a_message()
    await mailbox.send(await drafted(mailbox, message))

    await other.draft([message])

    for each in (mailbox, other, bed.mailbox()):
        seen = await sight(each, message.stamp)
        assert seen.has_left
        assert len(seen.live) == 1
