"""SyncFolderItems: what happened in the Inbox since a state (EWS reference, "SyncFolderItems operation")."""

from functools import cache
from typing import Any, Final

from lxml import etree

from worker.ews.answer import ResponseMessage
from worker.ews.item import received_second
from worker.ews.template import MESSAGES, TYPES, Filled, Template, build, folder, place
from worker.ews.text import escaped
from worker.mail.incoming import Arrival, Changes

MOST: Final = 512
"""Changes in one answer, as Exchange has it."""

_M, _T = f"{{{MESSAGES}}}", f"{{{TYPES}}}"


@cache
def _template(since_ever: bool, impersonate: bool) -> Template:  # noqa: FBT001 - keys of the cache
    body: dict[str, Any] = {
        "ItemShape": {
            "BaseShape": "IdOnly",
            "AdditionalProperties": {"_value_1": [{"FieldURI": {"FieldURI": "item:DateTimeReceived"}}]},
        },
        "SyncFolderId": folder("inbox"),
        "MaxChangesReturned": place("most"),
    }
    if not since_ever:
        body["SyncState"] = place("state")
    return Template(etree.tostring(build("SyncFolderItems", body, impersonate=impersonate)))


def request(mailbox: str, state: str, most: int, *, impersonate: bool) -> Filled:
    """The request for what happened since `state`, since ever if that is ""."""
    values = {"mailbox": escaped(mailbox), "most": str(max(1, min(most, MOST))).encode()}
    if state:
        values["state"] = escaped(state)
    return _template(not state, impersonate).fill(values)


def changes(message: ResponseMessage, before: str, most: int) -> Changes | None:
    """The page in a successful response message. None where it does not say all that a page must: an arrival without
    an id would be lost. Where it does not say whether anything follows, a page with fewer changes than were asked for
    is the last one; and so is one that leads back to the state `before` it, whatever it says.
    """
    state = message.element.findtext(_M + "SyncState", "").strip()
    fewer = len(message.element.findall(f"{_M}Changes/*")) < most
    last = message.element.findtext(_M + "IncludesLastItemInRange", str(fewer).lower()).strip() in ("true", "1")
    if not state:
        return None
    arrivals = []
    for change in message.element.iterfind(f"{_M}Changes/{_T}Create"):
        arrival = _arrival(change)
        if arrival is None:
            return None
        arrivals.append(arrival)
    return Changes(tuple(arrivals), state, last or state == before)


def _arrival(change: etree._Element) -> Arrival | None:
    """An item of whatever kind. A time that nobody can read is none; the item counts all the same."""
    identity = next(change.iter(_T + "ItemId"), None)
    if identity is None or not identity.get("Id"):
        return None
    received = next(change.iter(_T + "DateTimeReceived"), None)
    return Arrival(identity.get("Id") or "", received_second(received.text if received is not None else None))
