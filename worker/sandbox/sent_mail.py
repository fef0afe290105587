"""The record of one mail that left."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SentMail:
    """One mail that left: all that a test may ask of it, without the body."""

    number: int
    stamp: str
    message_id: str
    mailbox: str
    """The mailbox whose draft it was."""
    sent_from: str
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    in_reply_to: str
    references: str
    attachments: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    size: int
    submitted_at: datetime
    left_at: datetime
