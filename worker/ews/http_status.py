"""What an HTTP status means where it is all that a server said."""

import re
from typing import Final

from worker.ews import remedies
from worker.ews.codes import BUSY, Disposition, Verdict, judged
from worker.ews.http_answer import Answer
from worker.ews.trouble import Trail, Trouble
from worker.mail.outcome import Scope

_SIGN_IN: Final = judged(Disposition.PAUSE, Scope.PROFILE, remedies.SIGN_IN, about_account=True)
_PASSWORD: Final = judged(Disposition.PAUSE, Scope.PROFILE, remedies.EXPIRED, about_account=True)
# It may be the organisation that is shut out, or one mailbox alone (EwsEnabled): 403 does not tell. Taken for the
# profile's, one such mailbox would hold up the mail of all others.
_FORBIDDEN: Final = judged(Disposition.PAUSE, Scope.MAILBOX, remedies.RETIREMENT)
_LOCATION: Final = judged(Disposition.PAUSE, Scope.PROFILE, remedies.LOCATION)
_PROXY: Final = judged(Disposition.PAUSE, Scope.SERVER, remedies.PROXY)
_TOO_LARGE: Final = judged(Disposition.FINAL, Scope.MESSAGE, remedies.TOO_LARGE)
_REFUSED: Final = Verdict(Disposition.TRANSIENT, Scope.MESSAGE, remedies.UNEXPECTED, refuses_sending=True)
_OPEN: Final = Verdict(Disposition.LOOK, Scope.MESSAGE, remedies.NO_ANSWER)

_WAY: Final = judged(Disposition.PAUSE, Scope.PROFILE, remedies.WAY, about_account=True)
_OFFERED_AS: Final = {
    "basic": frozenset({"basic"}),
    "ntlm": frozenset({"ntlm", "negotiate"}),
    "bearer": frozenset({"bearer"}),
}
_DIAGNOSTICS: Final = re.compile(r'reason="(?P<reason>[^"]{0,300})".*error_category="(?P<category>[a-z_]{1,40})"')
"""What Exchange says is wrong with a token (MS-OAUTH2EX 2.2.2.1, "x-ms-diagnostics")."""
_TOKEN: Final = judged(Disposition.PAUSE, Scope.PROFILE, remedies.REFUSED_BEARER, about_account=True)
_TOKENS: Final = {
    "invalid_resource": judged(Disposition.PAUSE, Scope.PROFILE, remedies.SCOPE, about_account=True),
    "invalid_tenant": judged(Disposition.PAUSE, Scope.PROFILE, remedies.TENANT, about_account=True),
    "invalid_grant": judged(Disposition.PAUSE, Scope.PROFILE, remedies.CONSENT, about_account=True),
    "invalid_client": judged(Disposition.PAUSE, Scope.PROFILE, remedies.APPLICATION, about_account=True),
    "invalid_user": judged(Disposition.PAUSE, Scope.MAILBOX, remedies.NO_MAILBOX),
}

_STATUSES: Final = {
    403: (_FORBIDDEN, "access was refused"),
    404: (_LOCATION, "there is nothing at this address"),
    405: (_LOCATION, "this address takes no such requests"),
    407: (_PROXY, "the proxy wants somebody to sign in"),
    408: (_OPEN, "the server gave up waiting for the request"),
    413: (_TOO_LARGE, "the request is too large"),
    429: (BUSY, "too many requests"),
    456: (_PASSWORD, "the account is blocked"),  # Exchange Online's own statuses for accounts that
    457: (_PASSWORD, "the password has expired"),  # cannot sign in over Basic
    503: (BUSY, "the server is busy"),
}

_LARGE_BYTES: Final = 24 * 2**20
"""IIS says 404 (sub-status 13, which it tells nobody) to a request above its limit, 30,000,000 bytes at least."""


def is_final(status: int) -> bool:
    """Whether the status alone decides, whatever the body says."""
    return status in (401, 407)


def of_status(answer: Answer, trail: Trail, sent_bytes: int) -> Trouble:
    """The trouble behind a status that is not 200, read without its body."""
    status = answer.status
    if status == 401:  # noqa: PLR2004 - HTTP's "Unauthorized"
        return _unauthorized(answer, trail)
    verdict, text = _STATUSES.get(status) or _by_class(status)
    if status == 404 and sent_bytes > _LARGE_BYTES:  # noqa: PLR2004 - the status named above
        verdict, text = _TOO_LARGE, "the request is too large, it seems"
    wait = answer.retry_after_seconds if answer.busy else None
    return trail.trouble(f"http-{status}", verdict, f"HTTP {status}: {text}", wait)


def _unauthorized(answer: Answer, trail: Trail) -> Trouble:
    """Refused: for what Exchange says of the token, or because it lets nobody sign in this way, or as such."""
    told = _DIAGNOSTICS.search(answer.headers.get("x-ms-diagnostics", ""))
    if told is not None and trail.way == "bearer":
        verdict = _TOKENS.get(told["category"], _TOKEN)
        return trail.trouble(f"http-401-{told['category'].replace('_', '-')}", verdict, f"HTTP 401: {told['reason']}")
    offered = answer.schemes
    if offered and not offered & _OFFERED_AS.get(trail.way, offered):
        text = f"HTTP 401: it offers {', '.join(sorted(offered))} to sign in by, and the profile has another way"
        return trail.trouble("http-401-way", _WAY, text)
    return trail.trouble("http-401", _SIGN_IN, "HTTP 401: signing in was refused")


def _by_class(status: int) -> tuple[Verdict, str]:
    match status // 100:
        case 3:
            return _LOCATION, "the server sends us elsewhere"
        case 4:
            return _REFUSED, "the request was refused"
        case _:
            return _OPEN, "the server failed, perhaps after the work was done"
