"""What only the machine that works by the profiles can tell: whether secrets and files are there, what they hold."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from worker.profiles.application import certificates
from worker.profiles.model import Mailbox, Profile
from worker.profiles.table import Entry, Fault, known, shown
from worker.settings import ConfigurationError, SecretReference

EXPIRES_SOON: Final = timedelta(days=30)

MOST_CA_BYTES: Final = 16 * 2**20
"""A bundle of all public CAs has a quarter of a megabyte."""


def of_profile(entry: Entry[Profile]) -> Iterator[Fault]:
    yield from of_mailbox(entry)
    yield from _authorities(entry)
    held = entry.table.certificate
    if held is not None and entry.knows("certificate"):
        try:
            _own_certificate(held)
        except ValueError as error:
            yield Fault("certificate", f"{held.reference}: {error}")
        except ConfigurationError:
            return  # told with the secrets


def of_mailbox(entry: Entry[Profile] | Entry[Mailbox]) -> Iterator[Fault]:
    """Its secrets, that is."""
    for key in ("password", "client_secret", "certificate"):
        held = getattr(entry.table, key, None)
        if entry.knows(key) and isinstance(held, SecretReference):
            try:
                held.resolve()
            except ConfigurationError as error:
                yield Fault(key, str(error))


def warnings(profiles: Sequence[Profile], now: datetime) -> Iterator[str]:
    """That a certificate expires is no fault: the file is what it was, and what needs no certificate goes on."""
    for number, profile in enumerate(profiles, 1):
        if profile.certificate is not None:
            try:
                told = list(_validity(_own_certificate(profile.certificate), now))
            except (ValueError, ConfigurationError):
                told = ["cannot be read any more: sign-in fails when a new token is needed"]
            reference = profile.certificate.reference
            yield from known(profile, number).told(Fault("certificate", f"{reference}: {each}") for each in told)


def _authorities(entry: Entry[Profile]) -> Iterator[Fault]:
    path = entry.table.ca_file
    if path is None or not entry.knows("ca_file"):
        return
    try:
        if not path.is_file():
            yield Fault("ca_file", "is not a readable file")
            return
        with path.open("rb") as file:
            found = x509.load_pem_x509_certificates(file.read(MOST_CA_BYTES))
    except OSError as error:
        yield Fault("ca_file", f"is not a readable file: {error.strerror}")
    except ValueError:
        yield Fault("ca_file", f"{shown(path)} holds no certificates in PEM: -----BEGIN CERTIFICATE-----")
    else:
        assert found


def _validity(own: x509.Certificate, now: datetime) -> Iterator[str]:
    begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
    if ends <= now:
        yield f"has expired on {ends:%Y-%m-%d}: sign-in fails"
    elif begins > now:
        yield f"is valid only from {begins:%Y-%m-%d %H:%M}Z on: sign-in fails until then"
    elif ends <= now + EXPIRES_SOON:
        yield f"expires on {ends:%Y-%m-%d}: renew it"


def _own_certificate(held: SecretReference) -> x509.Certificate:
    """Raises ConfigurationError where the secret is not there, ValueError where it cannot be signed in by."""
    return certificates(held.resolve().encode())[0]
