"""The stamp: a request's identity on the Exchange side, a named property on its draft and on its sent copy.

It holds the CloudEvents `source` and `id` of the event that asked for the mail. Exchange cuts strings off at 255
characters in the rows FindItem returns (MS-OXCTABL 3.2.5.5), so a stamp that would be longer carries a digest instead.
"""

import hashlib
import re
from typing import Final, NewType

Stamp = NewType("Stamp", str)

PROPERTY_SET: Final = "6f0d63a4-2b0c-4d0e-9c5b-c7a4de0c2d11"
"""Our own property set (GUID). It never changes: mail sent years ago is recognised by it."""

PROPERTY_NAME: Final = "RequestStamp"

VOID: Final = Stamp("void")
"""What a retired draft bears: no request ever has this stamp, since a stamp holds a space."""

_PLAIN = re.compile(r"[!-~]{1,100} [!-~]{1,100}")


def stamp_of(source: str, event_id: str) -> Stamp:
    """`source id` where both are short and printable ASCII, else `sha256 <hex>` of the two."""
    plain = f"{source} {event_id}"
    if _PLAIN.fullmatch(plain) and source != "sha256":
        return Stamp(plain)
    digest = hashlib.sha256(f"{len(source)}:{source}{event_id}".encode("utf-8", "surrogatepass"))
    return Stamp(f"sha256 {digest.hexdigest()}")
