"""What a failure means for reading: of a mailbox, or of one mail in it. The causes are those of sending; what to do
about them is at times another.
"""

from typing import Final

from worker.ews import remedies
from worker.ews.codes import Disposition
from worker.ews.trouble import Trouble
from worker.mail.incoming import Unreadable, Vanished
from worker.mail.outcome import Deferred, Reason, Rejected, Scope

_INSTEAD: Final = {
    remedies.BROKE_OFF: remedies.READ_AGAIN,
    remedies.CHANGED: remedies.READ_AGAIN,
    remedies.NO_ANSWER: remedies.READ_AGAIN_NETWORK,
    remedies.FOLDERS: remedies.INBOX,
    remedies.QUOTA: remedies.INBOX_FULL,
    remedies.SEND_AS: remedies.ACCESS,
    remedies.REFUSED: remedies.UNREADABLE_MAIL,
    remedies.RECIPIENTS: remedies.UNREADABLE_MAIL,
    remedies.TOO_LARGE: remedies.CONTENT_TOO_LARGE,
}
"""Remedies for sending, and what they are when mail is read."""

_GONE: Final = frozenset({"ErrorItemNotFound"})
_UNREADABLE: Final = frozenset(
    {
        "ErrorItemCorrupt",
        "ErrorInvalidId",
        "ErrorInvalidIdEmpty",
        "ErrorInvalidIdMalformed",
        "ErrorInvalidIdMalformedEwsLegacyIdFormat",
        "ErrorInvalidIdNotAnItemAttachmentId",
        "ErrorInvalidIdTooManyAttachmentLevels",
        "ErrorInvalidIdXml",
        "ErrorObjectTypeChanged",
        "ErrorVirusDetected",
    }
)
_DENIED: Final = frozenset({"ErrorAccessDenied", "ErrorCreateSubfolderAccessDenied", "ErrorCannotDeleteObject"})


def of_mailbox(trouble: Trouble, *, one_mail: bool = False) -> Deferred:
    """The whole request failed. It speaks of the mailbox at least, unless it was about `one_mail` alone."""
    scope = trouble.verdict.scope
    if not scope.beyond_message:
        scope = Scope.MESSAGE if one_mail else Scope.MAILBOX
    return Deferred(_reason(trouble, scope), trouble.retry_after_seconds)


def of_mail(trouble: Trouble) -> Vanished | Unreadable | Deferred:
    """One mail, or one of its files, could not be had."""
    if trouble.code in _GONE:
        return Vanished()
    if trouble.code in _UNREADABLE or trouble.verdict.disposition is Disposition.FINAL:
        remedy = remedies.UNREADABLE_MAIL if trouble.code in _UNREADABLE else ""
        return Unreadable(_reason(trouble, Scope.MESSAGE, remedy))
    if trouble.of_item and not beyond_item(trouble):
        # A mail may lie in a mailbox that is read and be denied to who reads it. What is denied of the mailbox, or
        # fails in it, the next sync tells before this mail has been waited for long enough.
        return Deferred(_reason(trouble, Scope.MESSAGE), trouble.retry_after_seconds)
    return of_mailbox(trouble, one_mail=True)


def beyond_item(trouble: Trouble) -> bool:
    """Whether it speaks of the server or the account, whatever it was asked for."""
    return trouble.verdict.is_busy or trouble.verdict.about_account or trouble.verdict.scope is Scope.SERVER


def of_finish(trouble: Trouble) -> Deferred | Rejected | None:
    """Something could not be done with a mail that was published. What has gone is done."""
    if trouble.code in _GONE:
        return None
    if trouble.code in _DENIED:
        return Rejected(_reason(trouble, Scope.MAILBOX, remedies.FINISHING))
    if trouble.verdict.disposition is Disposition.FINAL:
        return Rejected(_reason(trouble, Scope.MESSAGE))
    return of_mailbox(trouble, one_mail=trouble.of_item)


def _reason(trouble: Trouble, scope: Scope, remedy: str = "") -> Reason:
    return trouble.reason(scope, remedy or _INSTEAD.get(trouble.verdict.remedy, ""))
