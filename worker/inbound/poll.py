"""One poll of one mailbox: changes, fetch, publish, finish, and only then the cursor moves.

    recall -> [ changes -> fetch -> intake -> publish, confirmed -> finish -> keep ] ...

A cursor never passes a mail that is owed before its event is confirmed, or its quarantine. Whatever goes wrong ends
the poll where it is: the next one begins at the cursor, leaves out what that says is dealt with, and publishes what it
repeats under the same ids.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from worker import maillog, metrics
from worker.clock import Clock, rfc3339
from worker.events.broker import Broker, Burial, Fleet, Unconfirmed
from worker.inbound import cursor as cursors
from worker.inbound import ticket as tickets
from worker.inbound.cursor import Cursor
from worker.inbound.failures import breaks_off, of_one_mail, too_large, unanswered
from worker.inbound.forward import NO_ORIGINAL, TOO_MANY, UNDELIVERABLE
from worker.inbound.intake import Intake, Passed, Ready, Taken
from worker.inbound.taking import Taking
from worker.inbound.ticket import MOST_NOTE, Polled, PollTicket
from worker.mail.incoming import (
    Arrival,
    Changes,
    Fetched,
    Finish,
    IncomingMail,
    IncomingMailbox,
    StateLost,
    Unreadable,
    Vanished,
)
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.trace import OFF, PollSpan, Tracing
from worker.mail.transport import WorkingMailbox
from worker.profiles.directory import IncomingRoute

BATCH: Final = 10
"""Mails fetched and published together, between two positions of the cursor."""
STRIDE: Final = 512
"""Changes asked for while nothing is expected to be owed."""
BUDGET_SECONDS: Final = 10.0
"""After so long a poll lets others go first."""
READY_BYTES: Final = 4 * 2**20
"""So much waits in memory to be published."""

TO_UNDELIVERABLE: Final = f"move:{UNDELIVERABLE}"

_log = structlog.get_logger("inbound")

STATE_REFUSED: Final = Reason(
    "sync-refused",
    Scope.MAILBOX,
    "Exchange refuses a sync from the beginning as one from an unknown state",
    "none, it is tried again; if it stays so, look into the health of the mailbox's server",
)


@dataclass(frozen=True, slots=True)
class Desk:
    """What every poll of a worker works with. `stopping`: polls are to come to an end, each after its page."""

    broker: Broker
    fleet: Fleet
    intake: Intake
    clock: Clock
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    tracing: Tracing = OFF


class Poll:
    """Good for one ticket. `known_at`: since when the mailbox is to be read, as far as this worker knows."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a poll works with, once
        self,
        desk: Desk,
        mailbox: IncomingMailbox,
        route: IncomingRoute,
        ticket: PollTicket,
        known_at: datetime,
        span: PollSpan = OFF,
    ) -> None:
        self._desk = desk
        self._mailbox = mailbox
        self._route = route
        self._ticket = ticket
        self._known_at = known_at
        self._cursor = Cursor()
        self._kept = ticket.kept
        self._stuck = ""
        self._more = False
        self._published = 0
        self._taking = Taking(desk.intake, mailbox, route, span)
        self._waiting: list[tuple[str, Ready]] = []

    async def run(self) -> Polled:
        """Read until there is no more, until it has taken long enough, or until something does not work."""
        try:
            failure = await (self._one_item() if self._ticket.item else self._read())
        except Unconfirmed as error:
            if self._ticket.item:
                raise
            failure = Deferred(_not_confirmed(str(error)))
        note = self._cursor.note() if self._cursor != Cursor() else self._ticket.note
        return Polled(
            self._ticket.number,
            self._ticket.profile,
            self._ticket.mailbox,
            note=note if len(note) <= MOST_NOTE else "",
            kept=self._kept,
            more=self._more,
            published=self._published,
            stuck=self._stuck,
            reason=failure.reason if failure else None,
            retry_after_seconds=failure.retry_after_seconds if failure else None,
        )

    async def _read(self) -> Deferred | None:
        begun = await self._begin()
        if isinstance(begun, Deferred):
            return begun
        self._cursor = begun
        began, size = self._desk.clock.monotonic(), _page_size(begun)
        while True:
            page = await self._mailbox.changes(self._cursor.state, size)
            match page:
                case Deferred():
                    return page
                case StateLost() if not self._cursor.state:
                    return Deferred(STATE_REFUSED)
                case StateLost():
                    maillog.state_lost(self._ticket.mailbox, self._ticket.profile)
                    self._cursor = self._cursor.anew()
                    size = _page_size(self._cursor)
                    continue
            owed = [each for each in page.arrivals if self._cursor.owes(each)]
            least = BATCH + len(self._cursor.dealt)
            if len(owed) > BATCH and size > least:
                size = least
                continue
            failure = await self._take(owed) or await self._pass(page)
            if failure or page.last:
                return failure
            if self._desk.stopping.is_set() or self._desk.clock.monotonic() - began > BUDGET_SECONDS:
                self._more = True
                return None

    async def _begin(self) -> Cursor | Deferred:
        """The cursor from the ticket, else from the mailbox, else a first one, kept before anything is done."""
        told = cursors.read(self._ticket.note) if self._ticket.note else None
        if told is not None:
            return (None if self._kept else await self._keep(told)) or told
        note = await self._mailbox.recall()
        if isinstance(note, Deferred):
            return note
        kept = cursors.read(note) if note is not None else None
        if kept is not None:
            return kept
        newest = await self._mailbox.newest(self._known_at)
        if isinstance(newest, Deferred):
            return newest
        start = self._route.profile.start
        first = cursors.first(start, newest, self._desk.clock.now(), self._known_at)
        maillog.first_sync(
            self._ticket.mailbox, self._ticket.profile, since=rfc3339(first.since) if first.since else "ever"
        )
        return await self._keep(first) or first

    async def _pass(self, page: Changes) -> Deferred | None:
        """The page has been dealt with: move the cursor, and keep it where that saves work."""
        before, self._cursor = self._cursor, self._cursor.after(page.state, last=page.last)
        if self._cursor.walking:
            maillog.walking(self._ticket.mailbox, self._ticket.profile, passed=len(page.arrivals))
        if not page.arrivals and self._cursor.walking == before.walking:
            return None
        return await self._keep(self._cursor)

    async def _keep(self, cursor: Cursor) -> Deferred | None:
        failure = await self._mailbox.keep(cursor.note())
        self._kept = failure is None
        return failure

    async def _take(self, owed: Sequence[Arrival]) -> Deferred | None:
        """Publish these mails, a batch at a time; what the profile wants done with them is done behind it."""
        for start in range(0, len(owed), BATCH):
            ids = [each.id for each in owed[start : start + BATCH]]
            fetched = await self._fetch(ids)
            held: Deferred | None = None
            for mail_id, found in zip(ids, fetched, strict=True):
                failure = await self._settle(mail_id, found)
                held = held or failure
                if failure and breaks_off(failure):
                    break
            failure = await self._flush()  # what can be had need not wait for what cannot
            if held or failure:
                return held or failure
        return None

    async def _one_item(self) -> Deferred | None:
        """A ticket from the dead letters: this one mail, once more. Whatever it fails for, it goes back there."""
        item = self._ticket.item
        (found,) = await self._mailbox.fetch([item])
        if isinstance(found, Vanished):
            maillog.vanished(self._ticket.mailbox, self._ticket.profile, item)
        failure = await self._settle(item, found) or await self._flush()
        if failure:
            await self._quarantine(item, failure.reason)
        return None

    async def _fetch(self, ids: Sequence[str]) -> Sequence[Fetched]:
        """All together; one by one where there was no answer, since one of them may be the cause."""
        fetched = await self._mailbox.fetch(ids)
        if len(ids) == 1 or not any(unanswered(each) for each in fetched):
            return fetched
        alone: list[Fetched] = []
        for mail_id in ids:
            silent = next((each for each in alone if unanswered(each) and not too_large(each)), None)
            alone += [silent] if silent else await self._mailbox.fetch([mail_id])
        return alone

    async def _settle(self, mail_id: str, found: Fetched) -> Deferred | None:
        """Make this mail ready to be published, or see it off some other way. None when it holds nothing up."""
        if isinstance(found, IncomingMail) and not self._cursor.owes(Arrival(mail_id, found.received_at)):
            return None  # the server had not said when it came
        taken = await self._taking.taken(found)
        if self._blames(mail_id, taken) and _better_bare(found, taken):
            _unsettle(taken)
            (bare,) = await self._mailbox.fetch([mail_id], bare=True)
            taken = await self._taking.taken(bare)
        ready = [(mail_id, each) for each in taken if isinstance(each, Ready)]
        held = next((each for each in taken if isinstance(each, Deferred)), None)
        if held and not self._blames(mail_id, [held]):
            self._stuck = self._stuck or (mail_id if of_one_mail(held) else "")
            _unsettle(taken)
            return held
        trouble = held or next((each for each in taken if isinstance(each, Unreadable)), None)
        if trouble:
            await self._publish(ready)  # of several mails forwarded in one, those that can be had
            await self._quarantine(mail_id, trouble.reason)
            return None
        self._waiting += ready
        if all(isinstance(each, Passed) for each in taken):
            self._deal(mail_id)
        return await self._flush() if sum(each.size for _, each in self._waiting) > READY_BYTES else None

    def _blames(self, mail_id: str, taken: Sequence[Taken]) -> bool:
        """Whether this mail itself is the trouble. One that has held up many polls in a row is taken to be."""
        deferred = [each for each in taken if isinstance(each, Deferred)]
        suspected = mail_id == self._ticket.suspect
        return any(isinstance(each, Unreadable) for each in taken) or any(
            too_large(each) or (suspected and of_one_mail(each)) for each in deferred
        )

    async def _flush(self) -> Deferred | None:
        """Publish what is ready; when all of it is confirmed, do with the mails what the profile wants."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return None
        await self._publish(waiting)
        return await self._finish(list(dict.fromkeys(mail_id for mail_id, _ in waiting)))

    async def _publish(self, waiting: Sequence[tuple[str, Ready]]) -> None:
        """Raises Unconfirmed where that is said of one event; nothing is under way any more then, either."""
        events = [(event, ready.span.context) for _, ready in waiting for event in ready.events]
        publish = self._desk.broker.publish
        ends = await asyncio.gather(
            *(publish(each.routing_key, each.body, each.id, context) for each, context in events),
            return_exceptions=True,
        )
        for failure in filter(None, ends):
            _unsettle(ready for _, ready in waiting)
            raise failure
        for mail_id, ready in waiting:
            self._count(mail_id, ready)

    async def _finish(self, ids: Sequence[str]) -> Deferred | None:
        """Do with mails that are published what the profile wants. One that never lets it be done stays as it is. So
        does one that has held up too many polls by it; to know which one that is, each is tried alone.
        """
        after = self._route.profile.after
        outcome = None if after == "leave" else await self._mailbox.finish(ids, after)
        if isinstance(outcome, Deferred) and outcome.reason.scope.beyond_message:
            return outcome
        if isinstance(outcome, Deferred) and not {self._ticket.suspect, self._ticket.item}.intersection(ids):
            if len(ids) > 1:
                return await self._finish_alone(ids)
            self._stuck = self._stuck or ids[0]
            return outcome
        if outcome is not None:
            self._not_finished(after, outcome.reason)
        self._deal(*ids)
        return None

    async def _finish_alone(self, ids: Sequence[str]) -> Deferred | None:
        held: Deferred | None = None
        for mail_id in ids:
            failure = await self._finish([mail_id])
            held = held or failure
            if failure and failure.reason.scope.beyond_message:
                break
        return held

    def _not_finished(self, how: Finish, reason: Reason) -> None:
        maillog.not_finished(self._ticket.mailbox, self._ticket.profile, how, reason)

    def _deal(self, *ids: str) -> None:
        """Nothing is owed of these any more, also where the cursor cannot move yet."""
        self._cursor = self._cursor.past(*ids)
        self._kept = False

    def _count(self, mail_id: str, ready: Ready) -> None:
        self._published += 1
        metrics.inbound_total.labels(ready.kind, self._ticket.profile).inc()
        if ready.received_at is not None and not self._cursor.walking:
            lag = (self._desk.clock.now() - ready.received_at).total_seconds()
            metrics.inbound_lag_seconds.observe(max(0.0, lag))
        maillog.received(self._ticket.mailbox, self._ticket.profile, ready.events[0].id, mail_id, ready.kind)
        ready.span.end("published")

    async def _quarantine(self, mail_id: str, reason: Reason) -> None:
        """Moved away is only what no replay can read: the ticket in quarantine finds a mail by an id that it loses."""
        await quarantine(self._desk, self._ticket.working, mail_id, reason)
        self._deal(mail_id)
        if reason is NO_ORIGINAL:
            outcome = await self._mailbox.finish([mail_id], TO_UNDELIVERABLE)
            if outcome is not None:
                self._not_finished(TO_UNDELIVERABLE, outcome.reason)


async def quarantine(desk: Desk, mailbox: WorkingMailbox, mail_id: str, reason: Reason) -> None:
    """Keep a mail's place for a person: a ticket for this one mail goes to the dead letters. Raises Unconfirmed."""
    ticket = PollTicket(0, mailbox.profile, mailbox.address, item=mail_id)
    burial = Burial(reason.code, reason.message, reason.remedy, 1, rfc3339(desk.clock.now()))
    await desk.fleet.quarantine(tickets.write(ticket), f"item:{mail_id}"[:255], burial)
    metrics.dead_total.labels(reason.code).inc()
    maillog.quarantined(mailbox.address, mailbox.profile, mail_id, reason)


def _better_bare(found: Fetched, taken: Sequence[Taken]) -> bool:
    """Whether there may be more to be had of it without its body."""
    if isinstance(found, IncomingMail) and found.bare:
        return False
    return not any(isinstance(each, Ready) or each in (Unreadable(NO_ORIGINAL), Unreadable(TOO_MANY)) for each in taken)


def _unsettle(taken: Iterable[Taken]) -> None:
    """What was ready of it is not published, this time."""
    for each in taken:
        if isinstance(each, Ready):
            each.span.end("unsettled")


def _page_size(cursor: Cursor) -> int:
    """Large where little of it is expected to be owed, and with room for more than what is dealt with."""
    return STRIDE if cursor.walking and cursor.since else BATCH + len(cursor.dealt)


def _not_confirmed(cause: str) -> Reason:
    return Reason(
        "not-confirmed",
        Scope.MAILBOX,
        f"the broker did not confirm an event: {cause}",
        "none, it is tried again; if crm.mail.inbound is full, see why the CRM does not consume it",
    )
