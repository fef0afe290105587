"""What only the machine that works by the profiles can tell: whether secrets and files are there, what they hold."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from worker.profiles.model import Mailbox, Profile
from worker.settings import ConfigurationError, SecretReference

SOON: Final = timedelta(days=30)
"""Certificates that expire within this time are warned of."""


def faults(profiles: Sequence[Profile], mailboxes: Sequence[Mailbox]) -> Iterator[str]:
    for profile in profiles:
        place = f"[[profile]] ({profile.name})"
        yield from _secret(place, "password", profile.password)
        yield from _secret(place, "client_secret", profile.client_secret)
        yield from _certificate(place, profile.certificate)
        if profile.ca_file and (fault := _ca(profile)):
            yield f"{place}: ca_file: {profile.ca_file} {fault}"
    for mailbox in mailboxes:
        yield from _secret(f"[[mailbox]] ({mailbox.address})", "password", mailbox.password)


def warnings(profiles: Sequence[Profile]) -> Iterator[str]:
    for profile in profiles:
        if profile.certificate is None:
            continue
        ends = x509.load_pem_x509_certificate(profile.certificate.resolve().encode()).not_valid_after_utc
        place = f"[[profile]] ({profile.name}): certificate"
        if ends <= datetime.now(UTC):
            yield f"{place}: has expired on {ends:%Y-%m-%d}: renew it, and upload it to the application in Entra"
        elif ends - datetime.now(UTC) < SOON:
            yield f"{place}: expires on {ends:%Y-%m-%d}"


def _secret(place: str, key: str, secret: SecretReference | None) -> Iterator[str]:
    try:
        _ = secret and secret.resolve()
    except ConfigurationError as error:
        yield f"{place}: {key}: {error}"


def _certificate(place: str, reference: SecretReference | None) -> Iterator[str]:
    """Private key and certificate in one."""
    if reference is None:
        return
    where = f"{place}: certificate: {reference.reference}"
    try:
        pem = reference.resolve().encode()
    except ConfigurationError as error:
        yield f"{place}: certificate: {error}"
        return
    try:
        x509.load_pem_x509_certificate(pem)
        load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        yield f"{where} does not hold a certificate and its private key, unencrypted, in PEM form"


def _ca(profile: Profile) -> str:
    assert profile.ca_file is not None
    if not profile.ca_file.is_file():
        return "is not a readable file"
    try:
        x509.load_pem_x509_certificates(profile.ca_file.read_bytes())
    except (OSError, ValueError):
        return "holds no certificates in PEM form"
    return ""
