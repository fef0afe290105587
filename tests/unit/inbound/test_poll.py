"""One poll over a mailbox that answers as a test has it."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from tests.simulation.fleet import FleetSession, SimulatedFleet, as_ports
from tests.simulation.inbound_world import MemoryStore, Plan, address, directory
from tests.simulation.virtual_time import EPOCH, VirtualClock, run
from tests.unit.events.sample import validator
from worker.inbound.cursor import Cursor, read
from worker.inbound.forward import MOST
from worker.inbound.intake import Intake, Rules
from worker.inbound.mime import parse
from worker.inbound.poll import BATCH, Desk, Poll
from worker.inbound.schedule import SUSPECT_FROM
from worker.inbound.taking import MAIL_SECONDS
from worker.inbound.ticket import Polled, PollTicket
from worker.mail.address import Address
from worker.mail.incoming import (
    Arrival,
    Changes,
    Fetched,
    File,
    Finish,
    IncomingMail,
    IncomingMailbox,
    Sink,
    Unreadable,
)
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.store import AttachmentStore, Unstored
from worker.profiles.directory import IncomingRoute

SPOILT = Deferred(Reason("ErrorInternalServerError", Scope.MESSAGE, "it failed"))
TOO_LARGE = Deferred(Reason("no-answer-too-large", Scope.SERVER, "too large"))
STARTED = Cursor("0", since=EPOCH, present=("there",)).note()


@dataclass
class Mailbox:
    """`mails`: what fetching each of them gives. A request for several fails as a whole for those in `spoils`, and
    finishing does for those in `unfinishable`. What a file holds is in `contents`, by its id.
    """

    mails: dict[str, Fetched]
    arrived_at: datetime | None = None
    spoils: dict[str, Deferred] = field(default_factory=dict)
    unfinishable: dict[str, Deferred] = field(default_factory=dict)
    contents: dict[str, bytes | Deferred] = field(default_factory=dict)
    embeds: dict[str, Fetched] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    finished: list[tuple[str, str]] = field(default_factory=list)

    async def changes(self, _state: str, most: int) -> Changes:
        page = list(self.mails)[:most]
        return Changes(tuple(Arrival(each, self.arrived_at) for each in page), "1", last=len(page) == len(self.mails))

    async def keep(self, note: str) -> None:
        self.kept.append(note)

    async def fetch(self, ids: Sequence[str], *, bare: bool = False) -> Sequence[Fetched]:
        self.bare += ids if bare else ()
        whole = next((self.spoils[each] for each in ids if each in self.spoils and not bare), None)
        found = [whole or self.mails[each] for each in ids]
        return [replace(each, bare=True) if bare and isinstance(each, IncomingMail) else each for each in found]

    async def content(self, file: File, sink: Sink) -> Deferred | None:
        held = self.contents[file.id]
        if isinstance(held, Deferred):
            return held
        await sink(held)
        return None

    async def source(self, id: str, sink: Sink) -> None:  # noqa: A002 - the port's
        assert id in self.mails
        await sink(NDR)

    async def embedded(self, file: File) -> Fetched:
        self.opened.append(file.id)
        return self.embeds[file.id]

    async def finish(self, ids: Sequence[str], how: Finish) -> Deferred | None:
        self.finished += ((each, how) for each in ids if each not in self.unfinishable)
        return next((self.unfinishable[each] for each in ids if each in self.unfinishable), None)


def mail(item_id: str, received_at: datetime = EPOCH + timedelta(seconds=1), *files: File) -> IncomingMail:
    return IncomingMail(item_id, received_at, message_id=f"<{item_id}@x>", subject=item_id, files=files)


def with_file(item_id: str) -> IncomingMail:
    return mail(item_id, EPOCH + timedelta(seconds=1), File(f"file of {item_id}", "a.bin", "application/zip"))


class FullStore:
    def writing(self, key: str) -> AbstractAsyncContextManager[Sink]:
        raise Unstored(f"no room for {key}")

    def url(self, key: str) -> str:
        return key


@dataclass
class Reading:
    """Polls of one mailbox, each with what the scheduler makes of the one before."""

    mailbox: Mailbox
    after: str = "leave"
    kind: str = "user"
    store: AttachmentStore = field(default_factory=MemoryStore)
    fleet: SimulatedFleet = field(default_factory=lambda: SimulatedFleet(1))
    watch: Polled = field(default_factory=lambda: Polled(0, "In", address(0), note=STARTED))
    stuck_polls: int = 0

    async def poll(self) -> Polled:
        clock = VirtualClock()
        broker, port = as_ports(FleetSession(self.fleet))
        intake = Intake(self.store, Rules(key=None, prefix="CRM:", inline_bytes=3, most_bytes=1000), clock)
        route = incoming(Plan(1, mailboxes=1, after=self.after), kind=self.kind)
        suspect = self.watch.stuck if self.stuck_polls >= SUSPECT_FROM else ""
        ticket = PollTicket(1, "In", address(0), note=self.watch.note, kept=self.watch.kept, suspect=suspect)
        before = self.watch.stuck
        self.watch = await Poll(
            Desk(broker, port, intake, clock), cast("IncomingMailbox", self.mailbox), route, ticket, clock.now()
        ).run()
        self.stuck_polls = self.stuck_polls + 1 if self.watch.stuck == before else 1
        return self.watch

    @property
    def published(self) -> list[str]:
        return [cast("dict[str, Any]", event["data"])["subject"] for event in self.fleet.events]

    @property
    def quarantined(self) -> list[str]:
        return [ticket.item for ticket, _ in self.fleet.dead]


def incoming(plan: Plan, *, kind: str) -> IncomingRoute:
    (route,) = directory(plan).incoming()
    return replace(route, mailbox=route.mailbox.model_copy(update={"kind": kind}))


def polled(mailbox: Mailbox, polls: int = 1, **how: Any) -> tuple[Polled, Reading]:
    """What the last of so many polls reports."""

    async def scene() -> tuple[Polled, Reading]:
        reading = Reading(mailbox, **how)
        reports = [await reading.poll() for _ in range(polls)]
        return reports[-1], reading

    return run(scene())


def test_a_mail_that_cannot_be_had_just_now_holds_up_the_cursor_and_no_other_mail() -> None:
    mailbox = Mailbox({"a": mail("a"), "b": SPOILT, "c": SPOILT, "d": mail("d")})
    report, reading = polled(mailbox)

    assert sorted(reading.published) == ["a", "d"]
    assert (report.stuck, report.reason) == ("b", SPOILT.reason)
    assert mailbox.kept == [], "the cursor has not moved"


def test_a_mail_that_is_too_large_costs_no_other_its_body() -> None:
    mailbox = Mailbox({"a": mail("a"), "b": mail("b"), "c": mail("c")}, spoils={"a": TOO_LARGE})
    _, reading = polled(mailbox)

    assert sorted(reading.published) == ["a", "b", "c"]
    assert mailbox.bare == ["a"]


def test_what_was_there_before_is_not_owed_where_the_server_does_not_say_when_it_came() -> None:
    """Its own time tells, when it is read."""
    old = datetime(2020, 1, 1, tzinfo=UTC)
    _, reading = polled(Mailbox({"there": mail("there"), "old": mail("old", old), "new": mail("new")}))

    assert reading.published == ["new"]


DENIED = Deferred(Reason("ErrorAccessDenied", Scope.MESSAGE, "denied"))


def test_mails_that_are_denied_are_waited_for_and_then_quarantined_once_each() -> None:
    mailbox = Mailbox({"a": mail("a"), "b": DENIED, "c": DENIED, "d": mail("d")})
    before, held = polled(mailbox, polls=SUSPECT_FROM)
    report, reading = polled(mailbox, polls=2 * SUSPECT_FROM + 1)

    assert (before.reason, held.quarantined) == (DENIED.reason, [])
    assert (report.reason, reading.quarantined) == (None, ["b", "c"])
    assert sorted(reading.published) == ["a", "d"], "once, though the cursor stood still"
    assert [read(note) for note in mailbox.kept][-1] == Cursor("1", EPOCH, ("there",), walking=False)


def test_a_file_that_is_denied_costs_no_more_than_itself() -> None:
    mailbox = Mailbox({"a": mail("a"), "b": with_file("b")}, contents={"file of b": DENIED})
    report, reading = polled(mailbox, polls=SUSPECT_FROM + 1)

    assert (report.reason, reading.quarantined) == (None, [])
    assert sorted(reading.published) == ["a", "b"]
    data = cast("dict[str, Any]", reading.fleet.events[-1]["data"])
    assert 'the attachment "a.bin" could not be had (ErrorAccessDenied)' in data["incomplete"]


def test_what_is_dealt_with_leaves_room_for_more_behind_a_mail_that_is_held() -> None:
    mailbox = Mailbox({"held": SPOILT, **{f"{number}": mail(f"{number}") for number in range(3 * BATCH)}})
    _, reading = polled(mailbox, polls=4)

    assert sorted(reading.published) == sorted(f"{number}" for number in range(3 * BATCH))


REFUSED = Deferred(Reason("ErrorMoveCopyFailed", Scope.MESSAGE, "failed"))
FULL = Deferred(Reason("ErrorQuotaExceeded", Scope.MAILBOX, "full"))


def test_mails_that_cannot_be_finished_are_left_as_they_are_in_the_end() -> None:
    mailbox = Mailbox({each: mail(each) for each in "abc"}, unfinishable={"a": REFUSED, "b": REFUSED})
    before, _ = polled(mailbox, polls=SUSPECT_FROM, after="mark-read")
    report, reading = polled(mailbox, polls=SUSPECT_FROM + 1, after="mark-read")

    assert (before.reason, before.stuck) == (REFUSED.reason, "a")
    assert (report.reason, report.stuck, reading.quarantined) == (None, "", [])
    assert reading.published.count("c") == 1, "it was finished when it was tried alone"
    assert ("c", "mark-read") in mailbox.finished


def test_a_mailbox_in_which_nothing_can_be_finished_is_no_mails_fault() -> None:
    mailbox = Mailbox({each: mail(each) for each in "ab"}, unfinishable={"b": FULL})
    report, _ = polled(mailbox, polls=SUSPECT_FROM + 1, after="mark-read")

    assert (report.reason, report.stuck) == (FULL.reason, "")


def test_a_store_that_takes_nothing_holds_up_only_what_needs_it() -> None:
    mailbox = Mailbox({"a": mail("a"), "b": with_file("b"), "c": mail("c")}, contents={"file of b": b"large"})
    report, reading = polled(mailbox, polls=SUSPECT_FROM + 1, store=FullStore())

    assert sorted(reading.published) == ["a", "c"]
    assert report.reason is not None
    assert (report.reason.code, report.stuck, reading.quarantined) == ("not-stored", "", [])
    assert all(read(note) != Cursor("1", EPOCH, ("there",), walking=False) for note in mailbox.kept)


@dataclass
class Slow(Mailbox):
    async def content(self, file: File, sink: Sink) -> Deferred | None:
        if file.id == "file of slow":
            await asyncio.sleep(2 * MAIL_SECONDS)
        raise TimeoutError("from within")


def test_only_a_mail_that_takes_too_long_is_too_slow() -> None:
    _, reading = polled(Slow({"slow": with_file("slow"), "quick": with_file("quick")}))

    assert [burial.reason for _, burial in reading.fleet.dead] == ["mail-too-slow", "internal-error"]


def test_no_event_is_under_way_any_more_when_a_poll_has_ended() -> None:
    async def scene() -> None:
        reading = Reading(Mailbox({each: mail(each) for each in "abcdef"}))
        reading.fleet.unconfirmed = 0.5
        report = await reading.poll()
        ended = len(reading.fleet.events)
        await asyncio.sleep(60)
        assert report.reason is not None
        assert report.reason.code == "not-confirmed"
        assert len(reading.fleet.events) == ended

    run(scene())


def forwarding(item_id: str, *files: str) -> IncomingMail:
    """A mail from Anna with these mails attached."""
    attached = (File(each, f"{each}.msg", "", item=True) for each in files)
    return replace(mail(item_id, EPOCH + timedelta(seconds=1), *attached), from_=Address("anna@contoso.example"))


def test_each_of_several_mails_forwarded_in_one_is_published() -> None:
    mailbox = Mailbox({"a": forwarding("a", "1", "2", "3")}, embeds={each: mail(each) for each in "123"})
    report, reading = polled(mailbox, kind="forward", after="delete")

    assert report.reason is None
    assert sorted(reading.published) == ["1", "2", "3"]
    assert len({event["id"] for event in reading.fleet.events}) == 3
    assert mailbox.finished == [("a", "delete")]


def test_of_mails_forwarded_in_one_those_are_published_that_can_be_had_and_it_stays_where_it_is() -> None:
    embeds: dict[str, Fetched] = {"1": mail("1"), "2": Unreadable(SPOILT.reason), "3": mail("3")}
    mailbox = Mailbox({"a": forwarding("a", "1", "2", "3")}, embeds=embeds)
    _, reading = polled(mailbox, kind="forward", after="delete")

    assert sorted(reading.published) == ["1", "3"]
    assert reading.quarantined == ["a"]
    assert mailbox.finished == [], "a replay finds it by its id"
    assert mailbox.opened == ["1", "2", "3"], "and each is read once"


def test_more_mails_than_may_be_forwarded_in_one_are_said_to_be_left_out() -> None:
    names = [f"{number}" for number in range(MOST + 1)]
    mailbox = Mailbox({"a": forwarding("a", *names)}, embeds={each: mail(each) for each in names})
    _, reading = polled(mailbox, kind="forward")

    assert sorted(reading.published) == sorted(names[:MOST])
    ((_, burial),) = reading.fleet.dead
    assert burial.reason == "forwarded-too-many"


def test_what_no_replay_can_read_is_put_away_and_nothing_else() -> None:
    mailbox = Mailbox({"a": mail("a"), "b": forwarding("b", "1")}, embeds={"1": Unreadable(SPOILT.reason)})
    _, reading = polled(mailbox, kind="forward")

    assert reading.quarantined == ["a", "b"]
    assert mailbox.finished == [("a", "move:Undeliverable")]


NDR = (Path(__file__).parents[2] / "corpus/dsn-exchange-online.eml").read_bytes()


def test_a_report_in_a_forward_mailbox_is_one_however_it_came() -> None:
    """It tells who was not reached and why, whether somebody forwarded it or a mail system sent it there."""
    report = parse(NDR, "b", EPOCH + timedelta(seconds=1))
    mailbox = Mailbox(
        {"a": forwarding("a", "1"), "b": report}, embeds={"1": replace(report, id="")}, contents={"1": NDR}
    )
    _, reading = polled(mailbox, kind="forward")

    told = [cast("dict[str, Any]", event["data"]) for event in reading.fleet.events]
    assert [each["kind"] for each in told if "kind" in each] == ["bounce", "bounce"]
    assert [each.get("forwarded_by") for each in told if "kind" in each] == [{"address": "anna@contoso.example"}, None]
    reasons = {each["reason"]["code"] for each in told if "reason" in each}
    assert reasons == {"5.1.10"}


def test_people_without_an_address_are_told_by_their_names() -> None:
    named = Address("", "Xaver Team")
    inner = replace(
        mail("1"), from_=named, sender=named, to=(named, Address("", "undisclosed-recipients")), cc=(named,)
    )
    outer = replace(forwarding("a", "1"), from_=named)
    _, reading = polled(Mailbox({"a": outer}, embeds={"1": inner}), kind="forward")

    (event,) = reading.fleet.events
    told = {name: each for name, each in event.items() if name != "key"}
    validator("crm.email.received.v1").validate(told)
    data = cast("dict[str, Any]", told["data"])
    assert [data[each] for each in ("from", "sender", "forwarded_by")] == [{"address": "Xaver Team"}] * 3
    assert data["to"] == data["cc"] == [{"address": "Xaver Team"}]


def test_of_who_wrote_and_who_sent_the_one_with_an_address_counts() -> None:
    written = replace(mail("a"), from_=Address("", "Xaver"), sender=Address("y@y.example", "Y"))
    _, reading = polled(Mailbox({"a": written}))

    data = cast("dict[str, Any]", reading.fleet.events[0]["data"])
    assert data["from"] == {"address": "y@y.example", "name": "Y"}
