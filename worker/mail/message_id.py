"""Our Message-IDs: the same for every attempt at one request, and telling which CRM e-mail a reply answers.

    <crm.EMAIL_ID.REQUEST.MAC@sender-domain>

EMAIL_ID is the CRM's `email_id` (base64url of its UTF-8), REQUEST a digest of the stamp, MAC a truncated HMAC-SHA256
over both under the correlation key ("0" without a key). base64url needs no character that RFC 5322 3.2.3 forbids in
a dot-atom, except that mail systems may fold case in the domain: so nothing of ours stands there.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from worker.mail.stamp import Stamp

TRACE_HEADER: Final = "X-CRM-Mail-Router"
"""A mail of ours bears the part before the `@` of its Message-ID in this field, whatever Exchange makes of the id.
Header names that begin so are the router's own.
"""

_OURS = re.compile(r"<?crm\.([\w-]{1,800})\.([\w-]{22})\.([\w-]{22}|0)@[^<>@\s]+>?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a Message-ID of ours tells: the CRM e-mail, the digest of the request, and whether our own key vouches."""

    email_id: str
    verified: bool
    request: str = field(default="", compare=False)


def compose(email_id: str, stamp: Stamp, domain: str, key: bytes | None) -> str:
    """The Message-ID of a request's mail, with its angle brackets."""
    carried, request = _text(email_id.encode()), request_of(stamp)
    return f"<crm.{carried}.{request}.{_mac(carried, request, key)}@{domain}>"


def request_of(stamp: Stamp) -> str:
    """The digest of a request: 16 bytes in base64url."""
    return _text(hashlib.sha256(stamp.encode()).digest()[:16])


def read(message_id: str, key: bytes | None) -> Origin | None:
    """Whose mail a Message-ID names; None if it is not one of ours."""
    found = _OURS.fullmatch(message_id.strip())
    if found is None:
        return None
    carried, request, mac = found.groups()
    try:
        email_id = base64.urlsafe_b64decode(carried + "=" * (-len(carried) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    verified = key is not None and hmac.compare_digest(mac, _mac(carried, request, key))
    return Origin(email_id, verified, request)


def _mac(carried: str, request: str, key: bytes | None) -> str:
    if key is None:
        return "0"
    return _text(hmac.digest(key, f"{carried}.{request}".encode(), "sha256")[:16])


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
