"""From a mail as Exchange gives it to the events the CRM gets:

    source (reports, meetings) -> normalise -> classify -> correlate -> files -> events

Nothing here decides what becomes of the mailbox; what could not be had comes back as a value.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from worker.clock import Clock
from worker.events.bounced import bounced
from worker.events.event import Event
from worker.events.received import Correlation, Kind, received
from worker.inbound.addresses import cleaned
from worker.inbound.classify import automatic, classify, needs_source
from worker.inbound.correlate import asks_conversation, by_conversation, correlate, is_own
from worker.inbound.files import Gathered, gather
from worker.inbound.identity import event_id
from worker.inbound.mime import completed
from worker.inbound.normalise import normalise
from worker.inbound.report import guess_report, read_report
from worker.mail.address import Address
from worker.mail.incoming import File, IncomingMail, IncomingMailbox, Sink, Unreadable, Vanished
from worker.mail.outcome import Deferred
from worker.mail.report import Report
from worker.mail.store import AttachmentStore
from worker.mail.trace import OFF, MailSpan, PollSpan, TraceContext
from worker.profiles.model import Profile

SOURCE_BYTES: Final = 2 * 2**20
"""So much of a report's or a meeting's source is read: what counts stands before the mail it is about."""

INLINE_BYTES: Final = 4 * 2**20
"""So much of an event may be attachments in base64. What else an event holds is bounded so that it stays below 8 MiB
with them (`worker/inbound/normalise.py`).
"""


@dataclass(frozen=True, slots=True)
class Rules:
    """`key` authenticates our Message-IDs, `prefix` begins a tracking token. An attachment of up to `inline_bytes`
    stays in the event; one of more than `most_bytes` is left out.
    """

    key: bytes | None
    prefix: str
    inline_bytes: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Ready:
    """A mail, ready to be published."""

    kind: Kind
    received_at: datetime | None
    events: tuple[Event, ...]
    span: MailSpan = OFF

    @property
    def size(self) -> int:
        return sum(len(each.body) for each in self.events)


@dataclass(frozen=True, slots=True)
class Passed:
    """A mail that the profile does not accept: nobody is told of it, and it stays as it is."""


Taken = Ready | Passed | Vanished | Unreadable | Deferred


class _Enough(Exception):  # noqa: N818 - not an error: it ends a reading
    """The head of the source is there; the rest is not needed."""


class Intake:
    def __init__(self, store: AttachmentStore, rules: Rules, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules

    async def take(  # noqa: PLR0913 - what there is to know of a mail
        self,
        mailbox: IncomingMailbox,
        address: str,
        profile: Profile,
        mail: IncomingMail,
        forwarded_by: Address | None = None,
        *,
        file: File | None = None,
        poll: PollSpan = OFF,
    ) -> Taken:
        """The events of one mail found in `address`, where it is a `file` of one that was `forwarded_by` somebody.
        Raises Unstored when the attachment store takes nothing.
        """
        since = self._clock.now()
        mail_id = event_id(address if forwarded_by is None else f"{address} {forwarded_by.address}", mail)
        mail = normalise(mail)
        source = await _source(mailbox, mail, file)
        if isinstance(source, Vanished | Deferred):
            return source
        mail = completed(mail, source)
        report = read_report(source) if source else None
        kind = classify(mail, report)
        if kind == "bounce":
            report = report or guess_report(mail)
        mail = replace(mail, received_at=mail.received_at or mail.sent_at or self._clock.now())
        correlation = await self._correlate(mailbox, mail, report)
        if isinstance(correlation, Deferred):
            return correlation
        if profile.accept == "replies" and correlation.method == "none":
            return Passed()
        gathered = await self._gather(mailbox, mail, mail_id)
        if isinstance(gathered, Vanished | Deferred):
            return gathered
        mail = replace(mail, incomplete="; ".join(filter(None, (mail.incomplete, *gathered.left_out))))
        span = poll.receive(
            since=since,
            email_id=correlation.email_id,
            request=correlation.request,
            kind=kind,
            method=correlation.method,
            profile=profile.name,
        )
        event = received(
            mail_id,
            address,
            mail,
            kind=kind,
            automatic=automatic(mail, kind, own=is_own(mail, self._rules.key)),
            correlation=correlation,
            files=gathered.files,
            forwarded_by=cleaned(forwarded_by) if forwarded_by else None,
            context=span.context,
        )
        bounces = self._bounces(
            mail_id, address, profile, mail, report=report, correlation=correlation, context=span.context
        )
        return Ready(kind, mail.received_at, (event, *bounces), span)

    async def _correlate(
        self, mailbox: IncomingMailbox, mail: IncomingMail, report: Report | None
    ) -> Correlation | Deferred:
        """What it belongs to. A report of what became of a mail belongs to that mail, whatever else it names."""
        if report is not None and (about := report.original or report.message_id):
            mail = replace(mail, in_reply_to=about)
        correlation = correlate(mail, key=self._rules.key, prefix=self._rules.prefix)
        if not asks_conversation(mail, correlation):
            return correlation
        copies = await mailbox.sent_in(mail.conversation_id)
        return copies if isinstance(copies, Deferred) else by_conversation(mail, copies, key=self._rules.key)

    async def _gather(
        self, mailbox: IncomingMailbox, mail: IncomingMail, mail_id: str
    ) -> Gathered | Vanished | Deferred:
        """Its attachments, as the event carries them. Raises Unstored."""
        return await gather(
            mailbox,
            mail,
            self._store,
            mail_id,
            inline_bytes=self._rules.inline_bytes,
            total_bytes=INLINE_BYTES,
            max_bytes=self._rules.most_bytes,
        )

    def _bounces(  # noqa: PLR0913 - what an event tells
        self,
        mail_id: str,
        address: str,
        profile: Profile,
        mail: IncomingMail,
        *,
        report: Report | None,
        correlation: Correlation,
        context: TraceContext,
    ) -> tuple[Event, ...]:
        """One for each recipient that a mail of ours did not reach. A report anybody could have made tells of none."""
        if report is None or not correlation.email_id or (self._rules.key and not correlation.verified):
            return ()
        return tuple(
            bounced(
                mail_id,
                correlation.email_id,
                address,
                profile.name,
                report,
                failure,
                occurred_at=mail.received_at,
                context=context,
            )
            for failure in report.failures
        )


async def _source(mailbox: IncomingMailbox, mail: IncomingMail, file: File | None) -> bytes | Vanished | Deferred:
    """The beginning of a mail's source where that tells more than Exchange does, else nothing."""
    if mail.bare or not needs_source(mail):
        return b""
    return await _head(partial(mailbox.content, file) if file else partial(mailbox.source, mail.id))


async def _head(
    pour: Callable[[Sink], Awaitable[Vanished | Unreadable | Deferred | None]],
) -> bytes | Vanished | Deferred:
    """The beginning of a mail's source; nothing of one that cannot be had: its properties must do."""
    parts = bytearray()

    async def sink(part: bytes) -> None:
        parts.extend(part)
        if len(parts) > SOURCE_BYTES:
            raise _Enough

    try:
        outcome = await pour(sink)
    except _Enough:
        return bytes(parts[:SOURCE_BYTES])
    return outcome if isinstance(outcome, Vanished | Deferred) else bytes(parts)
