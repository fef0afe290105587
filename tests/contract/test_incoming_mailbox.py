"""What every implementation of `IncomingMailbox` and `IncomingTransport` owes the flow: the obligations of
`worker/mail/incoming.py`, one by one, on each bed of `incoming_beds.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime

import pytest

from tests.contract.beds import ANNA
from tests.contract.incoming_beds import BEDS, SENDER, Bed
from worker.mail.address import Address
from worker.mail.incoming import (
    Arrival,
    Changes,
    IncomingMail,
    IncomingMailbox,
    StateLost,
    Unreadable,
    Vanished,
)
from worker.mail.outcome import Deferred, Scope
from worker.mail.transport import WorkingMailbox

EARLIER, LATER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Than whatever comes in."""


@pytest.fixture(params=BEDS)
async def bed(request: pytest.FixtureRequest) -> AsyncIterator[Bed]:
    async with BEDS[request.param]() as bed:
        yield bed


class Sunk:
    """A sink, and what went into it."""

    def __init__(self) -> None:
        self.portions: list[bytes] = []

    async def take(self, portion: bytes) -> None:
        self.portions.append(portion)

    @property
    def all(self) -> bytes:
        return b"".join(self.portions)


async def changes(mailbox: IncomingMailbox, state: str = "", most: int = 100) -> Changes:
    found = await mailbox.changes(state, most)
    assert isinstance(found, Changes)
    return found


async def fetched(mailbox: IncomingMailbox, *ids: str, bare: bool = False) -> list[IncomingMail]:
    found = await mailbox.fetch(ids, bare=bare)
    mails = [each for each in found if isinstance(each, IncomingMail)]
    assert len(mails) == len(found) == len(ids), found
    return mails


async def delivered(bed: Bed, *subjects: str) -> dict[str, str]:
    """Ids of new mails by subject."""
    for subject in subjects:
        bed.deliver(subject)
    return await ids_of(bed.mailbox())


async def ids_of(mailbox: IncomingMailbox) -> dict[str, str]:
    ids = [each.id for each in (await changes(mailbox)).arrivals]
    mails = [each for each in await mailbox.fetch(ids, bare=True) if isinstance(each, IncomingMail)]
    return {each.subject: each.id for each in mails}


async def test_an_empty_inbox_has_no_changes_and_a_state_all_the_same(bed: Bed) -> None:
    found = await changes(bed.mailbox())

    assert (found.arrivals, found.last) == ((), True)
    assert found.state
    assert await bed.mailbox().newest(LATER) == ()


async def test_only_what_came_since_a_state_is_told(bed: Bed) -> None:
    await delivered(bed, "one", "two")
    mailbox = bed.mailbox()
    before = await changes(mailbox)

    bed.deliver("three")
    after = await changes(bed.mailbox(), before.state)

    assert len(before.arrivals) == 2
    (mail,) = await fetched(mailbox, *(each.id for each in after.arrivals))
    assert mail.subject == "three"
    assert (await changes(mailbox, after.state)).arrivals == ()
    assert (await changes(mailbox, before.state)).arrivals == after.arrivals


async def test_nothing_is_left_out_between_pages_whatever_comes_and_goes_meanwhile(bed: Bed) -> None:
    mailbox = bed.mailbox()
    await delivered(bed, *(f"early {number}" for number in range(7)))

    state, seen, last = "", set(), False
    for turn in range(20):
        page = await changes(mailbox, state, 3)
        assert len(page.arrivals) <= 3
        seen |= {each.id for each in page.arrivals}
        if turn < 3:
            bed.deliver(f"meanwhile {turn}")
            bed.move_out(f"early {turn}")
        state, last = page.state, page.last
        if last and turn >= 3:
            break

    assert last
    assert set((await ids_of(mailbox)).values()) <= seen


async def test_reading_a_mail_is_no_arrival(bed: Bed) -> None:
    await delivered(bed, "one")
    before = await changes(bed.mailbox())

    bed.touch("one")

    assert (await changes(bed.mailbox(), before.state)).arrivals == ()


async def test_a_mail_that_was_moved_out_and_back_is_told_again(bed: Bed) -> None:
    ids = await delivered(bed, "one")
    mailbox, before = bed.mailbox(), await changes(bed.mailbox())
    (mail,) = await fetched(mailbox, ids["one"])

    bed.move_out("one")
    (gone,) = await mailbox.fetch([ids["one"]])
    bed.move_back("one")
    after = await changes(mailbox, before.state)

    assert isinstance(gone, Vanished)
    (again,) = await fetched(mailbox, *(each.id for each in after.arrivals))
    assert (again.received_at, again.search_key) == (mail.received_at, mail.search_key)
    assert mail.search_key


async def test_a_forgotten_state_is_lost_and_everything_can_be_told_again(bed: Bed) -> None:
    await delivered(bed, "one", "two")
    before = await changes(bed.mailbox())

    bed.forget_states()

    assert await bed.mailbox().changes(before.state, 10) == StateLost()
    assert len((await changes(bed.mailbox())).arrivals) == 2


async def test_mails_come_in_the_order_they_were_asked_for(bed: Bed) -> None:
    ids = await delivered(bed, *(f"{number}" for number in range(23)))
    bed.move_out("7")

    found = await bed.mailbox().fetch([ids[f"{number}"] for number in range(23)])

    assert [each.subject if isinstance(each, IncomingMail) else each for each in found] == [
        Vanished() if number == 7 else f"{number}" for number in range(23)
    ]


async def test_a_mail_comes_with_what_it_says(bed: Bed) -> None:
    ids = await delivered(bed, "one")

    (mail,) = await fetched(bed.mailbox(), ids["one"])

    assert (mail.id, mail.subject, mail.message_id) == (ids["one"], "one", "<one@customer.example>")
    assert mail.from_ == Address(SENDER, "X Ä")
    assert mail.to == (Address(ANNA.address),)
    assert mail.text is not None
    assert mail.text.strip() == "Good morning"
    assert ("X-Campaign", "autumn") in mail.headers
    assert (mail.item_class, mail.importance, mail.bare) == ("IPM.Note", "normal", False)
    assert mail.received_at is not None
    assert mail.received_at.utcoffset() is not None


async def test_a_bare_mail_is_the_same_without_body_and_headers(bed: Bed) -> None:
    ids = await delivered(bed, "one")

    (mail,) = await fetched(bed.mailbox(), ids["one"])
    (bare,) = await fetched(bed.mailbox(), ids["one"], bare=True)

    assert (bare.bare, bare.html, bare.text, bare.headers) == (True, None, None, ())
    for name in ("id", "received_at", "message_id", "search_key", "from_", "subject", "sent_at"):
        assert getattr(bare, name) == getattr(mail, name), name


async def test_what_cannot_be_read_is_told_of_itself_alone(bed: Bed) -> None:
    bed.deliver("well")
    bed.deliver("body", damage="body")
    bed.deliver("all", damage="all")
    mailbox = bed.mailbox()
    ids = [each.id for each in (await changes(mailbox)).arrivals]

    whole, bare = await mailbox.fetch(ids), await mailbox.fetch(ids, bare=True)

    assert sorted(each.subject for each in whole if isinstance(each, IncomingMail)) == ["well"]
    assert sorted(each.subject for each in bare if isinstance(each, IncomingMail)) == ["body", "well"]
    for each in (*whole, *bare):
        if not isinstance(each, IncomingMail):
            assert isinstance(each, Unreadable)
            assert each.reason.scope is Scope.MESSAGE


async def test_the_newest_are_all_of_the_newest_second(bed: Bed) -> None:
    ids = await delivered(bed, "one", "two", "three")
    told = (await changes(bed.mailbox())).arrivals

    newest = await bed.mailbox().newest(LATER)

    assert isinstance(newest, tuple)
    second = max(each.received_at.replace(microsecond=0) for each in told if each.received_at)
    expected = {each.id for each in told if each.received_at and each.received_at.replace(microsecond=0) == second}
    assert {each.id for each in newest} == expected
    assert expected <= set(ids.values())
    everything = await bed.mailbox().newest(EARLIER)
    assert isinstance(everything, tuple)
    assert {each.id for each in everything} == {each.id for each in told}, "all that came since a time"
    known = {each.id: each.received_at and each.received_at.replace(microsecond=0) for each in told}
    for each in (*newest, *everything):
        assert each.received_at is not None
        assert each.received_at.replace(microsecond=0) == known[each.id], "they are compared"


async def test_a_note_is_kept_in_the_mailbox_for_whoever_comes_next(bed: Bed) -> None:
    assert await bed.mailbox().recall() is None
    long = '{"state": "' + "é&<" * 20_000 + '"}'

    for note in ("first", long, "last"):
        assert await bed.mailbox().keep(note) is None
        assert await bed.mailbox().recall() == note


async def test_a_note_whose_answer_was_lost_may_be_kept_or_not(bed: Bed) -> None:
    await bed.mailbox().keep("old")

    with bed.losing("answer"):
        first = await bed.mailbox().keep("new")
    with bed.losing("request"):
        second = await bed.mailbox().keep("newest")

    assert isinstance(first, Deferred)
    assert isinstance(second, Deferred)
    assert await bed.mailbox().recall() == "new"


async def test_files_come_whole_and_in_portions(bed: Bed) -> None:
    content = bytes(range(256)) * 4000
    bed.deliver("one", file=content)
    mailbox, sunk = bed.mailbox(), Sunk()
    (mail,) = await fetched(mailbox, *(await ids_of(mailbox)).values())
    (file,) = mail.files

    assert (file.name, file.content_type, file.inline, file.item) == ("a.bin", "application/zip", False, False)
    assert len(content) <= file.size < 2 * len(content)
    assert await mailbox.content(file, sunk.take) is None
    assert sunk.all == content
    assert len(sunk.portions) > 1


async def test_a_mail_in_a_mail_is_read_like_one(bed: Bed) -> None:
    bed.deliver("outer", inner="inner")
    mailbox, sunk, form = bed.mailbox(), Sunk(), Sunk()
    (mail,) = await fetched(mailbox, *(await ids_of(mailbox)).values())
    (file,) = mail.files

    inner = await mailbox.embedded(file)

    assert file.item
    assert isinstance(inner, IncomingMail)
    assert (inner.subject, inner.message_id, inner.bare) == ("inner", "<inner@customer.example>", False)
    (inner_file,) = inner.files
    assert await mailbox.content(inner_file, sunk.take) is None
    assert sunk.all == b"inner file"
    assert await mailbox.content(file, form.take) is None
    assert b"Subject: " in form.all


async def test_a_mail_comes_in_its_internet_form(bed: Bed) -> None:
    ids, sunk = await delivered(bed, "one"), Sunk()

    assert await bed.mailbox().source(ids["one"], sunk.take) is None
    assert b"Subject: one" in sunk.all


async def test_of_what_has_gone_there_is_no_source_and_no_content_or_all_of_it(bed: Bed) -> None:
    bed.deliver("one", file=b"content")
    mailbox, sunk = bed.mailbox(), Sunk()
    (mail,) = await fetched(mailbox, *(await ids_of(mailbox)).values())

    bed.move_out("one")

    assert isinstance(await mailbox.source(mail.id, sunk.take), Vanished)
    outcome = await mailbox.content(mail.files[0], sunk.take)
    assert isinstance(outcome, Vanished) or sunk.all == b"content"


async def test_what_a_sink_raises_comes_out_and_the_next_reading_is_none_the_worse(bed: Bed) -> None:
    bed.deliver("one", file=bytes(300_000))
    mailbox, sunk = bed.mailbox(), Sunk()
    (mail,) = await fetched(mailbox, *(await ids_of(mailbox)).values())

    async def full(portion: bytes) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        await mailbox.content(mail.files[0], full)
    assert await mailbox.content(mail.files[0], sunk.take) is None
    assert len(sunk.all) == 300_000


@pytest.mark.parametrize(("how", "place"), [("delete", "Deleted Items"), ("move:Done", "Done"), ("move:done", None)])
async def test_finished_mails_leave_the_inbox(bed: Bed, how: str, place: str | None) -> None:
    ids = await delivered(bed, *(f"{number}" for number in range(12)))
    before = await changes(bed.mailbox())
    kept = ids.pop("5")

    assert await bed.mailbox().finish(list(ids.values()), how) is None
    assert await bed.mailbox().finish([*ids.values(), kept], how) is None  # what has gone is done

    assert {bed.place(f"{number}") for number in range(12)} == {place or "done"}
    assert (await changes(bed.mailbox(), before.state)).arrivals == ()


async def test_marking_as_read_is_repeated_safely_and_is_no_arrival(bed: Bed) -> None:
    ids = await delivered(bed, "one", "two", "gone")
    before = await changes(bed.mailbox())
    bed.move_out("gone")

    for _ in range(2):
        assert await bed.mailbox().finish([ids["one"], ids["gone"]], "mark-read") is None

    assert [bed.is_read(each) for each in ("one", "two", "gone")] == [True, False, False]
    assert bed.place("one") == ""
    assert (await changes(bed.mailbox(), before.state)).arrivals == ()


async def test_nothing_of_ours_in_a_conversation_nobody_knows(bed: Bed) -> None:
    assert await bed.mailbox().sent_in("AAQkAnother") == ()


ACTS: dict[str, Callable[[IncomingMailbox, IncomingMail], Awaitable[object]]] = {
    "recall": lambda mailbox, mail: mailbox.recall(),
    "keep": lambda mailbox, mail: mailbox.keep("note"),
    "newest": lambda mailbox, mail: mailbox.newest(LATER),
    "changes": lambda mailbox, mail: mailbox.changes("", 10),
    "fetch": lambda mailbox, mail: mailbox.fetch([mail.id, mail.id]),
    "fetch bare": lambda mailbox, mail: mailbox.fetch([mail.id], bare=True),
    "source": lambda mailbox, mail: mailbox.source(mail.id, Sunk().take),
    "content": lambda mailbox, mail: mailbox.content(mail.files[0], Sunk().take),
    "embedded": lambda mailbox, mail: mailbox.embedded(mail.files[1]),
    "sent in": lambda mailbox, mail: mailbox.sent_in(mail.conversation_id),
    "mark-read": lambda mailbox, mail: mailbox.finish([mail.id], "mark-read"),
    "delete": lambda mailbox, mail: mailbox.finish([mail.id], "delete"),
    "move": lambda mailbox, mail: mailbox.finish([mail.id], "move:Done"),
}


def outcomes(found: object) -> Sequence[object]:
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("trouble", ["busy", "request", "answer"])
async def test_without_an_answer_or_with_a_busy_one_everything_is_deferred(bed: Bed, trouble: str) -> None:
    bed.deliver("one", file=b"content", inner="inner")
    mailbox = bed.mailbox()
    (mail,) = await fetched(mailbox, *(await ids_of(mailbox)).values())

    for name, act in ACTS.items():
        disturbed = bed.busy() if trouble == "busy" else bed.losing("request" if trouble == "request" else "answer")
        with disturbed:
            found = outcomes(await act(bed.mailbox(), mail))
        for each in found:
            assert isinstance(each, Deferred), (name, each)
            if trouble == "busy":
                assert each.reason.scope is Scope.MAILBOX, name
                assert each.retry_after_seconds, name
        assert found, name


async def test_a_mailbox_that_may_not_be_read_says_what_to_do(bed: Bed) -> None:
    await delivered(bed, "one")

    with bed.denied():
        found = await bed.mailbox().changes("", 10)

    assert isinstance(found, Deferred)
    assert found.reason.scope is Scope.MAILBOX
    assert found.reason.remedy
    assert len((await changes(bed.mailbox())).arrivals) == 1


class Heard:
    """Who was heard of, and a wait for it."""

    def __init__(self) -> None:
        self.all: list[WorkingMailbox] = []
        self._something = asyncio.Event()

    def add(self, mailbox: WorkingMailbox) -> None:
        self.all.append(mailbox)
        self._something.set()

    async def once_more(self) -> None:
        async with asyncio.timeout(5):
            await self._something.wait()
        self._something.clear()


async def test_what_comes_in_is_heard_and_each_mailbox_once_when_listening_begins(bed: Bed) -> None:
    heard = Heard()
    listening = asyncio.create_task(bed.transport.listen([ANNA], heard.add, 3.0))
    await heard.once_more()
    began = len(heard.all)

    bed.deliver("one")
    await heard.once_more()
    result = await listening

    assert began == 1
    assert set(heard.all) == {ANNA}
    assert result.deaf == ()


async def test_what_nobody_can_listen_to_is_deaf_with_the_reason(bed: Bed) -> None:
    bed.deafen()

    result = await bed.transport.listen([ANNA], lambda _: None, 0.5)

    ((mailbox, reason),) = result.deaf
    assert mailbox == ANNA
    assert reason.code
    assert reason.message


async def test_listening_can_be_given_up(bed: Bed) -> None:
    heard = Heard()
    listening = asyncio.create_task(bed.transport.listen([ANNA], heard.add, 600))
    await heard.once_more()

    listening.cancel()

    with pytest.raises(asyncio.CancelledError):
        await listening


async def test_arrivals_tell_times_of_the_server(bed: Bed) -> None:
    ids = await delivered(bed, "one")

    (arrival,) = (await changes(bed.mailbox())).arrivals
    (mail,) = await fetched(bed.mailbox(), ids["one"])

    assert mail.received_at is not None
    assert arrival in (
        Arrival(mail.id, mail.received_at),
        Arrival(mail.id, mail.received_at.replace(microsecond=0)),
    )
