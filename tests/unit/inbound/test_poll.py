"""One poll over a mailbox that answers as a test has it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tests.simulation.fleet import FleetSession, SimulatedFleet, as_ports
from tests.simulation.inbound_world import MemoryStore, Plan, address, directory
from tests.simulation.virtual_time import EPOCH, VirtualClock, run
from worker.inbound.cursor import Cursor
from worker.inbound.intake import Intake, Rules
from worker.inbound.poll import Desk, Poll
from worker.inbound.ticket import Polled, PollTicket
from worker.mail.incoming import Arrival, Changes, Fetched, IncomingMail, IncomingMailbox
from worker.mail.outcome import Deferred, Reason, Scope

SPOILT = Deferred(Reason("ErrorInternalServerError", Scope.MESSAGE, "it failed"))
TOO_LARGE = Deferred(Reason("no-answer-too-large", Scope.SERVER, "too large"))
STARTED = Cursor("0", since=EPOCH, present=("there",)).note()


@dataclass
class Mailbox:
    """`mails`: what fetching each of them gives. A request for several fails as a whole for those in `spoils`."""

    mails: dict[str, Fetched]
    arrived_at: datetime | None = None
    spoils: dict[str, Deferred] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)

    async def changes(self, _state: str, _most: int) -> Changes:
        return Changes(tuple(Arrival(each, self.arrived_at) for each in self.mails), "1", last=True)

    async def keep(self, note: str) -> None:
        self.kept.append(note)

    async def fetch(self, ids: Sequence[str], *, bare: bool = False) -> Sequence[Fetched]:
        self.bare += ids if bare else ()
        whole = next((self.spoils[each] for each in ids if each in self.spoils and not bare), None)
        return [whole or self.mails[each] for each in ids]


def mail(item_id: str, received_at: datetime = EPOCH + timedelta(seconds=1)) -> IncomingMail:
    return IncomingMail(item_id, received_at, message_id=f"<{item_id}@x>", subject=item_id)


def polled(mailbox: Mailbox) -> tuple[Polled, list[str]]:
    """What the poll reports, and the subjects of the mails that were published."""

    async def scene() -> tuple[Polled, list[str]]:
        fleet, clock = SimulatedFleet(1), VirtualClock()
        broker, port = as_ports(FleetSession(fleet))
        intake = Intake(MemoryStore(), Rules(key=None, prefix="CRM:", inline_bytes=3, most_bytes=1000), clock)
        (route,) = directory(Plan(1, mailboxes=1)).incoming()
        ticket = PollTicket(1, "In", address(0), note=STARTED)
        poll = Poll(Desk(broker, port, intake, clock), cast("IncomingMailbox", mailbox), route, ticket)
        report = await poll.run()
        return report, [cast("dict[str, Any]", event["data"])["subject"] for event in fleet.events]

    return run(scene())


def test_a_mail_that_cannot_be_had_just_now_holds_up_the_cursor_and_no_other_mail() -> None:
    mailbox = Mailbox({"a": mail("a"), "b": SPOILT, "c": SPOILT, "d": mail("d")})
    report, published = polled(mailbox)

    assert sorted(published) == ["a", "d"]
    assert (report.stuck, report.reason) == ("b", SPOILT.reason)
    assert mailbox.kept == [], "the cursor has not moved"


def test_a_mail_that_is_too_large_costs_no_other_its_body() -> None:
    mailbox = Mailbox({"a": mail("a"), "b": mail("b"), "c": mail("c")}, spoils={"a": TOO_LARGE})
    _, published = polled(mailbox)

    assert sorted(published) == ["a", "b", "c"]
    assert mailbox.bare == ["a"]


def test_what_was_there_before_is_not_owed_where_the_server_does_not_say_when_it_came() -> None:
    """Its own time tells, when it is read."""
    old = datetime(2020, 1, 1, tzinfo=UTC)
    _, published = polled(Mailbox({"there": mail("there"), "old": mail("old", old), "new": mail("new")}))

    assert published == ["new"]
