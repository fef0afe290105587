"""What a mailbox entry covers: one address, or with `*@domain` all of a domain that have no entry of their own."""

import re
from typing import Final

WHOLE_DOMAIN: Final = "*@"

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_BARRED: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff<>,;]")


def covering(address: str) -> str:
    """The address as it is. Raises ValueError, with what to write instead, for what covers no mailbox of Exchange."""
    local, at, domain = address.rpartition("@")
    if _BARRED.search(address):
        raise ValueError("must be the address alone, anna@contoso.example: no name, blanks or angle brackets")
    if not at or not local or not domain:
        raise ValueError("must be an address, anna@contoso.example, or *@contoso.example for a whole domain")
    if "@" in local:
        raise ValueError("holds more than one @: an entry is for one address")
    if "*" in domain or ("*" in local and local != "*"):
        raise ValueError("may hold * only in place of all that stands before the @: *@contoso.example")
    if not domain.isascii():
        raise ValueError(f"has a domain that is not ASCII: {_ascii(domain)}, as it stands in Exchange")
    if not _DOMAIN.fullmatch(domain):
        raise ValueError("has a domain that is none: letters, digits and hyphens, with dots between")
    if len(address) > 320:  # noqa: PLR2004 - 64 @ 255, RFC 5321
        raise ValueError("is longer than 320 characters")
    return address


def _ascii(domain: str) -> str:
    try:
        return f"write it as {domain.encode('idna').decode()}"
    except UnicodeError:
        return "write it as xn--..."
