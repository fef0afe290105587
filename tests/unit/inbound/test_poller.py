"""What becomes of a ticket that cannot be worked on: nothing that a person put back is lost."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from tests.simulation.fleet import FleetSession, SimulatedFleet, as_ports
from tests.simulation.inbound_world import MemoryStore, Plan, address, directory
from tests.simulation.inbox import Inboxes, InboxFaults, SimulatedInbox
from tests.simulation.virtual_time import VirtualClock, run
from worker.fleet.pauses import Pauses
from worker.inbound import ticket as tickets
from worker.inbound.intake import Intake, Rules
from worker.inbound.listener import Listener
from worker.inbound.poll import Desk
from worker.inbound.poller import Poller
from worker.inbound.ticket import Listened, ListenTicket, Polled, PollTicket
from worker.mail.incoming import Heard, IncomingMail
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.transport import WorkingMailbox


async def worked(
    *given: PollTicket, denied: bool = False, pauses: Pauses | None = None, clock: VirtualClock | None = None
) -> tuple[SimulatedFleet, FleetSession]:
    """A worker took these tickets, which are about the mailbox of `directory` or about strangers."""
    fleet, inboxes, clock = SimulatedFleet(1), Inboxes(1, InboxFaults()), clock or VirtualClock()
    inboxes.deliver(address(0), IncomingMail("", None, message_id="<a@b>", subject="one"))
    inboxes.inbox(address(0)).denied = denied
    session = FleetSession(fleet)
    broker, port = as_ports(session)
    intake = Intake(MemoryStore(), Rules(key=None, prefix="CRM:", inline_bytes=3, most_bytes=1000), clock)
    poller = Poller(
        Desk(broker, port, intake, clock),
        inboxes,
        directory(Plan(1, mailboxes=1)).incoming(),
        pauses or Pauses(clock),
        known_at=lambda _: clock.now(),
        concurrency=1,
    )
    for each in given:
        (item,) = inboxes.inbox(address(0)).there
        ticket = each if each.item != "the mail" else PollTicket(0, each.profile, each.mailbox, item=item.mail.id)
        await session.issue(tickets.write(ticket))
        async with asyncio.timeout(3600):
            await poller.take(await session.next(fleet.polls))
    assert session.unacked == {}
    return fleet, session


def test_a_replayed_mail_is_published_without_a_report() -> None:
    fleet, session = run(worked(PollTicket(0, "In", address(0), item="the mail")))
    assert len(fleet.events) == 1
    assert session.reports.empty()
    assert fleet.dead == []


@pytest.mark.parametrize(("mailbox", "denied"), [("stranger@contoso.example", False), (address(0), True)])
def test_a_replayed_mail_that_fails_again_is_a_dead_letter_again(mailbox: str, denied: bool) -> None:  # noqa: FBT001 - the parameter
    fleet, session = run(worked(PollTicket(0, "In", mailbox, item="the mail"), denied=denied))
    ((ticket, burial),) = fleet.dead
    assert (ticket.mailbox, bool(ticket.item)) == (mailbox, True)
    assert burial.reason in ("unknown-mailbox", "ErrorAccessDenied")
    assert session.reports.empty()


def test_a_replayed_mail_that_is_gone_is_done() -> None:
    fleet, _ = run(worked(PollTicket(0, "In", address(0), item="nowhere")))
    assert (fleet.events, fleet.dead) == ([], [])


def test_an_unknown_mailbox_is_reported() -> None:
    _, session = run(worked(PollTicket(7, "In", "stranger@contoso.example")))
    report = tickets.read_report(session.reports.get_nowait())
    assert report is not None
    assert b"unknown-mailbox" in tickets.write(report)


BUSY = Deferred(Reason("ErrorServerBusy", Scope.MAILBOX, "busy"), 60.0)
DOWN = Deferred(Reason("unreachable", Scope.SERVER, "no connection"), 60.0)
SENDER = WorkingMailbox("Out", address(0))


@pytest.mark.parametrize("told", [BUSY, DOWN])
def test_what_sending_was_told_holds_for_reading(told: Deferred) -> None:
    async def scene() -> None:
        clock = VirtualClock()
        pauses = Pauses(clock, server_of=lambda _mailbox: "mail.contoso.example")
        pauses.failed(SENDER, told)
        fleet, session = await worked(PollTicket(1, "In", address(0), "note", kept=False), pauses=pauses, clock=clock)
        report = tickets.read_report(await session.reports.get())
        assert isinstance(report, Polled)
        assert report.reason == told.reason
        assert report.retry_after_seconds == pytest.approx(60.0, abs=1)
        assert (report.note, report.kept) == ("note", False), "the cursor is where it was"
        assert fleet.events == []
        await clock.sleep(61)
        fleet, session = await worked(PollTicket(2, "In", address(0)), pauses=pauses, clock=clock)
        report = tickets.read_report(await session.reports.get())
        assert isinstance(report, Polled)
        assert report.reason is None
        assert pauses.of(SENDER) is None
        assert not [key for key, pause in pauses.all() if not pause.over], "a poll that succeeds ends the pause"

    run(scene())


def test_what_only_concerns_the_reading_of_a_mailbox_pauses_nobody_else() -> None:
    async def scene() -> None:
        clock = VirtualClock()
        pauses = Pauses(clock, server_of=lambda _mailbox: "mail.contoso.example")
        await worked(PollTicket(1, "In", address(0)), denied=True, pauses=pauses, clock=clock)
        assert list(pauses.all()) == []

    run(scene())


class Gone(Inboxes):
    """No profile leads to a mailbox any more."""

    def incoming(self, mailbox: WorkingMailbox) -> SimulatedInbox:
        raise AssertionError(mailbox)

    async def listen(
        self, mailboxes: Sequence[WorkingMailbox], heard: Callable[[WorkingMailbox], None], seconds: float
    ) -> Heard:
        raise AssertionError(mailboxes)


@dataclass
class Turns:
    """Polls of two mailboxes of a profile that lets one be polled at a time."""

    inboxes: Inboxes = field(default_factory=lambda: Inboxes(1, InboxFaults()))

    def __post_init__(self) -> None:
        self.fleet, clock = SimulatedFleet(1), VirtualClock()
        self.session = FleetSession(self.fleet)
        self.routes = directory(Plan(1, mailboxes=2)).incoming()
        intake = Intake(MemoryStore(), Rules(key=None, prefix="CRM:", inline_bytes=3, most_bytes=1000), clock)
        self.desk = Desk(*as_ports(self.session), intake, clock)
        self.poller = Poller(
            self.desk, self.inboxes, self.routes, Pauses(clock), known_at=lambda _: clock.now(), concurrency=1
        )


async def reported(between: Callable[[Turns], None], inboxes: Inboxes | None = None) -> tuple[Turns, list[Polled]]:
    """What is reported when that happens while the second waits for its turn."""
    turns = Turns(inboxes) if inboxes else Turns()
    for number in range(2):
        await turns.session.issue(tickets.write(PollTicket(number, "In", address(number))))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(turns.poller.take(await turns.session.next(turns.fleet.polls)))
            await asyncio.sleep(0)
        between(turns)
    reports = turns.session.reports
    found = [tickets.read(reports.get_nowait(), Polled) for _ in range(reports.qsize())]
    return turns, sorted((each for each in found if each), key=lambda each: each.number)


def test_a_mailbox_that_goes_while_it_waits_for_its_turn_is_unknown() -> None:
    _, (first, second) = run(reported(lambda turns: turns.poller.renew(turns.routes[:1])))
    assert first.reason is None
    assert second.reason is not None
    assert second.reason.code == "unknown-mailbox"


def test_a_mailbox_that_nobody_knows_the_way_to_costs_its_poll_only() -> None:
    _, reports = run(reported(lambda _: None, Gone(1, InboxFaults())))
    for report in reports:
        assert report.reason is not None
        assert report.reason.code == "internal-error"


def test_a_worker_that_stops_begins_no_poll() -> None:
    turns, reports = run(reported(lambda turns: turns.desk.stopping.set()))
    assert [each.number for each in reports] == [0]
    assert len(turns.fleet.polls) == 1, "the other ticket is the broker's again"


def test_a_replayed_mail_that_is_not_confirmed_is_the_brokers_again() -> None:
    async def scene() -> SimulatedFleet:
        turns = Turns()
        item = turns.inboxes.deliver(address(0), IncomingMail("", None, message_id="<a@b>", subject="one"))
        await turns.session.issue(tickets.write(PollTicket(0, "In", address(0), item=item.mail.id)))
        turns.fleet.unconfirmed = 1.0
        await turns.poller.take(await turns.session.next(turns.fleet.polls))
        return turns.fleet

    fleet = run(scene())
    assert (len(fleet.polls), fleet.dead) == (1, [])


def test_a_bug_in_listening_costs_its_ticket_only() -> None:
    async def scene() -> Listened | None:
        fleet, clock = SimulatedFleet(1), VirtualClock()
        session = FleetSession(fleet)
        known = frozenset({WorkingMailbox("In", address(0))})
        listener = Listener(as_ports(session)[1], Gone(1, InboxFaults()), known, Pauses(clock))
        await session.issue(tickets.write(ListenTicket(1, "In", (address(0),), 60.0)), listen=True)
        await listener.take(await session.next(fleet.listens))
        assert session.unacked == {}
        return tickets.read(await session.reports.get(), Listened)

    assert run(scene()) == Listened(1, "In", (address(0),)), "tried again later"
