"""A mail in MIME that a client puts into a mailbox becomes an item, as one that arrives does.

It is made here, though: a draft unless the client says otherwise, and sent it is written anew. So the fields of its
header that no field of the item stands for are kept as named properties (MS-OXCMAIL 2.2.3.2.29), and go with it then.
"""

from typing import Final

from worker.sandbox.item import INTERNET_HEADERS, Item, Property
from worker.sandbox.mime import source_fields
from worker.sandbox.parsing import decoded, parse

_NOT_KEPT: Final = frozenset(
    """from sender to cc bcc reply-to subject date message-id thread-topic thread-index in-reply-to references
    importance sensitivity x-priority x-msmail-priority disposition-notification-to received return-path
    mime-version""".split()  # noqa: SIM905 - reads as text
)
_NOR: Final = ("content-", "resent-", "x-ms-exchange-organization-", "x-ms-exchange-forest-")
"""What fields of the item hold, and what belongs to one way of the mail or to its form; and how names of such begin."""


def imported(source: bytes) -> Item:
    """The item; its attachments have no ids yet."""
    item = parse(source)
    item.is_draft = item.is_read = True
    for name, value in source_fields(source):
        key = name.lower()
        if key not in _NOT_KEPT and not key.startswith(_NOR):
            item.properties.setdefault((INTERNET_HEADERS, key), Property("String", decoded(value)))
    return item
