"""What went wrong with one request, or with one item of it, and what that means for a draft, a look and a send."""

from dataclasses import dataclass
from typing import Final

from worker.ews.codes import Disposition, Verdict
from worker.ews.parties import NOBODY, Parties
from worker.mail.outcome import Deferred, Reason, Rejected, Scope, Unknown

_LONGEST_TEXT: Final = 300

_LONGEST_WAIT_SECONDS: Final = 3600.0
"""Whatever a server names beyond that is a mistake of its: Exchange's own policies reckon in minutes."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A failure with everything known about it. `code` is Exchange's response code or a word of ours. `parties`: whom
    it is about, for the remedy. `of_item`: a response message tells it, of the one item it is about; else the whole
    request has failed.
    """

    code: str
    verdict: Verdict
    message: str
    request_id: str
    retry_after_seconds: float | None = None
    parties: Parties = NOBODY
    of_item: bool = False

    def reason(self, scope: Scope | None = None, remedy: str = "") -> Reason:
        """The reason to tell; with another scope or remedy than the verdict's where these are given."""
        told = self.parties.told(remedy or self.verdict.remedy)
        return Reason(self.code, scope or self.verdict.scope, self.message, told, self.request_id)


@dataclass(frozen=True, slots=True)
class Trail:
    """What every trouble with one request says besides its cause: who was asked, under which ids, for whom.

    `own_credentials`: the account is the mailbox's own, so that a trouble with the account is one with the mailbox.
    `shared_mailbox`: the mailbox is the account's, so that a trouble with it, if not the sender's, is the profile's.
    `way`: how it is signed in, as HTTP calls it.
    """

    server: str
    request_id: str = ""
    diagnostics: str = ""
    own_credentials: bool = False
    shared_mailbox: bool = False
    way: str = ""
    parties: Parties = NOBODY

    def trouble(self, code: str, verdict: Verdict, text: str, retry_after_seconds: float | None = None) -> Trouble:
        if verdict.about_account and self.own_credentials:
            verdict = verdict.with_scope(Scope.MAILBOX)
        elif verdict.scope is Scope.MAILBOX and self.shared_mailbox and not verdict.about_sender:
            verdict = verdict.with_scope(Scope.PROFILE)
        said = " ".join(text.split())[:_LONGEST_TEXT]
        message = f"{self.server}: {said}" + (f" [{self.diagnostics}]" if self.diagnostics else "")
        wait = None if retry_after_seconds is None else min(retry_after_seconds, _LONGEST_WAIT_SECONDS)
        return Trouble(code, verdict, message, self.request_id, wait, self.parties)


class Unfit(Exception):  # noqa: N818 - it says what the answer is
    """An answer that is read while it comes, and is not worth reading on."""

    def __init__(self, code: str, verdict: Verdict, text: str) -> None:
        super().__init__(text)
        self._code = code
        self._verdict = verdict

    def trouble(self, trail: Trail) -> Trouble:
        return trail.trouble(self._code, self._verdict, str(self))


def of_draft(trouble: Trouble) -> Deferred | Rejected | Unknown:
    """A draft was not made, or it cannot be told."""
    match trouble.verdict.disposition:
        case Disposition.FINAL:
            return Rejected(trouble.reason())
        case Disposition.LOOK:
            return Unknown(trouble.reason())
        case Disposition.TRANSIENT | Disposition.PAUSE:
            return Deferred(trouble.reason(), trouble.retry_after_seconds)


def of_send(trouble: Trouble) -> Deferred | Rejected | Unknown:
    """A mail was not sent if Exchange says that it refuses to; whatever says less leaves it open
    (docs/delivery-rules.md, rule 5).
    """
    if trouble.verdict.refuses_sending:
        return of_draft(trouble)
    return Unknown(trouble.reason())


def of_look(trouble: Trouble) -> Deferred:
    """There was no look. It says nothing about the messages asked for, so it uses up no attempt of theirs."""
    scope = trouble.verdict.scope if trouble.verdict.scope.beyond_message else Scope.MAILBOX
    return Deferred(trouble.reason(scope), trouble.retry_after_seconds)
