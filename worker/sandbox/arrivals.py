"""Mail that comes in: into the Inbox of a mailbox of this sandbox, from outside or from a neighbour."""

from dataclasses import dataclass
from datetime import datetime

from worker.sandbox.directory import Directory
from worker.sandbox.item import Item
from worker.sandbox.parsing import parse
from worker.sandbox.soap import Refusal
from worker.sandbox.store import Mailbox, Store


@dataclass(frozen=True, slots=True)
class Arrivals:
    store: Store
    directory: Directory

    def mailbox(self, address: str) -> Mailbox:
        """Raises Refusal ErrorNonExistentMailbox."""
        user = self.directory.find(address)
        if user is None or not user.has_mailbox:
            raise Refusal("ErrorNonExistentMailbox", "No mailbox with such guid.")
        return self.store.mailbox(user.address)

    def arrive(
        self,
        address: str,
        mail: bytes | Item,
        *,
        item_class: str = "",
        received_at: datetime | None = None,
        folder: str = "inbox",
    ) -> Item:
        """A mail in MIME, or an item made by hand (of which a copy is taken), comes into a mailbox.

        `item_class`: another than the mail tells, for what only the sending server knows (an automatic reply of
        Exchange). `received_at`: another time than now. Raises Refusal ErrorNonExistentMailbox.
        """
        mailbox = self.mailbox(address)
        item = parse(mail) if isinstance(mail, bytes) else mail.copied()
        item.is_draft = item.is_read = False
        item.item_class = item_class or item.item_class
        item.received_at = received_at
        item.created_at = None
        item.conversation = b""
        item.search_key = b""
        item.attachments = self.store.named(item.attachments)
        self.store.add(item, mailbox.folders[folder], arrives=True)
        return item
