"""Which mails of a mailbox belong together: Exchange joins a reply to the mail it names, if that mail is there."""

import base64
import hashlib
import re
from typing import Final

from worker.sandbox.item import Item

_MESSAGE_ID: Final = re.compile(r"<[^<>\s]+>")
_PREFIX: Final = re.compile(r"\s*(?:[^\W\d_]{1,3}(?:\[\d+\])?:\s*)+", re.IGNORECASE)
_GUID: Final = slice(6, 22)
"""Where a conversation index holds the conversation's GUID (MS-OXOMSG 2.2.1.3); before it stands the time."""
_HEADER_BYTES: Final = 22


class Conversations:
    """The conversations of one mailbox."""

    def __init__(self) -> None:
        self._by_message_id: dict[str, bytes] = {}
        self._items: dict[bytes, list[Item]] = {}

    def items(self, conversation: bytes) -> list[Item]:
        """What is in the mailbox of a conversation, in the order of its coming."""
        return list(self._items.get(conversation, ()))

    def enter(self, item: Item) -> None:
        """Find the item's conversation, or begin one."""
        if not item.conversation:
            item.conversation = self._known(item) or _begun(item)
        if len(item.conversation_index) < _HEADER_BYTES:
            item.conversation_index = b"\x01" + item.change.to_bytes(5, "big") + item.conversation
        self._items.setdefault(item.conversation, []).append(item)
        if item.message_id:
            self._by_message_id[item.message_id] = item.conversation

    def leave(self, item: Item) -> None:
        items = self._items[item.conversation]
        items.remove(item)
        if not items:
            del self._items[item.conversation]
        self._by_message_id.pop(item.message_id, None)

    def _known(self, item: Item) -> bytes:
        named = [*_MESSAGE_ID.findall(item.in_reply_to), *reversed(_MESSAGE_ID.findall(item.references))]
        if item.message_id:
            named.append(item.message_id)
        for each in named:
            if each in self._by_message_id:
                return self._by_message_id[each]
        return b""


def conversation_id(mailbox_number: int, conversation: bytes) -> str:
    """The Id of a ConversationId: opaque, and another in every mailbox."""
    return _ID + base64.b64encode(mailbox_number.to_bytes(5, "big") + conversation).decode()


def conversation_of(conversation_id: str) -> bytes:
    """The other way round; empty for what is none."""
    try:
        return base64.b64decode(conversation_id.removeprefix(_ID), validate=True)[5:]
    except ValueError:
        return b""


def topic(subject: str) -> str:
    """The subject without "RE:" and the like (PidTagNormalizedSubject)."""
    return _PREFIX.sub("", subject, count=1) if _PREFIX.match(subject) else subject


def _begun(item: Item) -> bytes:
    """By the index the sender's program gave (Thread-Index), else a conversation of its own."""
    if len(item.conversation_index) >= _HEADER_BYTES:
        return item.conversation_index[_GUID]
    return hashlib.blake2b(b"conversation " + item.search_key, digest_size=16).digest()


_ID: Final = "AAQkADAwMDAtc2FuZGJveA"
