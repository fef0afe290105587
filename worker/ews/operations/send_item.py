"""SendItem: drafts on their way, as the look showed them, the copy into Sent Items of the same mailbox (EWS reference,
"SendItem operation").
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from lxml import etree

from worker.ews.template import Filled, Template, build, find, folder, fragment, hollow, place
from worker.ews.text import escaped
from worker.mail.transport import Draft

ITEM_IN_STATE = {"Id": place("id"), "ChangeKey": place("change_key")}
"""An item in one state: the request is refused when the item is in another one by now."""


class _Templates(NamedTuple):
    request: Template
    item: Template


@cache
def _templates(impersonate: bool) -> _Templates:  # noqa: FBT001 - a key of the cache
    body = {
        "ItemIds": {"_value_1": [{"ItemId": ITEM_IN_STATE}]},
        "SavedItemFolderId": folder("sentitems"),
        "SaveItemToFolder": True,
    }
    envelope = build("SendItem", body, impersonate=impersonate)
    items = find(envelope, ".//m:ItemIds")
    item = Template(fragment(find(items, "t:ItemId")))
    hollow(items, "items")
    return _Templates(Template(etree.tostring(envelope)), item)


def request(mailbox: str, drafts: Sequence[Draft], *, impersonate: bool) -> Filled:
    """The request that sends these drafts of `mailbox`."""
    templates = _templates(impersonate)
    items = [
        piece
        for draft in drafts
        for piece in templates.item.fill({"id": escaped(draft.id), "change_key": escaped(draft.version)})
    ]
    return templates.request.fill({"mailbox": escaped(mailbox), "items": items})
