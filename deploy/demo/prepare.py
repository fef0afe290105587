"""What the sandbox Exchange of the demo needs, made anew for each demo: a certificate, and an account to sign in with.

Written into the directory given, where the workers read it: `ca.pem` and `password`. The sandbox takes `tls.pem` and
`users.toml`. What is there already stays.
"""

import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOST = "sandbox"
LIFETIME = timedelta(days=365)

USERS = """\
[[user]]
address = "router@contoso.example"
password = "{password}"
impersonates = ["*"]
"""
ANYBODY = """
[[user]]
address = "{address}"
password = "{password}"
"""


def certificate() -> tuple[bytes, bytes]:
    """A self-signed one, and with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    return made, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made


def main(directory: Path) -> None:
    if (directory / "users.toml").exists():  # written last
        return
    authority, pair = certificate()
    password = secrets.token_urlsafe()
    senders = [f"user{number:02d}@contoso.example" for number in range(40)] + ["desk@contoso.example"]
    users = USERS.format(password=password)
    users += "".join(ANYBODY.format(address=each, password=secrets.token_urlsafe()) for each in senders)
    for name, content in {
        "ca.pem": authority,
        "tls.pem": pair,
        "password": password.encode(),
        "users.toml": users.encode(),
    }.items():
        file = directory / name
        file.touch(mode=0o600)
        file.write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
