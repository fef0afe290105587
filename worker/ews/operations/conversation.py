"""GetConversationItems: the router's own mails in a conversation (EWS reference, "GetConversationItems operation").

Ours is what bears the stamp, a property that mail from outside does not bring in, and the header that tells under which
Message-ID it was drafted: the server may have replaced that one.
"""

from functools import cache
from typing import Any, Final

from lxml import etree

from worker.ews.answer import ResponseMessage
from worker.ews.item import moment
from worker.ews.operations.create_item import STAMP_FIELD
from worker.ews.operations.listed import acting
from worker.ews.template import TYPES, Filled, Template, build, place
from worker.ews.text import escaped
from worker.mail.incoming import SentCopy
from worker.mail.message_id import TRACE_HEADER
from worker.mail.stamp import PROPERTY_NAME, VOID

_MOST_ITEMS: Final = 100
_T: Final = f"{{{TYPES}}}"
_TRACE_FIELD: Final = {
    "DistinguishedPropertySetId": "InternetHeaders",
    "PropertyName": TRACE_HEADER,
    "PropertyType": "String",
}
_FIELDS: Final = ("item:DateTimeSent", "message:InternetMessageId")


@cache
def _template(impersonate: bool) -> Template:  # noqa: FBT001 - a key of the cache
    shown: list[dict[str, Any]] = [{"FieldURI": {"FieldURI": each}} for each in _FIELDS]
    asked = [*shown, {"ExtendedFieldURI": STAMP_FIELD}, {"ExtendedFieldURI": _TRACE_FIELD}]
    body = {
        "ItemShape": {"BaseShape": "IdOnly", "AdditionalProperties": {"_value_1": asked}},
        "FoldersToIgnore": {"_value_1": [{"DistinguishedFolderId": {"Id": "drafts"}}]},
        "MaxItemsToReturn": _MOST_ITEMS,
        "SortOrder": "DateOrderDescending",
        "Conversations": {"_value_1": [{"Conversation": {"ConversationId": {"Id": place("id")}}}]},
    }
    return Template(etree.tostring(build("GetConversationItems", body, impersonate=impersonate)))


def request(mailbox: str, conversation_id: str, *, impersonate: bool) -> Filled:
    return _template(impersonate).fill({**acting(mailbox, impersonate=impersonate), "id": escaped(conversation_id)})


def sent_copies(message: ResponseMessage, domain: str) -> tuple[SentCopy, ...]:
    """Our own among the mails in a successful answer, newest first. `domain` makes whole Message-IDs of their left
    sides; whose mail it was stands in those alone.
    """
    copies = []
    for identity in message.element.iter(_T + "ItemId"):
        item = identity.getparent()
        named = {} if item is None else dict(_named(item))
        trace, stamp = named.get(TRACE_HEADER.casefold(), ""), named.get(PROPERTY_NAME.casefold(), "")
        if item is not None and trace and stamp and stamp != VOID:
            copy = SentCopy(item.findtext(_T + "InternetMessageId") or "", f"<{trace}@{domain}>")
            copies.append((moment(item.findtext(_T + "DateTimeSent")), copy))
    copies.sort(key=lambda each: each[0].timestamp() if each[0] else 0.0, reverse=True)
    return tuple(copy for _, copy in copies)


def _named(item: etree._Element) -> list[tuple[str, str]]:
    """Values of extended properties by name, in lower case: Exchange does not always give the case back."""
    found = []
    for each in item.iterfind(_T + "ExtendedProperty"):
        uri = each.find(_T + "ExtendedFieldURI")
        name = "" if uri is None else (uri.get("PropertyName") or "")
        found.append((name.casefold(), (each.findtext(_T + "Value") or "").strip()))
    return found
