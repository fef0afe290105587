"""DeleteItem. Exchange does not look at the ChangeKey here."""

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.operations.operation import Operation, each
from worker.sandbox.operations.send_item import stored_subjects
from worker.sandbox.soap import Element, Fault, Refusal, answer, m


async def _handle(exchange: Exchange, call: Call) -> bytes:
    ids = call.element.find(m("ItemIds"))
    disposal = call.element.get("DeleteType")
    if ids is None or disposal not in ("HardDelete", "SoftDelete", "MoveToDeletedItems"):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ItemIds or DeleteType.")

    def act(item_id: Element) -> str:
        item = exchange.item(call, item_id)
        exchange.refuse_if_ordered("DeleteItem", item)
        if item.is_submitted and not exchange.options.delete_kills_submitted:
            raise Refusal("ErrorItemNotFound", "The specified object was not found in the store.")
        assert item.folder is not None
        if disposal == "MoveToDeletedItems" and not item.is_submitted:
            exchange.store.move(item, item.folder.mailbox.folders["deleteditems"])
        else:
            exchange.store.remove(item)
        return ""

    return answer("DeleteItem", each("DeleteItem", ids, act))


DELETE_ITEM = Operation(_handle, stored_subjects)
