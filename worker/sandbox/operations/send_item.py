"""SendItem: sends drafts, each only as the state its ChangeKey names."""

from collections.abc import Sequence

from worker.sandbox.exchange import Call, Exchange, subject
from worker.sandbox.faults import Subject
from worker.sandbox.operations.operation import Operation, asking_mailbox, each
from worker.sandbox.soap import Element, Fault, Refusal, answer, m
from worker.sandbox.store import Folder
from worker.sandbox.submission import submit


def stored_subjects(exchange: Exchange, call: Call) -> Sequence[Subject]:
    """The items a request names by id, as far as they are there."""
    found = [exchange.store.items.get(one.get("Id") or "") for one in call.element.iterfind(f"{m('ItemIds')}/*")]
    return [subject(item) for item in found if item is not None] or asking_mailbox(exchange, call)


async def _handle(exchange: Exchange, call: Call) -> bytes:
    ids = call.element.find(m("ItemIds"))
    if ids is None or call.element.get("SaveItemToFolder") not in ("true", "false", "1", "0"):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ItemIds or SaveItemToFolder.")
    saves = call.element.get("SaveItemToFolder") in ("true", "1")
    target = call.element.find(m("SavedItemFolderId"))

    def act(item_id: Element) -> str:
        if not saves and target is not None:
            raise Refusal("ErrorInvalidSendItemSaveSettings", "A folder is named, but nothing is to be saved.")
        save_to = _save_to(exchange, call, target) if saves else None
        _send(exchange, call, item_id, save_to)
        return ""

    return answer("SendItem", each("SendItem", ids, act))


def _save_to(exchange: Exchange, call: Call, target: Element | None) -> Folder:
    named = exchange.target_folder(call, target)
    return named or exchange.own_mailbox(call).folders["sentitems"]


def _send(exchange: Exchange, call: Call, item_id: Element, save_to: Folder | None) -> None:
    if not item_id.get("ChangeKey"):
        raise Refusal("ErrorChangeKeyRequiredForWriteOperations", "The change key is missing.")
    item = exchange.item(call, item_id)
    exchange.refuse_if_ordered("SendItem", item)
    if item.change_key != item_id.get("ChangeKey"):
        raise Refusal("ErrorStaleObject", "The change key passed in the request is not the current one of the item.")
    if item.is_submitted and not exchange.options.accepts_submitted:
        raise Refusal("ErrorItemNotFound", "The specified object was not found in the store.")
    submit(exchange, call.user, item, save_to)
    exchange.deny_if_ordered("SendItem", item)


SEND_ITEM = Operation(_handle, stored_subjects)
