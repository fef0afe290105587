"""A mail as the flows hand it to a transport: complete, checked, nothing left to decide."""

from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from worker.mail.address import Address
from worker.mail.stamp import Stamp

Importance = Literal["low", "normal", "high"]
Sensitivity = Literal["normal", "personal", "private", "confidential"]


@dataclass(frozen=True, slots=True)
class Link:
    """Where a file is to be fetched from, and what it must turn out to be: None and "" where nobody said."""

    url: str = field(repr=False)  # it may be one that whoever knows it may read
    size: int | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A file kept out of memory: `size` bytes of an open file, from `start` on. Whoever spooled it closes it."""

    file: BinaryIO = field(repr=False)
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of the mail. Content given as base64 stays in that form: it leaves in the same one. A transport is given
    no `Link`: what is behind it is spooled before.
    """

    name: str
    content_type: str
    content: bytes | Link | Spooled = field(repr=False)
    content_id: str = ""
    inline: bool = False

    @property
    def encoded_size(self) -> int:
        """How many bytes its base64 text has."""
        if isinstance(self.content, bytes):
            return len(self.content)
        return ((self.content.size or 0) + 2) // 3 * 4


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
        return 2000 + 2 * texts + sum(each.encoded_size for each in self.attachments)

    @property
    def mail_bytes(self) -> int:
        """About how large the mail is as servers count it for their limits: text, and files in base64."""
        texts = sum(len(each.encode(errors="replace")) for each in (self.html, self.text, self.subject) if each)
        return texts + sum(each.encoded_size for each in self.attachments)
