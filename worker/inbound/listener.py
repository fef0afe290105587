"""Takes listen tickets: hears of new mail while a connection lasts, and passes it on to the scheduler.

What is heard is a hint. Nothing is lost when it is: the mailbox is polled all the same.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from worker import metrics
from worker.events.broker import Delivery, Fleet, Unconfirmed
from worker.fleet.pauses import Pauses
from worker.inbound import ticket as tickets
from worker.inbound.ticket import Hint, Listened, ListenTicket
from worker.mail.incoming import Heard, IncomingTransport
from worker.mail.outcome import Reason, Scope
from worker.mail.transport import WorkingMailbox

GRACE_SECONDS: Final = 120.0
"""So long after its time a ticket is given up that has not ended by itself."""

BUG: Final = Reason(
    "internal-error",
    Scope.MAILBOX,
    "the worker could not listen: a defect of the worker",
    "report it with the worker's log of this moment; the mailboxes are polled all the same",
)

_log = structlog.get_logger("inbound")


class Listener:
    def __init__(
        self, fleet: Fleet, transport: IncomingTransport, known: frozenset[WorkingMailbox], pauses: Pauses
    ) -> None:
        self._pauses = pauses
        self._fleet = fleet
        self._transport = transport
        self._known = known
        self._under_way: dict[asyncio.Event, frozenset[WorkingMailbox]] = {}
        self._stopped = False

    def renew(self, known: frozenset[WorkingMailbox]) -> None:
        """From now on these are known."""
        self._known = known

    def stop(self) -> None:
        """End all listening; the tickets go back to the broker, for another worker."""
        self._stopped = True
        for event in self._under_way:
            event.set()

    async def take(self, delivery: Delivery) -> None:
        """One ticket. Returns when it is acked, or has become the broker's again."""
        ticket = tickets.read(delivery.body, ListenTicket)
        try:
            if ticket is None:
                _log.warning("a listen ticket that nobody can read was dropped")
            else:
                await self._listen(ticket)
            await (delivery.give_back() if self._stopped else delivery.ack())
        except Unconfirmed as error:
            _log.debug("a ticket goes back to the broker", cause=str(error))
            await delivery.give_back()

    async def _listen(self, ticket: ListenTicket) -> None:
        known = [each for each in ticket.working if each in self._known and not self._pauses.closed(each)]
        deaf = [each.address for each in ticket.working if each not in known]
        if known:
            deaf += await self._until_superseded(ticket, known)
        if not self._stopped:
            await self._fleet.report(tickets.write(Listened(ticket.number, ticket.profile, tuple(deaf))))

    async def _until_superseded(self, ticket: ListenTicket, known: Sequence[WorkingMailbox]) -> list[str]:
        """Listen until the time is up, or until another ticket is about the same: its scheduler is the newer one."""
        mailboxes, superseded = frozenset(known), asyncio.Event()
        for event, others in self._under_way.items():
            if others & mailboxes:
                event.set()
        self._under_way[superseded] = mailboxes
        listening = asyncio.create_task(self._heard(ticket, known))
        waiting = asyncio.create_task(superseded.wait())
        try:
            await asyncio.wait((listening, waiting), return_when=asyncio.FIRST_COMPLETED)
            return [each.address for each, _ in listening.result().deaf] if listening.done() else []
        finally:
            del self._under_way[superseded]
            for each in (listening, waiting):
                each.cancel()
            await asyncio.gather(listening, waiting, return_exceptions=True)

    async def _heard(self, ticket: ListenTicket, known: Sequence[WorkingMailbox]) -> Heard:
        hints = _Hints(self._fleet, ticket.profile)
        telling = asyncio.create_task(hints.tell())
        heard = Heard()
        limit = asyncio.timeout(ticket.seconds + GRACE_SECONDS)
        try:
            async with limit:
                heard = await self._transport.listen(known, hints.add, ticket.seconds)
        except Exception:  # noqa: BLE001 - a bug must cost its own ticket, not the worker
            if limit.expired():
                _log.warning("listening did not end in time", profile=ticket.profile, mailboxes=len(known))
            else:
                _log.exception("a bug stopped listening", profile=ticket.profile, mailboxes=len(known))
                heard = Heard(tuple((each, BUG) for each in known))
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        for mailbox, reason in heard.deaf[:1]:
            _log.info(
                "no notifications",
                profile=ticket.profile,
                mailboxes=len(heard.deaf),
                first=mailbox.address,
                code=reason.code,
                cause=reason.message,
            )
        return heard


class _Hints:
    """What was heard and not passed on yet; while one hint is under way the next collects."""

    def __init__(self, fleet: Fleet, profile: str) -> None:
        self._fleet = fleet
        self._profile = profile
        self._heard: dict[str, None] = {}
        self._something = asyncio.Event()

    def add(self, mailbox: WorkingMailbox) -> None:
        self._heard[mailbox.address] = None
        self._something.set()

    async def tell(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            mailboxes, self._heard = tuple(self._heard), {}
            metrics.hints_total.labels(self._profile).inc(len(mailboxes))
            try:
                await self._fleet.report(tickets.write(Hint(self._profile, mailboxes)))
            except Unconfirmed:
                _log.debug("a hint was lost", mailboxes=len(mailboxes))
