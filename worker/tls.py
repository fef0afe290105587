"""How the other side of a TLS connection is checked, wherever there is one."""

import ssl


def client_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Trusts the CAs of the system, or those of the file alone. Raises OSError where that cannot be used.

    A private CA need not be as RFC 5280 wants it, which Python asks for since 3.13: many were made without key usage,
    and what they have signed is checked all the same.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
