"""Mailboxes, folders and the items in them; ids and change keys. No rights, no sending."""

import base64
import hashlib
import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from worker.sandbox.conversations import Conversations
from worker.sandbox.item import Attachment, Item, change_key
from worker.sandbox.journal import Journal
from worker.sandbox.soap import Refusal

_FOLDERS: Final = (
    # distinguished name, parent, display name, folder class, element
    ("root", "", "Root", "", "Folder"),
    ("msgfolderroot", "root", "Top of Information Store", "IPF.Note", "Folder"),
    ("inbox", "msgfolderroot", "Inbox", "IPF.Note", "Folder"),
    ("drafts", "msgfolderroot", "Drafts", "IPF.Note", "Folder"),
    ("outbox", "msgfolderroot", "Outbox", "IPF.Note", "Folder"),
    ("sentitems", "msgfolderroot", "Sent Items", "IPF.Note", "Folder"),
    ("deleteditems", "msgfolderroot", "Deleted Items", "IPF.Note", "Folder"),
    ("junkemail", "msgfolderroot", "Junk Email", "IPF.Note", "Folder"),
    ("calendar", "msgfolderroot", "Calendar", "IPF.Appointment", "CalendarFolder"),
    ("contacts", "msgfolderroot", "Contacts", "IPF.Contact", "ContactsFolder"),
    ("tasks", "msgfolderroot", "Tasks", "IPF.Task", "TasksFolder"),
)


@dataclass(slots=True)
class Configuration:
    """A UserConfiguration: an application's own object in a folder. None for what was never set."""

    id: str
    name: str
    change: int
    dictionary: str | None = None
    """As XML: nobody here looks into it."""
    xml_data: bytes | None = None
    binary_data: bytes | None = None

    @property
    def size(self) -> int:
        return len(self.dictionary or "") + len(self.xml_data or b"") + len(self.binary_data or b"")


@dataclass(slots=True, eq=False)
class Folder:
    id: str
    name: str
    display_name: str
    folder_class: str
    element: str
    mailbox: "Mailbox"
    parent: "Folder | None"
    items: dict[str, Item] = field(default_factory=dict)
    """In the order of LastModifiedTime: what is changed or comes in goes to the end. A page of the newest costs
    no scan."""
    journal: Journal = field(default_factory=Journal)
    configurations: dict[str, Configuration] = field(default_factory=dict)
    """By their names in lower case."""
    watchers: dict[str, "Watcher"] = field(default_factory=dict)
    """Called with what happens in the folder."""

    @property
    def change_key(self) -> str:
        return change_key(len(self.items))


@dataclass(slots=True, eq=False)
class Mailbox:
    address: str
    number: int
    folders: dict[str, Folder] = field(default_factory=dict)
    used_bytes: int = 0
    sent_at: list[datetime] = field(default_factory=list)
    """When the mails of the last minute were sent."""
    conversations: Conversations = field(default_factory=Conversations)
    sync_generation: int = 0
    """Sync states of an earlier one are not known any more."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something happened to an item; `kind` is the name of an EWS event. The old id and folder are those of a move."""

    kind: str
    at: datetime
    folder: Folder
    id: str
    old_id: str = ""
    old_folder: Folder | None = None


Watcher = Callable[[Happening], None]


class Store:
    """`now` is the clock of the server: whole microseconds here, whole seconds in every answer. `most_gone`: of so many
    removed items a folder remembers that they were there.

    `birth` tells this store from every other: all it gives out bears it, so that nothing of a server that began anew is
    taken for something of the one before.
    """

    def __init__(self, now: Callable[[], datetime], most_gone: int = 100_000) -> None:
        self.now = now
        self.most_gone = most_gone
        self.birth = secrets.token_hex(8)
        self.mailboxes: dict[str, Mailbox] = {}
        self.items: dict[str, Item] = {}
        self.folders: dict[str, Folder] = {}
        self.attachments: dict[str, tuple[Item, Attachment]] = {}
        self._numbers = itertools.count(1)
        self._changes = itertools.count(1)

    def mailbox(self, address: str) -> Mailbox:
        """The mailbox of an address, made at its first use."""
        key = address.casefold()
        found = self.mailboxes.get(key)
        if found is None:
            found = self.mailboxes[key] = Mailbox(address, len(self.mailboxes) + 1)
            for name, parent, display_name, folder_class, element in _FOLDERS:
                above = found.folders.get(parent)
                self._keep(Folder(self._id(found, "F"), name, display_name, folder_class, element, found, above))
        return found

    def create_folder(self, parent: Folder, display_name: str, folder_class: str = "IPF.Note") -> Folder:
        """Raises Refusal ErrorFolderExists."""
        mailbox = parent.mailbox
        if any(
            each.parent is parent and each.display_name.casefold() == display_name.casefold()
            for each in mailbox.folders.values()
        ):
            raise Refusal("ErrorFolderExists", "A folder with the specified name already exists.")
        return self._keep(Folder(self._id(mailbox, "F"), "", display_name, folder_class, "Folder", mailbox, parent))

    def _keep(self, folder: Folder) -> Folder:
        folder.mailbox.folders[folder.name or folder.id] = self.folders[folder.id] = folder
        return folder

    def add(self, item: Item, folder: Folder, *, arrives: bool = False) -> None:
        """A new item; it gets its id, its first change key and its creation time. `arrives`: it is new mail."""
        now = self.now()
        item.created_at = item.created_at or now
        item.received_at = item.received_at or now
        self._enter(item, folder, now)
        self._tell("CreatedEvent", folder, item.id)
        if arrives:
            self._tell("NewMailEvent", folder, item.id)

    def touch(self, item: Item, *, read_flag_only: bool = False) -> None:
        """The item was changed: new change key, and now it is the newest of its folder. A draft that was given in MIME
        is not that mail any more, and neither is one that leaves.
        """
        assert item.folder is not None
        if (item.is_draft or item.is_submitted) and not read_flag_only:
            before, item.source = item.size, b""
            item.folder.mailbox.used_bytes += item.size - before
        item.change = next(self._changes)
        item.modified_at = self.now()
        item.folder.items[item.id] = item.folder.items.pop(item.id)
        item.folder.journal.changed(item.id, item.change, read_flag_only=read_flag_only)
        self._tell("ModifiedEvent", item.folder, item.id)

    def move(self, item: Item, folder: Folder) -> None:
        """Into another folder, under a new id, as Exchange does it."""
        old_id, old_folder = item.id, item.folder
        assert old_folder is not None
        self._take_out(item)
        self._enter(item, folder, self.now())
        for watched in (old_folder, folder):
            if watched.watchers:
                happening = Happening("MovedEvent", self.now(), folder, item.id, old_id, old_folder)
                for watch in watched.watchers.values():
                    watch(happening)

    def remove(self, item: Item) -> None:
        folder = item.folder
        assert folder is not None
        self._take_out(item)
        self._tell("DeletedEvent", folder, item.id)

    def _tell(self, kind: str, folder: Folder, item_id: str) -> None:
        if folder.watchers:
            happening = Happening(kind, self.now(), folder, item_id)
            for watch in folder.watchers.values():
                watch(happening)

    def _take_out(self, item: Item) -> None:
        assert item.folder is not None
        del item.folder.items[item.id]
        del self.items[item.id]
        for attachment in within(item):
            self.attachments.pop(attachment.id, None)
        item.folder.mailbox.used_bytes -= item.size
        item.folder.mailbox.conversations.leave(item)
        item.folder.journal.left(item.id, next(self._changes), self.most_gone)
        item.folder = None

    def attach(self, item: Item, attachment: Attachment) -> None:
        assert item.folder is not None
        before = item.size
        item.attachments.append(attachment)
        item.folder.mailbox.used_bytes += item.size - before
        for each in within(item):
            self.attachments[each.id] = (item, each)
        self.touch(item)

    def detach(self, item: Item, attachment: Attachment) -> None:
        assert item.folder is not None
        before = item.size
        item.attachments.remove(attachment)
        item.folder.mailbox.used_bytes += item.size - before
        for each in (attachment, *(within(attachment.item) if attachment.item is not None else ())):
            del self.attachments[each.id]
        self.touch(item)

    def attachment_id(self) -> str:
        return self._text(f"A{self.birth}{next(self._numbers):020d}")

    def named(self, attachments: Iterable[Attachment]) -> list[Attachment]:
        """The same attachments under ids of their own, and so on for those of attached items."""
        found = []
        for each in attachments:
            inner = None
            if each.item is not None:
                inner = each.item.copied()
                inner.attachments = self.named(inner.attachments)
            found.append(replace(each, id=self.attachment_id(), item=inner))
        return found

    def configuration(self, folder: Folder, name: str) -> Configuration:
        """A new one, empty."""
        made = Configuration(self._id(folder.mailbox, "C"), name, next(self._changes))
        folder.configurations[name.casefold()] = made
        return made

    def next_change(self) -> int:
        return next(self._changes)

    def message_id(self, mailbox: Mailbox) -> str:
        """A Message-ID of the server's own, never given twice."""
        return f"<sandbox.{self.birth}.{next(self._numbers):x}@{mailbox.address.rpartition('@')[2]}>"

    def item(self, item_id: str) -> Item:
        """Raises Refusal: ErrorInvalidIdMalformed, ErrorItemNotFound."""
        found = self.items.get(item_id)
        if found is not None:
            return found
        if not item_id.startswith(_PREFIX):
            raise Refusal("ErrorInvalidIdMalformed", "Id is malformed.")
        if item_id in self.folders:
            raise Refusal("ErrorCannotUseFolderIdForItemId", "Id is not an item id.")
        raise Refusal("ErrorItemNotFound", "The specified object was not found in the store.")

    def _enter(self, item: Item, folder: Folder, now: datetime) -> None:
        item.id = self._id(folder.mailbox, "I")
        item.change = next(self._changes)
        item.modified_at = now
        item.folder = folder
        folder.items[item.id] = self.items[item.id] = item
        folder.mailbox.used_bytes += item.size
        item.search_key = item.search_key or hashlib.blake2b(item.id.encode(), digest_size=16).digest()
        folder.mailbox.conversations.enter(item)
        folder.journal.came(item.id, item.change)
        for attachment in within(item):
            self.attachments[attachment.id] = (item, attachment)

    def _id(self, mailbox: Mailbox, kind: str) -> str:
        return self._text(f"{kind}{self.birth}{mailbox.number:010d}{next(self._numbers):016d}")

    @staticmethod
    def _text(plain: str) -> str:
        return _PREFIX + base64.b64encode(plain.encode()).decode()


def within(item: Item) -> Iterator[Attachment]:
    """All attachments of an item, those of attached items too."""
    for each in item.attachments:
        yield each
        if each.item is not None:
            yield from within(each.item)


_PREFIX: Final = "AAMkADAwMDAtc2FuZGJveA"
