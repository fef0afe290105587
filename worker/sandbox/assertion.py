"""An application proves itself with a JWT that it signed with the key of its certificate (RFC 7523)."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from worker.sandbox.application import Application

_UNCHECKED: Final = dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss"), False)
_THUMBPRINTS: Final = (("x5t", hashes.SHA1()), ("x5t#S256", hashes.SHA256()))  # noqa: S303 - the header's own choice


class Denial(Exception):  # noqa: N818 - it becomes an answer
    """No token: HTTP status, OAuth's word, Entra's number (AADSTS...) and its text."""

    def __init__(self, status: int, error: str, number: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.error = error
        self.number = number
        self.text = text


def check(assertion: str, application: Application, audiences: Sequence[str], now: datetime) -> None:
    """Raises Denial."""
    claims = _signed(assertion, application, now)
    if claims.get("aud") not in audiences:
        raise _denial(700023, "Client assertion audience claim does not match Realm issuer.")
    if not claims.get("iss") == claims.get("sub") == application.client_id:
        raise _denial(700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
    seconds = now.timestamp()
    if not _number(claims, "nbf", seconds) <= seconds < _number(claims, "exp", 0):
        raise _denial(700024, "Client assertion is not within its valid time range.")


def _signed(assertion: str, application: Application, now: datetime) -> dict[str, Any]:
    """The claims, the signature checked with the application's certificate. Raises Denial."""
    certificate = application.certificate
    try:
        header = jwt.get_unverified_header(assertion)
    except jwt.InvalidTokenError:
        raise _denial(50027, "JWT token is invalid or malformed.") from None
    if certificate is None or not _names(header, certificate):
        raise _unsuitable("The key was not found.")
    if certificate.not_valid_after_utc <= now:
        raise _unsuitable("The key used is expired.")
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)
    try:
        return jwt.decode(assertion, key, algorithms=["RS256", "PS256"], options=_UNCHECKED)  # type: ignore[arg-type]
    except jwt.InvalidTokenError:
        raise _unsuitable("The key was found, but use of the key to verify the signature failed.") from None


def _names(header: dict[str, Any], certificate: x509.Certificate) -> bool:
    """Whether the header's thumbprint is that of the certificate."""
    told = [
        (str(header[name]), certificate.fingerprint(algorithm)) for name, algorithm in _THUMBPRINTS if name in header
    ]
    return bool(told) and all(
        text.rstrip("=") == base64.urlsafe_b64encode(print_).decode().rstrip("=") for text, print_ in told
    )


def _number(claims: dict[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def _unsuitable(reason: str) -> Denial:
    text = f"The certificate used to sign the client assertion cannot be used. [Reason - {reason}]"
    return _denial(700027, text)


def _denial(number: int, text: str) -> Denial:
    return Denial(401, "invalid_client", number, text)
