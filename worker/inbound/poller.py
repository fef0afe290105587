"""Takes poll tickets: one poll each, its end reported to the scheduler, and only then the ack.

A ticket is acked when its poll has ended, so the broker gives the ticket of a worker that died to another one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from worker import metrics
from worker.events.broker import Delivery, Unconfirmed
from worker.fleet.pauses import Pauses
from worker.inbound import ticket as tickets
from worker.inbound.poll import Desk, Poll, quarantine
from worker.inbound.taking import BUG
from worker.inbound.ticket import Polled, PollTicket
from worker.mail.incoming import IncomingTransport
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.trace import PollSpan
from worker.mail.transport import WorkingMailbox
from worker.profiles.directory import IncomingRoute

POLL_SECONDS: Final = 1200.0
"""No poll takes longer; the broker takes a ticket back that is held for 30 minutes."""

_log = structlog.get_logger("inbound")


class Poller:
    """`routes` are the mailboxes this worker knows, `known_at` tells of each since when; of one profile so many are
    polled at once as `concurrency` says.
    """

    def __init__(  # noqa: PLR0913 - what a poll works with, once
        self,
        desk: Desk,
        transport: IncomingTransport,
        routes: Sequence[IncomingRoute],
        pauses: Pauses,
        *,
        known_at: Callable[[WorkingMailbox], datetime],
        concurrency: int,
    ) -> None:
        self._desk = desk
        self._transport = transport
        self._pauses = pauses
        self._routes: dict[WorkingMailbox, IncomingRoute] = {}
        self._known_at = known_at
        self.renew(routes)
        self._turns: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(concurrency))
        self._under_way: set[WorkingMailbox] = set()

    def renew(self, routes: Sequence[IncomingRoute]) -> None:
        """From now on these are known. Polls that are under way end as they began."""
        self._routes = {route.working: route for route in routes}

    @property
    def polling(self) -> int:
        return len(self._under_way)

    async def take(self, delivery: Delivery) -> None:
        """One ticket. Returns when it is acked, or has become the broker's again."""
        ticket = tickets.read(delivery.body, PollTicket)
        try:
            if ticket is None:
                _log.warning("a poll ticket that nobody can read was dropped")
            elif ticket.working not in self._under_way or ticket.item:
                report = await self._poll(ticket)
                if report is None:
                    await delivery.give_back()
                    return
                if not ticket.item:
                    await self._desk.fleet.report(tickets.write(report))
                elif report.reason:  # no scheduler gives out another ticket for it
                    await quarantine(self._desk, ticket.working, ticket.item, report.reason)
            await delivery.ack()
        except Unconfirmed as error:
            _log.debug("a ticket goes back to the broker", cause=str(error))
            await delivery.give_back()

    async def _poll(self, ticket: PollTicket) -> Polled | None:
        """None where the worker stops before its turn comes."""
        if ticket.working not in self._routes:
            return _failed(ticket, _unknown(ticket))
        self._under_way.add(ticket.working)
        try:
            async with self._turns[ticket.profile]:
                if self._desk.stopping.is_set():
                    return None
                if (route := self._routes.get(ticket.working)) is None:
                    return _failed(ticket, _unknown(ticket))  # since other profiles came in force
                paused = self._pauses.claim(ticket.working, reading=True)
                if paused is not None:
                    return _not_begun(ticket, paused)
                span = self._desk.tracing.poll(ticket.mailbox, ticket.profile)
                report = await self._run(ticket, route, span)
                span.end(report.published, report.reason)
                self._note(report)
        finally:
            self._under_way.discard(ticket.working)
        metrics.polls_total.labels("failed" if report.reason else "ok", ticket.profile).inc()
        return report

    def _note(self, report: Polled) -> None:
        """What a poll tells of more than its own mailbox and profile: those the scheduler sees to."""
        working, reason = WorkingMailbox(report.profile, report.mailbox), report.reason
        if reason is None:
            self._pauses.succeeded(working)
        elif reason.scope is Scope.SERVER or report.retry_after_seconds is not None:
            self._pauses.failed(working, Deferred(reason, report.retry_after_seconds))
        else:
            self._pauses.undecided(working)

    async def _run(self, ticket: PollTicket, route: IncomingRoute, span: PollSpan) -> Polled:
        limit = asyncio.timeout(POLL_SECONDS)
        try:
            mailbox, known_at = self._transport.incoming(route.working), self._known_at(route.working)
            poll = Poll(self._desk, mailbox, route, ticket, known_at, span)
            async with limit:
                return await poll.run()
        except Unconfirmed:
            self._pauses.undecided(route.working)
            raise
        except Exception:  # noqa: BLE001 - a bug must cost its own mailbox, not the worker
            if limit.expired():
                return _failed(ticket, SLOW)
            _log.exception("a bug stopped a poll", mailbox=ticket.mailbox)
            return _failed(ticket, BUG)


SLOW: Final = Reason(
    "poll-too-slow",
    Scope.MAILBOX,
    f"the mailbox could not be read on within {POLL_SECONDS:.0f} s",
    "none, it is tried again; if it stays so, look into the health of the mailbox's server",
)


def _failed(ticket: PollTicket, reason: Reason) -> Polled:
    return Polled(ticket.number, ticket.profile, ticket.mailbox, reason=reason)


def _not_begun(ticket: PollTicket, paused: Deferred) -> Polled:
    """The cursor is where it was."""
    return replace(
        _failed(ticket, paused.reason),
        note=ticket.note,
        kept=ticket.kept,
        retry_after_seconds=paused.retry_after_seconds,
    )


def _unknown(ticket: PollTicket) -> Reason:
    return Reason(
        "unknown-mailbox",
        Scope.MAILBOX,
        f"a worker has no incoming mailbox {ticket.mailbox} with the profile {ticket.profile}",
        "none if the profiles were just changed; else give all workers the same ones ('mailrouter status' tells which "
        "revision each has)",
    )
