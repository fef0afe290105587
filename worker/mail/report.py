"""What a mail system says became of a mail (RFC 3464), as far as it concerns whoever sent it."""

from dataclasses import dataclass
from typing import Literal

from worker.mail.outcome import Reason

Action = Literal["failed", "delayed", "delivered"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A recipient whom the mail did not reach, "" where the report does not say who, and why."""

    recipient: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Report:
    """`action` is the worst of what is told of any recipient. With brackets, "" where it is not told: `original` is
    the Message-ID our mail was drafted with, or else `message_id`, the one it left with.
    """

    action: Action
    original: str = ""
    message_id: str = ""
    failures: tuple[Failure, ...] = ()
