"""CreateItem: drafts, and mails sent in one step; answers and forwards."""

from collections.abc import Sequence

from worker.sandbox import reading, response_objects
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
        if tagged or element.find(t("MimeContent")) is not None or local(element) in response_objects.KINDS:
            item = _read(exchange, call, element)
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

    def act(asked: tuple[Element, Item | Refusal]) -> str:
        element, item = asked
        if isinstance(item, Refusal):
            raise item
        created = _create(exchange, call, item, disposition, saved)
        if local(element) in response_objects.KINDS and disposition != "SaveOnly":
            _mark(exchange, element)
        return f"<m:Items>{created}</m:Items>"

    asked = [(one, _read(exchange, call, one)) for one in items]
    return answer("CreateItem", each("CreateItem", asked, act, "<m:Items/>"))


def _read(exchange: Exchange, call: Call, element: Element) -> Item | Refusal:
    try:
        if local(element) in response_objects.KINDS:
            original = exchange.item(call, response_objects.reference(element))
            assert original.folder is not None
            own = frozenset({call.user.key, original.folder.mailbox.address.casefold()})
            return response_objects.response(element, original, own)
        if local(element) == "Message":
            return reading.message(element)
    except Refusal as refusal:
        return refusal
    return Refusal(
        "ErrorInvalidItemForOperationCreateItem",
        f"The sandbox takes messages, answers to them and forwards, and no {local(element)}.",
    )


def _mark(exchange: Exchange, element: Element) -> None:
    """It was answered or forwarded. A draft stays as it is."""
    original = exchange.store.items.get(response_objects.reference(element).get("Id") or "")
    if original is not None and not original.is_draft:
        response_objects.mark(original, local(element), exchange.clock.now())
        exchange.store.touch(original)


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
