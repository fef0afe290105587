"""What can come of a step, as values. The set is closed: whoever handles an outcome handles all of them.

Only "final" and "everything else" can be relied on; a failure says besides how much of the world it speaks about.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

NO_ANSWER: Final = "no-answer"
"""How the codes of what was asked and not answered begin: perhaps it was done."""


class Scope(StrEnum):
    """How much of the world a failure speaks about."""

    MESSAGE = "message"
    RECIPIENT = "recipient"
    MAILBOX = "mailbox"
    PROFILE = "profile"
    SERVER = "server"

    @property
    def beyond_message(self) -> bool:
        """Whether any other message would have failed too: such a failure uses up no attempt."""
        return self in (Scope.MAILBOX, Scope.PROFILE, Scope.SERVER)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a step did not succeed, for a person. No field ever holds a secret or a piece of a mail.

    `code` is Exchange's own response code where there is one (`ErrorSendAsDenied`), else a word of ours (`expired`).
    `remedy` says what to do, and is empty only where nothing needs to be done. `request_id` finds the request in
    Exchange's logs.
    """

    code: str
    scope: Scope
    message: str
    remedy: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Exchange has taken the mail, under this Message-ID; "" where that is not known yet. `drafted_as` is then the one
    it was drafted with, which most servers keep.
    """

    message_id: str
    drafted_as: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Deferred:
    """Definitely not done, and worth another try, after `retry_after_seconds` where the server named a time."""

    reason: Reason
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Definitely not done, and no other try will help."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Unknown:
    """Perhaps done, perhaps not: the answer was lost or says neither. Only a look can tell."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Looking could not tell either: a person must. Never sent again by itself."""

    reason: Reason
