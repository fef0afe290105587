"""What is done with mails that were published, each one request for all of them: UpdateItem, DeleteItem, MoveItem (EWS
reference, operations of these names).

Reading a mail by a program is not reading it by a person: no read receipt is sent, nor one that says "not read".
"""

from collections.abc import Sequence
from functools import cache

from worker.ews.operations.listed import ITEM_BY_ID, ListedRequest, acting
from worker.ews.template import Filled, build, place
from worker.ews.text import escaped


@cache
def _marking(impersonate: bool) -> ListedRequest:  # noqa: FBT001 - a key of the cache
    read = {"_value_1": [{"FieldURI": {"FieldURI": "message:IsRead"}}], "Message": {"IsRead": True}}
    change = {"ItemId": ITEM_BY_ID, "Updates": {"_value_1": [{"SetItemField": read}]}}
    body = {
        "ItemChanges": {"ItemChange": [change]},
        "ConflictResolution": "AlwaysOverwrite",
        "MessageDisposition": "SaveOnly",
        "SuppressReadReceipts": True,
    }
    return ListedRequest(build("UpdateItem", body, impersonate=impersonate), "m:ItemChanges", "t:ItemChange")


@cache
def _deleting(impersonate: bool) -> ListedRequest:  # noqa: FBT001 - a key of the cache
    body = {
        "ItemIds": {"_value_1": [{"ItemId": ITEM_BY_ID}]},
        "DeleteType": "MoveToDeletedItems",
        "SuppressReadReceipts": True,
    }
    return ListedRequest(build("DeleteItem", body, impersonate=impersonate), "m:ItemIds", "t:ItemId")


@cache
def _moving(impersonate: bool) -> ListedRequest:  # noqa: FBT001 - a key of the cache
    body = {
        "ToFolderId": {"FolderId": {"Id": place("folder")}},
        "ItemIds": {"_value_1": [{"ItemId": ITEM_BY_ID}]},
        "ReturnNewItemIds": False,
    }
    return ListedRequest(build("MoveItem", body, impersonate=impersonate), "m:ItemIds", "t:ItemId")


def mark_read_request(mailbox: str, ids: Sequence[str], *, impersonate: bool) -> Filled:
    return _marking(impersonate).fill(ids, acting(mailbox, impersonate=impersonate))


def delete_request(mailbox: str, ids: Sequence[str], *, impersonate: bool) -> Filled:
    """Into the deleted items, where a person can still find them."""
    return _deleting(impersonate).fill(ids, acting(mailbox, impersonate=impersonate))


def move_request(mailbox: str, ids: Sequence[str], folder_id: str, *, impersonate: bool) -> Filled:
    values = acting(mailbox, impersonate=impersonate)
    return _moving(impersonate).fill(ids, {**values, "folder": escaped(folder_id)})
