"""The one place where a delivery ends: what is given up is kept, the CRM is told, a retry is parked, each confirmed by
the broker; then the ack.

Whatever cannot be confirmed goes back to the broker, which gives it again; nothing here retries by itself.
"""

from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from worker import maillog, metrics, retry
from worker.clock import Clock, rfc3339
from worker.events import status
from worker.events.broker import Broker, Burial, Delivery, Unconfirmed
from worker.events.decode import Invalid
from worker.events.event import Event
from worker.events.status import Subject
from worker.mail.outcome import Deferred, Delivered, Reason, Rejected, Scope, Unresolved
from worker.mail.trace import OFF, MailSpan
from worker.outbound.entry import Entry, Outcome, Waiting
from worker.outbound.history import History

GIVE_BACK_SECONDS: Final = 5
"""About how long a message stays in hand that the broker would not let us settle, before the broker gets it back."""

GRACE: Final = timedelta(days=1)
"""How long past the horizon a request is still deferred while its mailbox cannot be looked into."""

_BURIED: Final = frozenset(
    {
        "too-old",
        "no-profile",
        "credentials-not-allowed",
        "send-on-behalf-not-allowed",
        "attachment-not-allowed",
        "waited-too-long",
    }
)
"""Refusals of ours that an operator can put right: kept in the dead-letter queue for 'dead replay'."""


BUG: Final = Reason(
    "internal-error",
    Scope.MESSAGE,
    "the worker could not handle this request: a defect of the worker",
    "report it with the worker's log of this moment; 'mailrouter dead replay ID' tries it again",
)


class Settlement:
    def __init__(
        self, broker: Broker, clock: Clock, *, max_attempts: int, horizon: timedelta, max_wait: timedelta
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._max_attempts = max_attempts
        self._horizon = horizon
        self._max_wait = max_wait

    async def settle(self, entry: Entry, outcome: Outcome) -> str:
        """Tell the CRM, move the message on, ack. Returns the outcome's name; "unsettled" without the broker's word."""
        return await self._settled(entry.deliveries, self._report(entry, outcome), entry.event_id)

    async def refuse(self, delivery: Delivery, invalid: Invalid) -> str:
        """An event that is not valid: the dead-letter queue keeps it; the CRM hears of it where an id can be read."""
        return await self._settled([delivery], self._refuse(delivery, invalid), invalid.event_id)

    async def wait(self, delivery: Delivery, event_id: str, delay_seconds: float, history: History) -> str:
        """Not yet due, or not its turn: the broker keeps it."""
        parking = self._broker.park(delivery, delay_seconds, history.headers())
        return await self._settled([delivery], _then("parked", parking), event_id)

    async def abandon(self, delivery: Delivery) -> str:
        """A defect of ours came in between: the message is kept for a person, whatever it is."""
        history = History.read(delivery.headers, self._clock.now())
        return await self._settled(
            [delivery], _then("abandoned", self._bury(delivery, BUG, history)), delivery.message_id
        )

    async def _settled(self, deliveries: Sequence[Delivery], work: Coroutine[None, None, str], event_id: str) -> str:
        """Do the work and ack; give back what the broker did not confirm, after a while: it may be full."""
        try:
            name = await work
            for delivery in deliveries:
                await delivery.ack()
        except Unconfirmed as error:
            maillog.not_settled(event_id=event_id, cause=str(error))
            await self._clock.sleep(GIVE_BACK_SECONDS * (0.5 + self._clock.jitter()))
            for delivery in deliveries:
                await delivery.give_back()
            return "unsettled"
        return name

    async def _refuse(self, delivery: Delivery, invalid: Invalid) -> str:
        now = self._clock.now()
        reason = Reason(
            "invalid-event",
            Scope.MESSAGE,
            f"{invalid.field}: {invalid.message}" if invalid.field else invalid.message,
            "correct the event and publish it again under a new id; 'mailrouter schemas' shows the JSON Schemas",
        )
        history = History.read(delivery.headers, now)
        maillog.invalid(
            email_id=invalid.email_id, event_id=invalid.event_id, field=invalid.field, message=invalid.message
        )
        await self._bury(delivery, reason, history)
        if invalid.email_id:
            subject = Subject(
                email_id=invalid.email_id,
                event_id=invalid.event_id,
                source=invalid.source,
                mailbox=invalid.mailbox,
                attempt=history.attempts + 1,
            )
            await self._publish(status.failed(subject, reason, occurred_at=now))
        return "invalid"

    async def _report(self, entry: Entry, outcome: Outcome) -> str:
        match outcome:
            case Delivered(message_id):
                seconds = self._clock.monotonic() - entry.taken_at
                _log(entry).accepted(message_id=message_id, attempt=entry.attempt, seconds=seconds)
                subject = replace(_subject(entry), message_id=message_id)
                await self._publish(status.accepted(subject, occurred_at=self._clock.now()), entry.span)
                return "accepted"
            case Deferred():
                return await self._defer(entry, outcome)
            case Waiting(delay_seconds, why, empty_looks, due_at, room_at):
                delay = self._no_longer_than(entry, self._clock.now(), delay_seconds)
                _log(entry).waiting(until=rfc3339(self._clock.now() + timedelta(seconds=delay)), why=why)
                later = replace(
                    entry.history,
                    empty_looks=empty_looks,
                    due_at=due_at or entry.history.due_at,
                    room_at=room_at or entry.history.room_at,
                )
                await self._park(entry, delay, later)
                return "parked"
            case Rejected(reason):
                _log(entry).failed(reason, attempt=entry.attempt)
                if entry.last_attempt or reason.code in _BURIED:
                    await self._bury(entry.deliveries[0], reason, entry.history)
                await self._publish(status.failed(_subject(entry), reason, occurred_at=self._clock.now()), entry.span)
                return "failed"
            case Unresolved(reason):
                _log(entry).unresolved(reason, attempt=entry.attempt)
                await self._bury(entry.deliveries[0], reason, entry.history)
                await self._publish(
                    status.unresolved(_subject(entry), reason, occurred_at=self._clock.now()), entry.span
                )
                return "unresolved"

    async def _defer(self, entry: Entry, outcome: Deferred) -> str:
        """Rule 9. The CRM hears of each failed attempt, and once of each trouble that lies beyond the message."""
        now = self._clock.now()
        reason = outcome.reason
        if now > entry.time + self._horizon + GRACE:
            return await self._report(entry, Unresolved(reason))
        history = replace(entry.history, doubt=entry.doubt, empty_looks=0)
        if reason.scope.beyond_message:
            if history.waited(now) > self._max_wait and not (entry.doubt or entry.unlooked):
                return await self._report(
                    entry, Rejected(waited_too_long(self._max_wait, reason.message, reason.remedy))
                )
            named = outcome.retry_after_seconds  # by the server, or by the pause: then this is its place behind it
            delay = float(retry.after_wait(history.waits)) if named is None else named
            since = history.waiting_since or rfc3339(now)
            later = replace(history, waits=history.waits + 1, told=reason.code, waiting_since=since)
            tell = history.told != reason.code
        else:
            delay = float(retry.after_attempt(entry.attempt, self._max_attempts) or retry.ATTEMPTS[-1])
            delay = max(delay, outcome.retry_after_seconds or 0.0)
            later = replace(history, attempts=entry.attempt, waits=0, told=reason.code, waiting_since="")
            tell = True
        delay = self._no_longer_than(entry, now, delay)
        retry_at = now + timedelta(seconds=delay)
        if tell:
            _log(entry).deferred(reason, retry_at=rfc3339(retry_at), attempt=entry.attempt)
            await self._publish(
                status.deferred(_subject(entry), reason, occurred_at=now, retry_at=retry_at), entry.span
            )
        await self._park(entry, delay, later)
        return "deferred"

    def _no_longer_than(self, entry: Entry, now: datetime, delay: float) -> float:
        """An expiry is reported when it comes, not when the next try would have been. Where it is past, what keeps it
        from being reported lasts.
        """
        if entry.expires_at is None or entry.expires_at <= now:
            return delay
        return min(delay, max(1.0, (entry.expires_at - now).total_seconds()))

    async def _park(self, entry: Entry, delay_seconds: float, history: History) -> None:
        begun_in = entry.begun_in if entry.doubt else ""
        headers = replace(history, doubt=entry.doubt, begun_in=begun_in, unlooked=entry.unlooked).headers()
        delivery = next((each for each in entry.deliveries if not each.bulk), entry.deliveries[0])
        await self._broker.park(delivery, delay_seconds, headers)

    async def _bury(self, delivery: Delivery, reason: Reason, history: History) -> None:
        """Before the CRM is told: whoever hears of it finds it in the dead-letter queue."""
        await self._broker.bury(
            delivery,
            Burial(reason.code, reason.message, reason.remedy, history.attempts + 1, history.first_seen_at),
        )
        metrics.dead_total.labels(reason.code).inc()

    async def _publish(self, event: Event, span: MailSpan = OFF) -> None:
        await self._broker.publish(event.routing_key, event.body, event.id, span.context)


def waited_too_long(limit: timedelta, cause: str, remedy: str) -> Reason:
    hours = limit / timedelta(hours=1)
    return Reason(
        "waited-too-long",
        Scope.MAILBOX,
        f"given up after more than {hours:g} hours of waiting: {cause}",
        (remedy and remedy + " ") + "Then 'mailrouter dead replay ID' sends it.",
    )


def _subject(entry: Entry) -> Subject:
    return Subject(
        email_id=entry.email_id,
        event_id=entry.event_id,
        source=entry.source,
        mailbox=entry.mailbox,
        profile=entry.profile,
        message_id="",
        attempt=entry.attempt,
        traceparent=entry.traceparent,
        tracestate=entry.tracestate,
    )


def _log(entry: Entry) -> maillog.RequestLog:
    return maillog.RequestLog(
        email_id=entry.email_id, event_id=entry.event_id, mailbox=entry.mailbox, profile=entry.profile
    )


async def _then(name: str, work: Awaitable[None]) -> str:
    await work
    return name
