"""Of what a failure speaks that one mail met: of that mail, or of what would befall the next one as well."""

from typing import Final

from worker.inbound.intake import Taken
from worker.mail.incoming import Fetched
from worker.mail.outcome import NO_ANSWER, Deferred

_TOO_LARGE: Final = "no-answer-too-large"


def unanswered(found: Fetched | Taken) -> bool:
    return isinstance(found, Deferred) and found.reason.code.startswith(NO_ANSWER)


def too_large(found: Fetched | Taken) -> bool:
    return isinstance(found, Deferred) and found.reason.code == _TOO_LARGE


def of_one_mail(failure: Deferred) -> bool:
    """Whether the mail asked for may be the cause of this."""
    return not failure.reason.scope.beyond_message or failure.reason.code.startswith(NO_ANSWER)


def breaks_off(failure: Deferred) -> bool:
    """Whether there is no use in going on with the next mail."""
    if failure.reason.code == "not-stored":
        return False  # a mail without files needs no store
    return failure.reason.scope.beyond_message or unanswered(failure)
