"""Certificates of applications, as PEM files hold them."""

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def key(number: int = 1) -> rsa.RSAPrivateKey:
    """Made once; each number is another one."""
    assert number
    return rsa.generate_private_key(65537, 2048)


def curve() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(of: Key, begins: int = -30, ends: int = 30, now: datetime = NOW) -> x509.Certificate:
    """Valid from and until so many days from now."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "router")])
    builder = x509.CertificateBuilder(name, name, of.public_key(), 1, now + timedelta(begins), now + timedelta(ends))
    return builder.sign(of, hashes.SHA256())


def pem(*parts: Key | x509.Certificate, password: bytes = b"") -> str:
    kind: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    return b"".join(
        part.public_bytes(Encoding.PEM)
        if isinstance(part, x509.Certificate)
        else part.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, kind)
        for part in parts
    ).decode()
