"""SyncFolderItems: what happened in a folder since a state, newest first, collapsed."""

from typing import Final

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.journal import ChangeKind, Walk
from worker.sandbox.operations.operation import Operation, named_mailboxes
from worker.sandbox.shape import Shape
from worker.sandbox.soap import Fault, Refusal, answer, m, refused, success
from worker.sandbox.store import Folder
from worker.sandbox.sync_state import invalid, sealed, unsealed

MOST_CHANGES: Final = 512

_NOTHING: Final = "<m:SyncState/><m:IncludesLastItemInRange>true</m:IncludesLastItemInRange>"
"""What an answer has in place of changes when it is refused."""


async def _handle(exchange: Exchange, call: Call) -> bytes:
    element = call.element
    target, shape, asked = (
        element.find(m("SyncFolderId")),
        element.find(m("ItemShape")),
        element.findtext(m("MaxChangesReturned")),
    )
    if target is None or shape is None or asked is None or not 1 <= int(asked) <= MOST_CHANGES:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: SyncFolderItems.")
    try:
        folder = exchange.target_folder(call, target)
        assert folder is not None
        exchange.refuse_mailbox_if_ordered("SyncFolderItems", folder)
        if element.findtext(m("SyncState")):
            exchange.refuse_state_if_ordered("SyncFolderItems", folder)
        ready = Shape(shape, view="sync", milliseconds=call.milliseconds)
        inner = _page(exchange, call, folder, ready, min(int(asked), exchange.options.sync_limit))
    except Refusal as refusal:
        return answer("SyncFolderItems", [refused("SyncFolderItems", refusal, _NOTHING)])
    return answer("SyncFolderItems", [success("SyncFolderItems", inner)])


def _page(exchange: Exchange, call: Call, folder: Folder, shape: Shape, most: int) -> str:
    walk = _read_state(folder, call.element.findtext(m("SyncState")) or "")
    changes, after = folder.journal.page(walk, most)
    if after.below <= after.base:
        after = folder.journal.begin(after.head)
        last = after.head == after.base
    else:
        last = False
    ignored = {each.get("Id") for each in call.element.iterfind(f"{m('Ignore')}/*")}
    told = [_change(exchange, folder, shape, kind, item_id) for kind, item_id in changes if item_id not in ignored]
    state = _state(folder, after, exchange.options.sync_state_characters)
    return (
        f"<m:SyncState>{state}</m:SyncState><m:IncludesLastItemInRange>{str(last).lower()}"
        f"</m:IncludesLastItemInRange><m:Changes>{''.join(told)}</m:Changes>"
    )


def _change(exchange: Exchange, folder: Folder, shape: Shape, kind: ChangeKind, item_id: str) -> str:
    if kind == "Delete":
        return f'<t:Delete><t:ItemId Id="{item_id}" ChangeKey="{folder.change_key}"/></t:Delete>'
    item = exchange.store.items[item_id]
    if kind == "ReadFlagChange":
        return (
            f'<t:ReadFlagChange><t:ItemId Id="{item_id}" ChangeKey="{item.change_key}"/>'
            f"<t:IsRead>{str(item.is_read).lower()}</t:IsRead></t:ReadFlagChange>"
        )
    return f"<t:{kind}>{shape.write(item)}</t:{kind}>"


def _state(folder: Folder, walk: Walk, at_least: int) -> str:
    """The folder's id bears the store's birth."""
    return sealed([folder.mailbox.sync_generation, folder.id, walk.base, walk.head, walk.below], at_least)


def _read_state(folder: Folder, text: str) -> Walk:
    """Raises Refusal ErrorInvalidSyncStateData: garbage, of another folder, or not known any more."""
    if not text:
        return folder.journal.begin(0)
    known, numbers = [str(folder.mailbox.sync_generation), folder.id], unsealed(text)
    if numbers[:2] != known or len(numbers) != _FIELDS:
        raise invalid()
    walk = Walk(*map(int, numbers[2:]))
    if not folder.journal.knows(walk.base):
        raise invalid()
    return folder.journal.begin(walk.base) if walk.base == walk.head else walk


_FIELDS: Final = 5

SYNC_FOLDER_ITEMS = Operation(_handle, named_mailboxes)
