"""One NTLM handshake, bound to the TLS connection it goes over: greeting, challenge, proof (MS-NLMP)."""

import base64
import binascii
import struct

import spnego
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError


class Ntlm:
    r"""`username` is `DOMAIN\user` or `user@domain`."""

    def __init__(self, username: str, password: str) -> None:
        self._context = spnego.client(username, password, protocol="ntlm")

    def greeting(self) -> str:
        """In base64, as both parts are."""
        token = self._context.step()
        assert token is not None
        return base64.b64encode(token).decode()

    def proof(self, challenge: str, certificate: bytes | None) -> str | None:
        """`certificate` is the server's, as it came over this connection (DER); None without TLS. None where the
        challenge is none.
        """
        try:
            token = self._context.step(base64.b64decode(challenge), channel_bindings=_bindings(certificate))
        except (SpnegoError, binascii.Error, struct.error, ValueError):
            return None
        return base64.b64encode(token).decode() if token else None


def _bindings(certificate: bytes | None) -> GssChannelBindings | None:
    """tls-server-end-point (RFC 5929, 4.1): the certificate's hash by the algorithm of its signature, MD5 and SHA-1
    replaced by SHA-256. None where its signature names no hash (Ed25519): the binding is not defined then.
    """
    if certificate is None:
        return None
    read = x509.load_der_x509_certificate(certificate)
    try:
        algorithm = read.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    return GssChannelBindings(application_data=b"tls-server-end-point:" + read.fingerprint(algorithm))
