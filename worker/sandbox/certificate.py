"""The certificate a client sees, and the name of the channel that is made of it."""

import contextlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from spnego.channel_bindings import GssChannelBindings


def bindings(context: ssl.SSLContext) -> GssChannelBindings:
    """`tls-server-end-point` (RFC 5929, 4) of the certificate that this server context shows."""
    certificate = x509.load_der_x509_certificate(_shown(context))
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None or isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    return GssChannelBindings(application_data=b"tls-server-end-point:" + certificate.fingerprint(algorithm))


def _shown(context: ssl.SSLContext) -> bytes:
    """The context does not tell its certificate, so a client in memory has it shown."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):  # round trips: more than any version of TLS takes
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return shown
