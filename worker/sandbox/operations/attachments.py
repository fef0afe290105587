"""CreateAttachment, GetAttachment, DeleteAttachment. Every change of an attachment changes its item."""

from collections.abc import Sequence

from worker.sandbox import reading
from worker.sandbox.exchange import Call, Exchange, subject
from worker.sandbox.faults import Subject
from worker.sandbox.item import Attachment, Item
from worker.sandbox.operations.operation import Operation, asking_mailbox, each
from worker.sandbox.shape import Shape, attachment_xml
from worker.sandbox.soap import Answer, Contents, Element, Fault, Refusal, answer, large_answer, m


def _subjects(exchange: Exchange, call: Call) -> Sequence[Subject]:
    """The items whose attachments are asked for."""
    found = [
        exchange.store.attachments.get(one.get("Id") or "") for one in call.element.iterfind(f"{m('AttachmentIds')}/*")
    ]
    return [subject(each[0]) for each in found if each is not None] or asking_mailbox(exchange, call)


async def _create(exchange: Exchange, call: Call) -> bytes:
    parent, files = call.element.find(m("ParentItemId")), call.element.find(m("Attachments"))
    if parent is None or files is None:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ParentItemId or Attachments.")

    def act(read: Attachment | Refusal) -> str:
        if isinstance(read, Refusal):
            raise read
        item = exchange.item(call, parent)
        if item.is_submitted:
            raise Refusal("ErrorInvalidPropertyUpdateSentMessage", "A submitted message cannot be changed.")
        (attachment,) = exchange.store.named([read])
        exchange.store.attach(item, attachment)
        return (
            f'<m:Attachments><t:{attachment.element}><t:AttachmentId Id="{attachment.id}" RootItemId="{item.id}" '
            f'RootItemChangeKey="{item.change_key}"/></t:{attachment.element}></m:Attachments>'
        )

    return answer("CreateAttachment", each("CreateAttachment", [_read(one) for one in files], act, "<m:Attachments/>"))


async def _get(exchange: Exchange, call: Call) -> Answer:
    asked, contents = call.element.find(m("AttachmentShape")), Contents()

    def act(element: Element) -> str:
        item, attachment = _found(exchange, call, element)
        exchange.refuse_reading_if_ordered("GetAttachment", item, with_content=True)
        shape = Shape(asked, milliseconds=call.milliseconds, contents=contents, base="AllProperties")
        return f"<m:Attachments>{attachment_xml(attachment, shape)}</m:Attachments>"

    return large_answer("GetAttachment", each("GetAttachment", _ids(call), act, "<m:Attachments/>"), contents)


async def _delete(exchange: Exchange, call: Call) -> bytes:
    def act(element: Element) -> str:
        item, attachment = _found(exchange, call, element)
        if attachment not in item.attachments:  # of an attached item
            raise Refusal("ErrorCannotDeleteObject", "The attachment of an attached item cannot be deleted.")
        exchange.store.detach(item, attachment)
        return f'<m:RootItemId RootItemId="{item.id}" RootItemChangeKey="{item.change_key}"/>'

    return answer("DeleteAttachment", each("DeleteAttachment", _ids(call), act))


def _read(element: Element) -> Attachment | Refusal:
    try:
        return reading.attachment(element)
    except Refusal as refusal:
        return refusal


def _ids(call: Call) -> Element:
    ids = call.element.find(m("AttachmentIds"))
    if ids is None or len(ids) == 0:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: AttachmentIds is missing or empty.")
    return ids


def _found(exchange: Exchange, call: Call, element: Element) -> tuple[Item, Attachment]:
    found = exchange.store.attachments.get(element.get("Id") or "")
    if found is None:
        raise Refusal("ErrorInvalidAttachmentId", "The specified attachment Id is invalid.")
    exchange.open(call, found[0])
    return found


CREATE_ATTACHMENT = Operation(_create)
GET_ATTACHMENT = Operation(_get, _subjects)
DELETE_ATTACHMENT = Operation(_delete, _subjects)
