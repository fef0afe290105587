"""FindItem: pages of folders, one folder after another in the order asked for."""

from collections.abc import Iterable
from itertools import islice

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.item import Item
from worker.sandbox.operations.operation import Operation
from worker.sandbox.restriction import in_order, newest_first, test_of
from worker.sandbox.shape import Shape
from worker.sandbox.soap import Element, Fault, Refusal, answer, m, refused, success
from worker.sandbox.store import Folder


async def _handle(exchange: Exchange, call: Call) -> bytes:
    folders, shape = call.element.find(m("ParentFolderIds")), call.element.find(m("ItemShape"))
    if (
        folders is None
        or shape is None
        or call.element.get("Traversal") not in ("Shallow", "SoftDeleted", "Associated")
    ):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ParentFolderIds, ItemShape.")
    messages: list[str] = []
    for folder_id in folders:
        if messages:
            await _pause(exchange)
        try:
            folder = exchange.folder(call, folder_id, denied="ErrorFolderNotFound")
            ready = Shape(shape, view="find", milliseconds=call.milliseconds)
            if not exchange.options.tells_submitted:
                ready.leave_out("IsSubmitted")
            messages.append(success("FindItem", _page(exchange, call, folder, ready)))
        except Refusal as refusal:
            messages.append(refused("FindItem", refusal))
    return answer("FindItem", messages)


async def _pause(exchange: Exchange) -> None:
    """Folders are read one after another, and the world goes on between two of them."""
    if exchange.between_folders is not None:
        await exchange.between_folders()
    await exchange.clock.sleep(exchange.options.find_pause_seconds)


def _page(exchange: Exchange, call: Call, folder: Folder, shape: Shape) -> str:
    offset, rows, from_end = _view(exchange, call.element)
    if call.element.get("Traversal") != "Shallow":
        chosen: Iterable[Item] = ()
        total = 0
    else:
        chosen, total = _chosen(call.element, folder)
    if from_end:
        offset = max(0, total - offset - rows)
    page = list(islice(chosen, offset, offset + rows))
    reached = offset + len(page)
    last = "true" if reached >= total else "false"
    return (
        f'<m:RootFolder IndexedPagingOffset="{reached}" TotalItemsInView="{total}" IncludesLastItemInRange="{last}">'
        f"<t:Items>{''.join([shape.write(item) for item in page])}</t:Items></m:RootFolder>"
    )


def _chosen(element: Element, folder: Folder) -> tuple[Iterable[Item], int]:
    """The folder's items in the order asked for, and how many. Without restriction and in the folder's own order
    nothing is scanned.
    """
    sort_order, restriction = element.find(m("SortOrder")), element.find(m("Restriction"))
    newest = newest_first(sort_order)
    if restriction is None and newest is not None:
        rows = folder.items.values()
        return (reversed(rows) if newest else rows), len(rows)
    items = list(folder.items.values())
    if restriction is not None:
        holds = test_of(restriction)
        items = [item for item in items if holds(item)]
    if newest is None:
        assert sort_order is not None
        return in_order(items, sort_order), len(items)
    return (items[::-1] if newest else items), len(items)


def _view(exchange: Exchange, element: Element) -> tuple[int, int, bool]:
    """(offset, rows, counted from the end). More rows than the server's limit are cut, as throttling policies do."""
    limit = exchange.options.find_limit
    view = element.find(m("IndexedPageItemView"))
    if view is None:
        return 0, limit, False
    asked = view.get("MaxEntriesReturned")
    if asked is not None and int(asked) <= 0:
        raise Refusal("ErrorInvalidPagingMaxRows", "The number of rows must be positive.")
    offset = int(view.get("Offset") or "0")
    if offset < 0:
        raise Refusal("ErrorInvalidIndexedPagingParameters", "The offset must not be negative.")
    return offset, min(limit, int(asked)) if asked else limit, view.get("BasePoint") == "End"


FIND_ITEM = Operation(_handle)
