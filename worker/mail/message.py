"""A mail as the flows hand it to a transport: complete, checked, nothing left to decide."""

from dataclasses import dataclass
from typing import Literal

from worker.mail.address import Address
from worker.mail.stamp import Stamp

Importance = Literal["low", "normal", "high"]
Sensitivity = Literal["normal", "personal", "private", "confidential"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of the mail. `content_base64` stays in the text form it came in: it leaves in the same one."""

    name: str
    content_type: str
    content_base64: bytes
    content_id: str = ""
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One mail. Texts may hold any Unicode: what the wire format cannot carry is the transport's to clean."""

    stamp: Stamp
    message_id: str
    sender: Address
    subject: str
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    html: str | None = None
    text: str | None = None
    importance: Importance = "normal"
    sensitivity: Sensitivity = "normal"
    request_read_receipt: bool = False
    request_delivery_receipt: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()

    @property
    def size(self) -> int:
        """About how many bytes a request with this mail takes; for keeping batches small, not for limits."""
        texts = len(self.html or "") + len(self.text or "") + len(self.subject)
        return 2000 + 2 * texts + sum(len(each.content_base64) for each in self.attachments)
