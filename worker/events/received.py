"""What the CRM is told about a mail that came in, as an event ready to publish."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["message", "auto-reply", "bounce", "receipt", "meeting"]
Method = Literal["in-reply-to", "references", "tracking-token", "conversation", "none"]


@dataclass(frozen=True, slots=True)
class Correlation:
    """Which e-mail of the CRM a mail belongs to, and how that is known. `verified`: our own key vouches for it."""

    method: Method = "none"
    email_id: str = ""
    tracking_token: str = ""
    verified: bool = False


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """An attachment as the event carries it: with its content, or with the URL it is kept under. `size` in bytes."""

    name: str
    content_type: str
    size: int
    sha256: str
    content_id: str = ""
    inline: bool = False
    content: bytes | None = field(default=None, repr=False)
    url: str = ""
