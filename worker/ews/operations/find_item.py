"""FindItem: the rows of a mailbox's Drafts, Outbox and Sent Items, newest change first (EWS reference, "FindItem
operation", "IndexedPageItemView").

There is no restriction: one on a value that is new each time makes Exchange build a new view of the folder each time.
Stamps come back with the rows and are compared here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple

from lxml import etree

from worker.ews.answer import ResponseMessage
from worker.ews.operations.create_item import STAMP_FIELD
from worker.ews.template import MESSAGES, TYPES, Filled, Template, build, find, folder, fragment, hollow, place
from worker.ews.text import escaped
from worker.mail.stamp import PROPERTY_NAME, PROPERTY_SET

_FIELDS = ("item:IsSubmitted", "item:DateTimeCreated", "item:LastModifiedTime", "message:InternetMessageId")
_T: Final = f"{{{TYPES}}}"
_TRUE: Final = frozenset(("true", "1"))

OVERLAP: Final = 1
"""So many rows of the page before a page shows again, where it is not the first."""
_ROOT, _ITEMS = f"{{{MESSAGES}}}RootFolder", f"{_T}Items"


class Folder(StrEnum):
    """Where a request's mail can be, in the order in which it moves (docs/delivery-rules.md, E2)."""

    DRAFTS = "drafts"
    OUTBOX = "outbox"
    SENT_ITEMS = "sentitems"


@dataclass(frozen=True, slots=True)
class Row:
    """One item as a page shows it. `stamp` is "" for what is not ours, and then most of the rest is left out."""

    id: str
    change_key: str
    stamp: str
    submitted: bool
    created_at: datetime | None
    modified_at: datetime | None
    message_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """One folder's part of an answer. `last` says that nothing follows; `total` is how many rows the folder has, None
    where the server does not say.
    """

    rows: tuple[Row, ...]
    last: bool
    total: int | None


class _Templates(NamedTuple):
    request: Template
    folders: dict[Folder, Template]


@cache
def _templates(impersonate: bool) -> _Templates:  # noqa: FBT001 - a key of the cache
    shown: list[dict[str, Any]] = [{"FieldURI": {"FieldURI": each}} for each in _FIELDS]
    body = {
        "Traversal": "Shallow",
        "ItemShape": {
            "BaseShape": "IdOnly",
            "AdditionalProperties": {"_value_1": [*shown, {"ExtendedFieldURI": STAMP_FIELD}]},
        },
        "IndexedPageItemView": {
            "MaxEntriesReturned": place("size"),
            "Offset": place("offset"),
            "BasePoint": "Beginning",
        },
        "SortOrder": {
            "FieldOrder": [
                {"_value_1": [{"FieldURI": {"FieldURI": "item:LastModifiedTime"}}], "Order": "Descending"},
            ]
        },
        "ParentFolderIds": {"_value_1": [folder(each) for each in Folder]},
    }
    # The finer the times, the fewer rows share the one down to which a look reads. Exchange 2010 SP2 and newer.
    envelope = build("FindItem", body, impersonate=impersonate, DateTimePrecision="Milliseconds")
    parents = find(envelope, ".//m:ParentFolderIds")
    folders = {each: Template(fragment(element)) for each, element in zip(Folder, parents, strict=True)}
    hollow(parents, "folders")
    return _Templates(Template(etree.tostring(envelope)), folders)


def request(mailbox: str, folders: Sequence[Folder], *, offset: int, size: int, impersonate: bool) -> Filled:
    """The request for one page of each folder, in this order."""
    templates = _templates(impersonate)
    address = escaped(mailbox)
    parents = [piece for each in folders for piece in templates.folders[each].fill({"mailbox": address})]
    values: dict[str, bytes | Filled] = {"offset": str(offset).encode(), "size": str(size).encode(), "folders": parents}
    if impersonate:
        values["mailbox"] = address
    return templates.request.fill(values)


def page(message: ResponseMessage, offset: int) -> Page | None:
    """The page in a successful response message; None where it does not say all that a page must.

    `IncludesLastItemInRange` and `TotalItemsInView` are optional in the schema (types.xsd, FindItemParentType). Without
    the first, nothing follows where the page shows as many rows as the folder has; without both, where it shows no more
    than a page shows again: nobody asks for so few.
    """
    root = message.element.find(_ROOT)
    if root is None:
        return None
    items, said, count = root.find(_ITEMS), root.get("IncludesLastItemInRange"), root.get("TotalItemsInView", "")
    shown, total = 0 if items is None else len(items), int(count) if count.isdecimal() else None
    if said is not None:
        last = said in _TRUE
    elif total is not None:
        last = offset + shown >= total
    else:
        last = items is not None and shown <= OVERLAP
    if items is None and not last:
        return None
    rows: list[Row] = []
    for item in () if items is None else items:
        row = _row(item)
        if row is None:
            return None
        rows.append(row)
    return Page(tuple(rows), last, total)


def _row(item: etree._Element) -> Row | None:
    """A row of any kind of item, whatever else it holds. None for a row without id."""
    cells = {child.tag: child for child in item}
    extended = item.iterfind(_T + "ExtendedProperty")  # perhaps all that the item has, not only the one asked for
    identity = cells.get(_T + "ItemId")
    if identity is None or not identity.get("Id"):
        return None
    stamp = next((stamp for each in extended if (stamp := _stamp(each))), "")
    return Row(
        id=identity.get("Id") or "",
        change_key=identity.get("ChangeKey") or "",
        stamp=stamp,
        submitted=bool(stamp) and _text(cells.get(_T + "IsSubmitted")).lower() in _TRUE,
        created_at=_time(_text(cells.get(_T + "DateTimeCreated"))) if stamp else None,
        modified_at=_time(_text(cells.get(_T + "LastModifiedTime"))),
        message_id=_text(cells.get(_T + "InternetMessageId")) if stamp else "",
    )


def _text(cell: etree._Element | None) -> str:
    """Without the white space around, which the types of XML Schema allow (Part 2, 4.3.6, "whiteSpace")."""
    return "" if cell is None else (cell.text or "").strip()


def _stamp(extended: etree._Element) -> str:
    uri, value = extended.find(f"{_T}ExtendedFieldURI"), extended.find(f"{_T}Value")
    if uri is None or value is None or uri.get("PropertyName") != PROPERTY_NAME:
        return ""
    ours = (uri.get("PropertySetId") or "").casefold() == PROPERTY_SET
    return (value.text or "") if ours else ""


def _time(text: str) -> datetime | None:
    """An xs:dateTime; without a zone it is UTC, as EWS means it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
