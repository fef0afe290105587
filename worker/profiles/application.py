"""What an application signs in by: a PEM with its private key and certificate, told apart from what it cannot use."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """That of the private key first, then what else is there: those of CAs, as a rule.

    Raises ValueError where none can be signed in by, in words that never repeat what is there.
    """
    if b"-----BEGIN" not in pem:
        raise ValueError("is not PEM; it is to hold a private key and its certificate")
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise ValueError("its private key is encrypted: store it without a passphrase") from None
    except UnsupportedAlgorithm:
        key = None
    except ValueError:
        raise ValueError("holds no private key in PEM: -----BEGIN PRIVATE KEY-----") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("its private key is none of RSA, which is what Entra takes")  # noqa: TRY004 - the file's
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError("holds no certificate in PEM: -----BEGIN CERTIFICATE-----") from None
    own = next((each for each in found if _is_of(each, key)), None)
    if own is None:
        raise ValueError("none of its certificates is that of its private key")
    return (own, *(each for each in found if each is not own))


def _is_of(certificate: x509.Certificate, key: RSAPrivateKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):  # a CA's, of a kind that is not known here
        return False
