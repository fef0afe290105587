"""FindItem on the Inbox: what was received last (EWS reference, "FindItem operation", "IndexedPageItemView")."""

from functools import cache
from typing import Final

from lxml import etree

from worker.ews.answer import ResponseMessage
from worker.ews.item import moment
from worker.ews.template import MESSAGES, TYPES, Filled, Template, build, folder, place
from worker.ews.text import escaped
from worker.mail.incoming import Arrival

_T: Final = f"{{{TYPES}}}"


@cache
def _template(impersonate: bool) -> Template:  # noqa: FBT001 - a key of the cache
    received = {"FieldURI": {"FieldURI": "item:DateTimeReceived"}}
    body = {
        "Traversal": "Shallow",
        "ItemShape": {"BaseShape": "IdOnly", "AdditionalProperties": {"_value_1": [received]}},
        "IndexedPageItemView": {
            "MaxEntriesReturned": place("size"),
            "Offset": place("offset"),
            "BasePoint": "Beginning",
        },
        "SortOrder": {"FieldOrder": [{"_value_1": [received], "Order": "Descending"}]},
        "ParentFolderIds": {"_value_1": [folder("inbox")]},
    }
    envelope = build("FindItem", body, impersonate=impersonate, DateTimePrecision="Milliseconds")
    return Template(etree.tostring(envelope))


def request(mailbox: str, *, offset: int, size: int, impersonate: bool) -> Filled:
    """The request for one page of the Inbox, newest first."""
    values = {"mailbox": escaped(mailbox), "offset": str(offset).encode(), "size": str(size).encode()}
    return _template(impersonate).fill(values)


def page(message: ResponseMessage) -> tuple[list[Arrival], bool] | None:
    """What the page shows, and whether nothing follows: where it does not say, a page without a row is the last one.
    None where there is none.
    """
    root = message.element.find(f"{{{MESSAGES}}}RootFolder")
    if root is None:
        return None
    arrivals = []
    for item in root.iterfind(f"{_T}Items/*"):
        identity = item.find(_T + "ItemId")
        if identity is not None and identity.get("Id"):
            arrivals.append(Arrival(identity.get("Id") or "", moment(item.findtext(_T + "DateTimeReceived"))))
    return arrivals, root.get("IncludesLastItemInRange", str(not arrivals).lower()) in ("true", "1")
