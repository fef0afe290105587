"""GetConversationItems: what a mailbox holds of a conversation, in all its folders."""

from worker.sandbox.conversations import conversation_of
from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.item import Item
from worker.sandbox.operations.operation import Operation, each
from worker.sandbox.shape import Shape
from worker.sandbox.soap import Element, Fault, Refusal, answer, escape, m, t


async def _handle(exchange: Exchange, call: Call) -> bytes:
    wanted, conversations = call.element.find(m("ItemShape")), call.element.find(m("Conversations"))
    if wanted is None or conversations is None or len(conversations) == 0:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ItemShape or Conversations.")
    ignored = call.element.find(m("FoldersToIgnore"))
    most = int(call.element.findtext(m("MaxItemsToReturn")) or "100")
    oldest_first = call.element.findtext(m("SortOrder")) == "TreeOrderAscending"

    def act(asked: Element) -> str:
        conversation_id = asked.find(t("ConversationId"))
        told = "" if conversation_id is None else conversation_id.get("Id") or ""
        mailbox = exchange.own_mailbox(call)
        passed_by = {exchange.folder(call, folder).id for folder in ([] if ignored is None else ignored)}
        items = mailbox.conversations.items(conversation_of(told))
        if not items:
            raise Refusal("ErrorItemNotFound", "The specified object was not found in the store.")
        exchange.refuse_mailbox_if_ordered("GetConversationItems", mailbox.folders["inbox"])
        items = [one for one in items if one.folder is not None and one.folder.id not in passed_by]
        chosen = (items if oldest_first else items[::-1])[:most]
        shape = Shape(wanted, milliseconds=call.milliseconds)
        nodes = "".join(_node(shape, group) for group in _by_message_id(chosen))
        return (
            f'<m:Conversation><t:ConversationId Id="{escape(told)}"/><t:SyncState>c2FuZGJveA==</t:SyncState>'
            f"<t:ConversationNodes>{nodes}</t:ConversationNodes></m:Conversation>"
        )

    return answer("GetConversationItems", each("GetConversationItems", conversations, act))


def _by_message_id(items: list[Item]) -> list[list[Item]]:
    """Copies of one mail are one node."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.message_id or item.id, []).append(item)
    return list(groups.values())


def _node(shape: Shape, items: list[Item]) -> str:
    message_id = items[0].message_id
    named = f"<t:InternetMessageId>{escape(message_id)}</t:InternetMessageId>" if message_id else ""
    parent = items[0].in_reply_to
    above = f"<t:ParentInternetMessageId>{escape(parent)}</t:ParentInternetMessageId>" if parent else ""
    inner = "".join(shape.write(item) for item in items)
    return f"<t:ConversationNode>{named}{above}<t:Items>{inner}</t:Items></t:ConversationNode>"


GET_CONVERSATION_ITEMS = Operation(_handle)
