"""Retiring drafts, in two requests: UpdateItem swaps the stamp for a void one, if the draft still is what the look
showed (ConflictResolution NeverOverwrite); DeleteItem then removes what was swapped (EWS reference, "UpdateItem
operation", "DeleteItem operation").

Deleting alone would not do. A submitted mail can still lie in Drafts under the draft's id, and DeleteItem asks no
ChangeKey: it would take a mail out of the transport that somebody was told is sent (docs/delivery-rules.md, E4).
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from lxml import etree

from worker.ews.answer import ResponseMessage
from worker.ews.operations.create_item import STAMP_FIELD
from worker.ews.operations.send_item import ITEM_IN_STATE
from worker.ews.template import TYPES, Filled, Template, build, find, fragment, hollow
from worker.ews.text import escaped
from worker.mail.stamp import VOID
from worker.mail.transport import Draft


class _Templates(NamedTuple):
    request: Template
    item: Template


@cache
def _swap_templates(impersonate: bool) -> _Templates:  # noqa: FBT001 - a key of the cache
    message = {"ExtendedProperty": [{"ExtendedFieldURI": STAMP_FIELD, "Value": VOID}]}
    stamped = {"_value_1": [{"ExtendedFieldURI": STAMP_FIELD}], "Message": message}
    change = {"ItemId": ITEM_IN_STATE, "Updates": {"_value_1": [{"SetItemField": stamped}]}}
    body = {
        "ItemChanges": {"ItemChange": [change]},
        "ConflictResolution": "NeverOverwrite",
        "MessageDisposition": "SaveOnly",
    }
    return _cut(build("UpdateItem", body, impersonate=impersonate), "m:ItemChanges", "t:ItemChange")


@cache
def _delete_templates(impersonate: bool) -> _Templates:  # noqa: FBT001 - a key of the cache
    body = {"ItemIds": {"_value_1": [{"ItemId": ITEM_IN_STATE}]}, "DeleteType": "HardDelete"}
    return _cut(build("DeleteItem", body, impersonate=impersonate), "m:ItemIds", "t:ItemId")


def _cut(envelope: etree._Element, items: str, item: str) -> _Templates:
    container = find(envelope, f".//{items}")
    one = Template(fragment(find(container, item)))
    hollow(container, "items")
    return _Templates(Template(etree.tostring(envelope)), one)


def swap_request(mailbox: str, drafts: Sequence[Draft], *, impersonate: bool) -> Filled:
    """The request that makes the stamps of these drafts void."""
    keys = ((draft.id, draft.version) for draft in drafts)
    return _fill(_swap_templates(impersonate), mailbox, keys, impersonate=impersonate)


def delete_request(mailbox: str, keys: Iterable[tuple[str, str]], *, impersonate: bool) -> Filled:
    """The request that removes the items with these ids and ChangeKeys for good."""
    return _fill(_delete_templates(impersonate), mailbox, keys, impersonate=impersonate)


def _fill(templates: _Templates, mailbox: str, keys: Iterable[tuple[str, str]], *, impersonate: bool) -> Filled:
    items = [
        piece
        for item_id, change_key in keys
        for piece in templates.item.fill({"id": escaped(item_id), "change_key": escaped(change_key)})
    ]
    values: dict[str, bytes | Filled] = {"items": items}
    if impersonate:
        values["mailbox"] = escaped(mailbox)
    return templates.request.fill(values)


def swapped(message: ResponseMessage) -> tuple[str, str] | None:
    """Id and new ChangeKey of the item in a successful answer to UpdateItem."""
    identity = next(message.element.iter(f"{{{TYPES}}}ItemId"), None)
    if identity is None or not identity.get("Id"):
        return None
    return identity.get("Id") or "", identity.get("ChangeKey") or ""
