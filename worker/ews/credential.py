"""What an application proves itself by: its secret, or a certificate with its private key."""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from worker.ews.endpoint import OAuthSignIn
from worker.ews.token_answer import Refusal, unusable


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
    """From a PEM that holds both, and perhaps the certificates of CAs after its own; or what is wrong with it."""
    try:
        own, *others = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return "holds no certificate in PEM form"
    try:
        key = load_pem_private_key(pem.encode(), None)
    except TypeError:
        return "its private key is encrypted; it must not be, since nobody is there to enter a password"
    except ValueError:
        return "holds no private key in PEM form"
    flaw = _flaw(own, key, now)
    if flaw:
        return flaw
    shown = b"".join(each.public_bytes(Encoding.PEM) for each in (own, *others)).decode()
    thumbprint = own.fingerprint(hashes.SHA256()).hex()
    proof = {"private_key": pem, "thumbprint_sha256": thumbprint, "public_certificate": shown}
    return Credential(proof, own.not_valid_after_utc)


def _flaw(own: x509.Certificate, key: object, now: datetime) -> str:
    """Why the two cannot be signed in by, "" for nothing."""
    if not isinstance(key, RSAPrivateKey):
        return "its private key is none of RSA, which is what Entra takes"
    if key.public_key() != own.public_key():
        return "its private key is not that of its first certificate"
    if own.not_valid_after_utc <= now:
        return f"the application's certificate has expired on {own.not_valid_after_utc:%Y-%m-%d}"
    if own.not_valid_before_utc > now:
        return f"the application's certificate is not valid before {own.not_valid_before_utc:%Y-%m-%d}"
    return ""
