"""GetItem: items by id, with what the shape asks for."""

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.operations.operation import Operation, each
from worker.sandbox.operations.send_item import stored_subjects
from worker.sandbox.shape import Shape
from worker.sandbox.soap import Answer, Contents, Element, Fault, large_answer, m


async def _handle(exchange: Exchange, call: Call) -> Answer:
    ids, wanted = call.element.find(m("ItemIds")), call.element.find(m("ItemShape"))
    if ids is None or wanted is None:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ItemIds or ItemShape is missing.")

    contents = Contents()

    def act(item_id: Element) -> str:
        shape = Shape(wanted, milliseconds=call.milliseconds, contents=contents)
        item = exchange.item(call, item_id)
        exchange.refuse_reading_if_ordered("GetItem", item, with_content=shape.reads_content)
        return f"<m:Items>{shape.write(item)}</m:Items>"

    return large_answer("GetItem", each("GetItem", ids, act, "<m:Items/>"), contents)


GET_ITEM = Operation(_handle, stored_subjects)
