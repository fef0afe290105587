"""GetItem: mails whole, bare, or in their Internet form (EWS reference, "GetItem operation")."""

from collections.abc import Sequence
from enum import Enum
from functools import cache
from typing import Any

from worker.ews.answer import ResponseMessage
from worker.ews.item import properties, read_mail
from worker.ews.operations.listed import ITEM_BY_ID, ListedRequest, acting
from worker.ews.template import MESSAGES, Filled, build
from worker.mail.incoming import IncomingMail


class Extent(Enum):
    """How much of a mail is asked for."""

    WHOLE = "everything"
    WITHOUT_TEXT = "everything but the plain text beside an HTML body, which old servers do not make"
    BARE = "everything but what a server may be unable to give: body and headers"
    SOURCE = "its Internet form alone"


@cache
def _request(extent: Extent, impersonate: bool) -> ListedRequest:  # noqa: FBT001 - keys of the cache
    body = {"ItemShape": _shape(extent), "ItemIds": {"_value_1": [{"ItemId": ITEM_BY_ID}]}}
    # Milliseconds in every read alike: the time a mail was received is part of what its event's id is made of.
    envelope = build("GetItem", body, impersonate=impersonate, DateTimePrecision="Milliseconds")
    return ListedRequest(envelope, "m:ItemIds", "t:ItemId")


def _shape(extent: Extent) -> dict[str, Any]:
    if extent is Extent.SOURCE:
        return {"BaseShape": "IdOnly", "IncludeMimeContent": True}
    asked = properties(texts=extent is not Extent.BARE, text_body=extent is Extent.WHOLE)
    return {"BaseShape": "IdOnly", "BodyType": "Best", "AdditionalProperties": {"_value_1": asked}}


def request(mailbox: str, ids: Sequence[str], extent: Extent, *, impersonate: bool) -> Filled:
    """The request for these mails of `mailbox`, in order."""
    return _request(extent, impersonate).fill(ids, acting(mailbox, impersonate=impersonate))


def mail(message: ResponseMessage, extent: Extent) -> IncomingMail | None:
    """The mail in a successful response message; None where there is none, or one without an id."""
    items = message.element.find(f"{{{MESSAGES}}}Items")
    item = None if items is None else next(iter(items), None)
    if item is None:
        return None
    found = read_mail(item, bare=extent is Extent.BARE)
    return found if found.id else None
