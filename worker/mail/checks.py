"""The port of Test Access: whether a mailbox can be sent from or read, found out step by step.

The steps go the way that a mail goes, so the first one that fails is where to put things right; those behind it are
skipped. Nothing that a check does is left behind in the mailbox, save the mail that it was told to send.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from worker.mail.outcome import Reason
from worker.mail.transport import WorkingMailbox

REACHING: Final = ("name", "endpoint", "tls", "sign-in", "mailbox", "folders")
OUTGOING: Final = (*REACHING, "draft", "right")
SENDING: Final = (*OUTGOING, "send")
INCOMING: Final = (*REACHING, "sync", "cursor")


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 - a verdict
    WARNING = "warning"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a step found. `cause`: what is wrong, or of one that passed what was seen. `code` and `remedy` as in a
    `Reason`. None of it holds a secret.
    """

    verdict: Verdict
    cause: str = ""
    code: str = ""
    remedy: str = ""

    @classmethod
    def of(cls, reason: Reason) -> "Finding":
        found = f" (request {reason.request_id})" if reason.request_id else ""
        return cls(Verdict.FAIL, reason.message + found, reason.code, reason.remedy)


@dataclass(frozen=True, slots=True)
class Step:
    """One step done, and how long it took."""

    name: str
    finding: Finding
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        return self.finding.verdict is Verdict.FAIL


def passed(seen: str = "") -> Finding:
    return Finding(Verdict.PASS, seen)


def skipped(why: str = "") -> Finding:
    return Finding(Verdict.SKIPPED, why)


class Checks(Protocol):
    def outgoing(self, mailbox: WorkingMailbox, sender: str, *, send: bool) -> AsyncIterator[Step]:
        """Whether mail of `sender` can leave from this working mailbox: the steps of OUTGOING; with `send` those of
        SENDING, and a mail of the sender to itself leaves.
        """

    def incoming(self, mailbox: WorkingMailbox) -> AsyncIterator[Step]:
        """Whether this mailbox can be read: the steps of INCOMING."""
