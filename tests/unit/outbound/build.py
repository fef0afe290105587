"""What the tests of the outbound flow are made of."""

from datetime import UTC, datetime, timedelta
from typing import Any

from worker.mail.address import Address
from worker.mail.message import Attachment, Link, Message
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.stamp import stamp_of
from worker.mail.transport import Draft, WorkingMailbox
from worker.outbound.entry import Entry
from worker.outbound.history import History

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
EXPIRY = NOW + timedelta(hours=1)
REASON = Reason("ErrorInvalidRecipients", Scope.MESSAGE, "a recipient is not valid", "correct it")
DEFERRED = Deferred(Reason("ErrorInternalServerTransientError", Scope.MESSAGE, "try again"))
TROUBLE = Deferred(Reason("ErrorServerBusy", Scope.MAILBOX, "busy"), 3.0)
DRAFT = Draft(NOW, "id-1", "key-1", "<a@b>")
OTHER = Draft(NOW, "id-2", "key-2", "<a@b>")


def entry(event_id: str = "event-1", *urls: str, **state: Any) -> Entry:
    state.setdefault("history", History(first_seen_at="2026-11-23T08:00:00.000Z"))
    state.setdefault("mailbox", "anna@contoso.example")
    state.setdefault("places", (WorkingMailbox("P", "anna@contoso.example"),))
    return Entry(
        message=Message(
            stamp=stamp_of("/crm", event_id),
            message_id=f"<{event_id}@contoso.example>",
            sender=Address("anna@contoso.example"),
            subject="hello",
            text="hello",
            attachments=tuple(Attachment("a.pdf", "application/pdf", Link(url)) for url in urls),
        ),
        time=NOW,
        email_id="mail-1",
        event_id=event_id,
        source="/crm",
        profile="P",
        **state,
    )


def placed(working: WorkingMailbox, subject: Entry) -> Entry:
    """The same, in another place."""
    subject.places = (working,)
    return subject
