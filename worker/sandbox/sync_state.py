"""A sync state as text: opaque, as far as a client can tell, and as long as wanted."""

import base64
import binascii
import hashlib
from collections.abc import Sequence

from worker.sandbox.soap import Refusal


def invalid() -> Refusal:
    return Refusal("ErrorInvalidSyncStateData", "The sync state is invalid or not known any more.")


def sealed(fields: Sequence[object], at_least: int) -> str:
    """`at_least`: characters."""
    plain = " ".join(map(str, fields))
    return base64.b64encode(f"{_seal(plain)} {plain} ".ljust(at_least * 3 // 4, "A").encode()).decode()


def unsealed(text: str) -> list[str]:
    """The fields. Raises Refusal ErrorInvalidSyncStateData."""
    try:
        seal, *fields, _ = base64.b64decode(text, validate=True).decode("ascii").split(" ")
    except (binascii.Error, ValueError):
        raise invalid() from None
    if seal != _seal(" ".join(fields)):
        raise invalid()
    return fields


def _seal(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()[:16]
