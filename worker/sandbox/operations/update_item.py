"""UpdateItem: changes properties, under the conflict resolution asked for; may send what it changed."""

from collections.abc import Sequence
from contextlib import suppress

from worker.sandbox import reading
from worker.sandbox.exchange import Call, Exchange, subject
from worker.sandbox.faults import Subject
from worker.sandbox.item import Item
from worker.sandbox.operations.operation import Operation, asking_mailbox, each
from worker.sandbox.soap import Element, Fault, Refusal, answer, local, m, t
from worker.sandbox.submission import submit


def _subjects(exchange: Exchange, call: Call) -> Sequence[Subject]:
    found = [exchange.store.items.get(one.get("Id") or "") for one in call.element.iter(t("ItemId"))]
    return [subject(item) for item in found if item is not None] or asking_mailbox(exchange, call)


async def _handle(exchange: Exchange, call: Call) -> bytes:
    changes = call.element.find(m("ItemChanges"))
    resolution = call.element.get("ConflictResolution")
    disposition = call.element.get("MessageDisposition")
    if changes is None or resolution not in ("NeverOverwrite", "AutoResolve", "AlwaysOverwrite"):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ItemChanges, ConflictResolution.")
    if disposition not in ("SaveOnly", "SendOnly", "SendAndSaveCopy"):
        raise Fault("ErrorMessageDispositionRequired", "A MessageDisposition is required for messages.")

    for update in changes.iterfind(f"{t('ItemChange')}/{t('Updates')}/*"):
        with suppress(Refusal):  # on a scratch item first: a request that breaks the schema does nothing at all
            _apply(Item(), update)

    def act(change: Element) -> str:
        return _change(exchange, call, change, resolution, disposition)

    return answer("UpdateItem", each("UpdateItem", changes, act, "<m:Items/>"))


def _change(exchange: Exchange, call: Call, change: Element, resolution: str, disposition: str) -> str:
    item_id = change.find(t("ItemId"))
    updates = change.find(t("Updates"))
    if item_id is None or updates is None:
        raise Refusal("ErrorInvalidRequest", "ItemId or Updates is missing.")
    item = exchange.item(call, item_id)
    exchange.refuse_if_ordered("UpdateItem", item)
    _check_conflict(item, item_id.get("ChangeKey"), resolution)
    if item.is_submitted:
        raise Refusal("ErrorInvalidPropertyUpdateSentMessage", "A submitted message cannot be changed.")
    assert item.folder is not None
    before = item.copied()  # so that a refused update leaves nothing half done
    try:
        for update in updates:
            _apply(item, update)
    except Refusal:
        _restore(item, before)
        raise
    item.folder.mailbox.used_bytes += item.size - before.size
    exchange.store.touch(item, read_flag_only=all(_path(each) == "message:IsRead" for each in updates))
    if disposition != "SaveOnly":
        folder = exchange.target_folder(call, call.element.find(m("SavedItemFolderId")))
        save_to = folder or exchange.own_mailbox(call).folders["sentitems"]
        submit(exchange, call.user, item, save_to if disposition == "SendAndSaveCopy" else None)
        return "<m:Items/><m:ConflictResults><t:Count>0</t:Count></m:ConflictResults>"
    exchange.deny_if_ordered("UpdateItem", item)
    return (
        f'<m:Items><t:{item.element}><t:ItemId Id="{item.id}" ChangeKey="{item.change_key}"/></t:{item.element}>'
        "</m:Items>"
        "<m:ConflictResults><t:Count>0</t:Count></m:ConflictResults>"
    )


def _check_conflict(item: Item, change_key: str | None, resolution: str) -> None:
    if resolution == "AlwaysOverwrite":
        return
    if not change_key:
        raise Refusal("ErrorChangeKeyRequiredForWriteOperations", "The change key is missing.")
    # AutoResolve merges what does not clash; here nothing ever does.
    if resolution == "NeverOverwrite" and change_key != item.change_key:
        raise Refusal(
            "ErrorIrresolvableConflict",
            "The send or update operation could not be performed because the "
            "change key passed in the request does not match the current change key for the item.",
        )


def _apply(item: Item, update: Element) -> None:
    path, kind = update[0], local(update)
    if kind == "DeleteItemField":
        if local(path) == "ExtendedFieldURI":
            reading.clear_property(item, path)
        else:
            reading.clear_field(item, path.get("FieldURI") or "")
        return
    values = update[-1]
    if values is path or len(values) != 1:
        raise Refusal("ErrorIncorrectUpdatePropertyCount", "An update must set exactly one property.")
    value = values[0]
    _check_path(path, value)
    if kind == "AppendToItemField":
        if local(value) != "Body":
            raise Refusal("ErrorInvalidPropertyAppend", "Append action is not supported for this property.")
        item.body += value.text or ""
    else:
        reading.set_field(item, value)


def _check_path(path: Element, value: Element) -> None:
    named = local(path)
    if named == "FieldURI":
        matches = (path.get("FieldURI") or "").partition(":")[2] == local(value)
    else:
        inner = value.find(t("ExtendedFieldURI")) if local(value) == "ExtendedProperty" else None
        matches = inner is not None and reading.property_key(inner) == reading.property_key(path)
    if not matches:
        raise Refusal("ErrorUpdatePropertyMismatch", "The property of the path is not the one that is set.")


def _path(update: Element) -> str:
    return update[0].get("FieldURI") or ""


def _restore(item: Item, before: Item) -> None:
    folder = item.folder
    for name in Item.__slots__:
        setattr(item, name, getattr(before, name))
    item.folder = folder


UPDATE_ITEM = Operation(_handle, _subjects)
