"""Applications from the `[[application]]` tables of the users file."""

from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from worker.sandbox.application import Application

_TEXTS: Final = ("tenant", "client_id", "client_secret", "certificate")
_LISTS: Final = ("roles", "mailboxes")
_KEYS: Final = (*_TEXTS, *_LISTS, "secret_expired")


def read(table: object, beside: Path) -> Application:
    """The application a table describes; the path of its certificate is meant from the folder `beside`. Raises
    ValueError that names the key.
    """
    if not isinstance(table, dict):
        raise ValueError("must be a table")  # noqa: TRY004 - a fault of the file
    for key in ("tenant", "client_id"):
        if not table.get(key):
            raise ValueError(f"{key}: is missing")
    if not table.get("client_secret") and not table.get("certificate"):
        raise ValueError("client_secret: is missing, and so is certificate; one of them is needed")
    application = Application(table["tenant"], table["client_id"])
    change(application, table, beside)
    return application


def change(application: Application, table: dict[str, Any], beside: Path) -> None:
    """Set what a table says. Raises ValueError that names the key."""
    for key, value in table.items():
        if key not in _KEYS:
            raise ValueError(f"{key}: unknown key; {', '.join(sorted(_KEYS))} are known")
        if key in _TEXTS and not isinstance(value, str):
            raise ValueError(f"{key}: is no text")
        if key in _LISTS and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
            raise ValueError(f"{key}: must be a list of texts")
        if key == "secret_expired" and not isinstance(value, bool):
            raise ValueError(f"{key}: must be true or false")
    if "certificate" in table:
        application.certificate = _certificate(beside / table["certificate"]) if table["certificate"] else None
    application.tenant = table.get("tenant", application.tenant)
    application.client_secret = table.get("client_secret", application.client_secret)
    application.secret_expired = table.get("secret_expired", application.secret_expired)
    application.roles = tuple(table.get("roles", application.roles))
    application.mailboxes = {each.casefold() for each in table.get("mailboxes", application.mailboxes)}


def _certificate(path: Path) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise ValueError(f"certificate: {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"certificate: {path} holds no certificate in PEM") from None
    if not isinstance(certificate.public_key(), RSAPublicKey):
        raise ValueError(f"certificate: {path} has no RSA key")  # noqa: TRY004 - a fault of the file
    return certificate
