"""What becomes of a ticket that cannot be worked on: nothing that a person put back is lost."""

import asyncio

import pytest

from tests.simulation.fleet import FleetSession, SimulatedFleet, as_ports
from tests.simulation.inbound_world import MemoryStore, Plan, address, directory
from tests.simulation.inbox import Inboxes, InboxFaults
from tests.simulation.virtual_time import VirtualClock, run
from worker.fleet.pauses import Pauses
from worker.inbound import ticket as tickets
from worker.inbound.intake import Intake, Rules
from worker.inbound.poll import Desk
from worker.inbound.poller import Poller
from worker.inbound.ticket import Polled, PollTicket
from worker.mail.incoming import IncomingMail
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
