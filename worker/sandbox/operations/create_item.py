"""CreateItem: drafts, and mails sent in one step."""

from collections.abc import Sequence

from worker.sandbox import reading
from worker.sandbox.exchange import Call, Exchange, subject
from worker.sandbox.faults import Subject
from worker.sandbox.item import Item
from worker.sandbox.operations.operation import Operation, asking_mailbox, each
from worker.sandbox.soap import Element, Fault, Refusal, answer, local, m, t
from worker.sandbox.store import Folder
from worker.sandbox.submission import submit, submit_unsaved


def _subjects(exchange: Exchange, call: Call) -> Sequence[Subject]:
    found = []
    for element in call.element.iterfind(f"{m('Items')}/*"):
        people = [(address.text or "").strip().casefold() for address in element.iter(t("EmailAddress"))]
        tagged = "+" in call.user.key or any("+" in address for address in people)
        if tagged or element.find(t("MimeContent")) is not None:
            item = _read(element)
            found.append(subject(item if isinstance(item, Item) else Item(), call.user.key))
    return found or asking_mailbox(exchange, call)


async def _handle(exchange: Exchange, call: Call) -> bytes:
    disposition = call.element.get("MessageDisposition")
    items = call.element.find(m("Items"))
    if items is None or len(items) == 0:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: Items is missing or empty.")
    if disposition not in ("SaveOnly", "SendOnly", "SendAndSaveCopy"):
        raise Fault("ErrorMessageDispositionRequired", "A MessageDisposition is required for messages.")
    saved = call.element.find(m("SavedItemFolderId"))

    def act(item: Item | Refusal) -> str:
        if isinstance(item, Refusal):
            raise item
        return f"<m:Items>{_create(exchange, call, item, disposition, saved)}</m:Items>"

    return answer("CreateItem", each("CreateItem", [_read(one) for one in items], act, "<m:Items/>"))


def _read(element: Element) -> Item | Refusal:
    if local(element) != "Message":
        return Refusal("ErrorInvalidItemForOperationCreateItem", "The sandbox takes messages only.")
    try:
        return reading.message(element)
    except Refusal as refusal:
        return refusal


def _create(exchange: Exchange, call: Call, item: Item, disposition: str, saved: Element | None) -> str:
    if item.message_id and not item.source and exchange.options.message_id == "refuse":
        raise Refusal("ErrorInvalidPropertySet", "Set action is invalid for property message:InternetMessageId.")
    exchange.refuse_if_ordered("CreateItem", item, call.user.key)
    if disposition == "SendOnly":
        submit_unsaved(exchange, call.user, item, exchange.own_mailbox(call))
        return ""
    folder = exchange.target_folder(call, saved)
    if disposition == "SendAndSaveCopy":
        folder = folder or exchange.own_mailbox(call).folders["sentitems"]
        _send(exchange, call, item, folder)
        return ""
    folder = folder or exchange.own_mailbox(call).folders["drafts"]
    _add(exchange, item, folder)
    exchange.deny_if_ordered("CreateItem", item)
    attachments = "".join(
        f'<t:{one.element}><t:AttachmentId Id="{one.id}"/></t:{one.element}>' for one in item.attachments
    )
    inner = f"<t:Attachments>{attachments}</t:Attachments>" if attachments else ""
    return f'<t:Message><t:ItemId Id="{item.id}" ChangeKey="{item.change_key}"/>{inner}</t:Message>'


def _add(exchange: Exchange, item: Item, folder: Folder) -> None:
    exchange.refuse_if_full(folder.mailbox, item.size)
    item.attachments = exchange.store.named(item.attachments)
    exchange.store.add(item, folder)


def _send(exchange: Exchange, call: Call, item: Item, save_to: Folder) -> None:
    """Through the Drafts of the mailbox that keeps the copy. Refused for its sender, the draft stays behind."""
    _add(exchange, item, save_to.mailbox.folders["drafts"])
    try:
        submit(exchange, call.user, item, save_to)
    except Refusal as refusal:
        if refusal.code != "ErrorSendAsDenied":
            exchange.store.remove(item)
        if refusal.code == "ErrorMissingRecipients":  # the name this operation has for it
            raise Refusal("ErrorInvalidRecipients", "At least one recipient isn't valid.") from None
        raise
    exchange.deny_if_ordered("CreateItem", item)


CREATE_ITEM = Operation(_handle, _subjects)
