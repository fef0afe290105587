"""MoveItem and CopyItem: the item gets a new id either way."""

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.operations.operation import Operation, each
from worker.sandbox.operations.send_item import stored_subjects
from worker.sandbox.soap import Element, Fault, Refusal, answer, m


async def _handle(exchange: Exchange, call: Call) -> bytes:
    ids, target = call.element.find(m("ItemIds")), call.element.find(m("ToFolderId"))
    if ids is None or target is None:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ItemIds or ToFolderId is missing.")

    def act(item_id: Element) -> str:
        folder = exchange.target_folder(call, target)
        item = exchange.item(call, item_id)
        exchange.refuse_if_ordered(call.operation, item)
        assert folder is not None
        if item.is_submitted:
            raise Refusal("ErrorMoveCopyFailed", "A submitted message cannot be moved or copied.")
        if call.operation == "CopyItem":
            item = item.copied()
            item.attachments = exchange.store.named(item.attachments)
            exchange.store.add(item, folder)
        else:
            exchange.store.move(item, folder)
        return (
            f'<m:Items><t:{item.element}><t:ItemId Id="{item.id}" ChangeKey="{item.change_key}"/></t:{item.element}>'
            "</m:Items>"
        )

    return answer(call.operation, each(call.operation, ids, act, "<m:Items/>"))


MOVE_ITEM = Operation(_handle, stored_subjects)
