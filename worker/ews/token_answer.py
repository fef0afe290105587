"""What a sign-in service answers an application: a token, or why there is none."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from worker.ews import remedies
from worker.ews.codes import Disposition, Verdict, judged
from worker.mail.outcome import Scope

_USUAL_SECONDS: Final = 3600
"""Of a token that does not say how long it is valid: it need not (RFC 6749, 5.1)."""

HEEDED: Final = ("access_token", "expires_in", "error", "error_description", "error_codes")
"""Of a token endpoint's answer."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A token and how long it is valid from now on. `certificate_ends_at`: of the certificate it was asked by."""

    token: str = field(repr=False)
    seconds: float
    certificate_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    code: str
    verdict: Verdict
    text: str


def read(answer: Mapping[str, Any], where: str) -> Granted | Refusal:
    """What comes of a whole answer of the token endpoint at `where`."""
    token = answer.get("access_token")
    if isinstance(token, str):
        return Granted(token, seconds(answer))
    numbers = [each for each in answer.get("error_codes") or () if isinstance(each, int)]
    known = next((_BY_NUMBER[each] for each in numbers if each in _BY_NUMBER), None)
    code, verdict = known or _BY_ERROR.get(str(answer.get("error")), ("token-refused", _REFUSED))
    text = first_line(answer.get("error_description") or answer.get("error") or "no token in the answer")
    return Refusal(code, verdict, f"{where}: {text}")


def seconds(answer: Mapping[str, Any]) -> float:
    """How long a token is valid: a number, which some services write as a text, or with a fraction."""
    told = answer.get("expires_in")
    try:
        found = float(told) if isinstance(told, str | int | float) and not isinstance(told, bool) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    return found if 0 < found < math.inf else _USUAL_SECONDS


def first_line(told: object) -> str:
    """Entra's descriptions go on with trace ids."""
    return (str(told).strip().splitlines() or ["no answer"])[0].split(" Trace ID")[0][:300]


def missing(text: str) -> Refusal:
    """The secret or certificate is not where the profile says."""
    return Refusal("secret-missing", _MISSING, text)


def unusable(text: str) -> Refusal:
    """The certificate cannot be signed in by."""
    return Refusal("token-certificate", _CERTIFICATE, text)


def unknown(text: str) -> Refusal:
    """There is no such tenant, or no such sign-in service."""
    return Refusal("token-wrong-tenant", _TENANT, text)


def untrusted(text: str) -> Refusal:
    """The sign-in service is not trusted over TLS."""
    return Refusal("token-untrusted", _UNTRUSTED, text)


def unavailable(text: str) -> Refusal:
    """The sign-in service is not there, or not able to."""
    return Refusal("token-unavailable", _UNAVAILABLE, text)


def _pause(remedy: str) -> Verdict:
    return judged(Disposition.PAUSE, Scope.PROFILE, remedy, about_account=True)


_MISSING: Final = _pause(remedies.MISSING_REFERENCE)
_TENANT: Final = _pause(remedies.TENANT)
_APPLICATION: Final = _pause(remedies.APPLICATION)
_WRONG_SECRET: Final = _pause(remedies.APPLICATION_KEY)
_CERTIFICATE: Final = _pause(remedies.APPLICATION_CERTIFICATE)
_SCOPE: Final = _pause(remedies.SCOPE)
_CONSENT: Final = _pause(remedies.CONSENT)
_REFUSED: Final = _pause(remedies.SIGN_IN_SERVICE)
_UNTRUSTED: Final = _pause(remedies.SIGN_IN_SERVICE_UNTRUSTED)
_UNAVAILABLE: Final = _pause(remedies.SIGN_IN_SERVICE_AWAY)

SAME_AGAIN: Final = Refusal(
    "token-refused", _REFUSED, "the sign-in service gives the token again that Exchange refuses"
)

_BY_NUMBER: Final[Mapping[int, tuple[str, Verdict]]] = {
    90002: ("token-wrong-tenant", _TENANT),
    900023: ("token-wrong-tenant", _TENANT),
    50049: ("token-wrong-tenant", _TENANT),  # there is no such sign-in service
    700016: ("token-unknown-application", _APPLICATION),
    7000112: ("token-unknown-application", _APPLICATION),  # disabled
    7000229: ("token-unknown-application", _APPLICATION),  # not in this tenant
    7000215: ("token-wrong-secret", _WRONG_SECRET),
    7000222: ("token-expired-secret", _WRONG_SECRET),
    7000216: ("token-wrong-secret", _WRONG_SECRET),
    700027: ("token-certificate", _CERTIFICATE),
    700024: ("token-certificate", _CERTIFICATE),  # the assertion's time: a clock far off
    700030: ("token-certificate", _CERTIFICATE),  # its subject or issuer
    500011: ("token-wrong-scope", _SCOPE),
    70011: ("token-wrong-scope", _SCOPE),
    1002012: ("token-wrong-scope", _SCOPE),
    65001: ("token-not-consented", _CONSENT),
    650057: ("token-not-consented", _CONSENT),  # not among its permissions
    501051: ("token-not-consented", _CONSENT),  # not assigned
    90033: ("token-unavailable", _UNAVAILABLE),
    90024: ("token-unavailable", _UNAVAILABLE),
    90055: ("token-unavailable", _UNAVAILABLE),  # too many requests
    50196: ("token-unavailable", _UNAVAILABLE),  # likewise
}
"""Microsoft identity platform documentation, "Microsoft Entra authentication and authorization error codes"."""

_BY_ERROR: Final[Mapping[str, tuple[str, Verdict]]] = {
    "invalid_scope": ("token-wrong-scope", _SCOPE),
    "invalid_resource": ("token-wrong-scope", _SCOPE),
    "invalid_tenant": ("token-wrong-tenant", _TENANT),
    "invalid_instance": ("token-wrong-tenant", _TENANT),
    "unauthorized_client": ("token-unknown-application", _APPLICATION),
    "temporarily_unavailable": ("token-unavailable", _UNAVAILABLE),
    "server_error": ("token-unavailable", _UNAVAILABLE),
}
"""For sign-in services without Microsoft's numbers (RFC 6749, 5.2), and for numbers not listed above."""
