"""What a mailbox holds: items with their content, without any XML."""

import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from worker.mail.stamp import PROPERTY_NAME, PROPERTY_SET

if TYPE_CHECKING:
    from worker.sandbox.store import Folder

PropertyKey = tuple[str, str | int]
"""(property set GUID in lower case, name or id), or ("tag", number)."""

INTERNET_HEADERS: Final = "00020386-0000-0000-c000-000000000046"
"""PS_INTERNET_HEADERS: its named properties become header fields of the mail (MS-OXPROPS 1.3.2)."""

_ELEMENTS: Final = (
    ("IPM.Schedule.Meeting.Request", "MeetingRequest"),
    ("IPM.Schedule.Meeting.Canceled", "MeetingCancellation"),
    ("IPM.Schedule.Meeting.Resp", "MeetingResponse"),
)

STAMP: Final[PropertyKey] = (PROPERTY_SET.lower(), PROPERTY_NAME)


@dataclass(frozen=True, slots=True)
class Recipient:
    address: str
    name: str = ""
    routing_type: str = "SMTP"


@dataclass(frozen=True, slots=True)
class Property:
    """An extended property's type (as EWS names it) and its value in the text form EWS gives it."""

    kind: str
    value: str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attachment:
    id: str
    name: str
    content_type: str
    content: bytes
    content_id: str = ""
    content_location: str = ""
    inline: bool = False
    item: "Item | None" = None
    """The item it is, for an ItemAttachment; `content` is then that item in MIME."""

    @property
    def element(self) -> str:
        return "FileAttachment" if self.item is None else "ItemAttachment"


@dataclass(slots=True, eq=False)
class Item:
    id: str = ""
    change: int = 0
    folder: "Folder | None" = None
    item_class: str = "IPM.Note"
    subject: str = ""
    body: str = ""
    body_type: str = "Text"
    importance: str = "Normal"
    sensitivity: str = "Normal"
    categories: tuple[str, ...] = ()
    from_: Recipient | None = None
    sender: Recipient | None = None
    to: tuple[Recipient, ...] = ()
    cc: tuple[Recipient, ...] = ()
    bcc: tuple[Recipient, ...] = ()
    reply_to: tuple[Recipient, ...] = ()
    message_id: str = ""
    in_reply_to: str = ""
    references: str = ""
    read_receipt: bool = False
    delivery_receipt: bool = False
    is_read: bool = True
    is_draft: bool = True
    is_submitted: bool = False
    properties: dict[PropertyKey, Property] = field(default_factory=dict)
    attachments: list[Attachment] = field(default_factory=list)
    created_at: datetime | None = None
    modified_at: datetime | None = None
    sent_at: datetime | None = None
    received_at: datetime | None = None
    source: bytes = b""
    """The mail in MIME as it was received, or as a client gave it; empty for what was made here."""
    search_key: bytes = b""
    """PidTagSearchKey: given when the item comes into being, kept when it is moved or copied."""
    conversation: bytes = b""
    """The GUID of its conversation (the last part of PidTagConversationIndex)."""
    conversation_index: bytes = b""

    @property
    def element(self) -> str:
        """The EWS element for an item of this class."""
        for item_class, element in _ELEMENTS:
            if self.item_class.startswith(item_class):
                return element
        return "Message"

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        return self.to + self.cc + self.bcc

    @property
    def stamp(self) -> str:
        found = self.properties.get(STAMP)
        return found.value if found is not None and isinstance(found.value, str) else ""

    @property
    def size(self) -> int:
        if self.source:
            return 500 + len(self.source)
        return 500 + len(self.subject) + len(self.body) + sum(len(each.content) for each in self.attachments)

    @property
    def change_key(self) -> str:
        return change_key(self.change)

    def headers(self) -> list[tuple[str, str]]:
        """The header fields the client asked for, by the property set of internet headers."""
        return [
            (str(name), each.value)
            for (property_set, name), each in self.properties.items()
            if property_set == INTERNET_HEADERS and isinstance(each.value, str)
        ]

    def copied(self) -> "Item":
        """The same content, to be kept elsewhere."""
        twin = copy.copy(self)
        twin.properties = dict(self.properties)
        twin.attachments = list(self.attachments)
        twin.folder = None
        return twin


def change_key(change: int) -> str:
    """Exchange's ChangeKeys are opaque text; this one is of the same look and moves with every change."""
    return f"CQAAABYAAAD{change:016X}AAA="
