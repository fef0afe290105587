"""What an application proves itself by: its secret, or a certificate with its private key."""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from worker.ews.endpoint import OAuthSignIn
from worker.ews.token_answer import Refusal, unusable
from worker.profiles.application import certificates


@dataclass(frozen=True, slots=True)
class Credential:
    """`proof` is what msal is given. `ends_at`: of the certificate, None for a secret, whose end nobody tells."""

    proof: str | dict[str, str] = field(repr=False)
    ends_at: datetime | None = None


def credential(account: OAuthSignIn, now: datetime) -> Credential | Refusal:
    """Read anew. Raises ConfigurationError where there is none."""
    if account.client_secret is not None:
        return Credential(account.client_secret.resolve())
    assert account.certificate is not None
    read = _certificate(account.certificate.resolve(), now)
    return unusable(f"{account.certificate.reference}: {read}") if isinstance(read, str) else read


def _certificate(pem: str, now: datetime) -> Credential | str:
    """From a PEM that holds both, and perhaps the certificates of CAs; or what is wrong with it."""
    try:
        own, *others = certificates(pem.encode())
    except ValueError as error:
        return str(error)
    if own.not_valid_after_utc <= now:
        return f"the application's certificate has expired on {own.not_valid_after_utc:%Y-%m-%d}"
    if own.not_valid_before_utc > now:
        return f"the application's certificate is not valid before {own.not_valid_before_utc:%Y-%m-%d}"
    shown = b"".join(each.public_bytes(Encoding.PEM) for each in (own, *others)).decode()
    thumbprint = own.fingerprint(hashes.SHA256()).hex()
    proof = {"private_key": pem, "thumbprint_sha256": thumbprint, "public_certificate": shown}
    return Credential(proof, own.not_valid_after_utc)
