"""Subscribe, GetStreamingEvents, Unsubscribe: notifications over a connection that stays open."""

from typing import Final

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.operations.operation import Operation, named_mailboxes
from worker.sandbox.soap import Answer, Element, Fault, Refusal, answer, m, refused, success, t
from worker.sandbox.store import Folder

MOST_SUBSCRIPTIONS: Final = 200
_KINDS: Final = frozenset(
    f"{each}Event" for each in ("Copied", "Created", "Deleted", "Modified", "Moved", "NewMail", "FreeBusyChanged")
)


async def _subscribe(exchange: Exchange, call: Call) -> bytes:
    wanted = call.element.find(m("StreamingSubscriptionRequest"))
    if wanted is None:
        refusal = Refusal("ErrorInvalidSubscriptionRequest", "The sandbox knows streaming subscriptions only.")
        return answer("Subscribe", [refused("Subscribe", refusal)])
    kinds = frozenset((each.text or "").strip() for each in wanted.iterfind(f"{t('EventTypes')}/*"))
    ids = list(wanted.iterfind(f"{t('FolderIds')}/*"))
    everything = wanted.get("SubscribeToAllFolders") in ("true", "1")
    if not kinds or not kinds <= _KINDS or everything == bool(ids):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: StreamingSubscriptionRequest.")
    try:
        folders = _folders(exchange, call, ids)
        exchange.refuse_mailbox_if_ordered("Subscribe", folders[0])
        made = exchange.subscriptions.subscribe(folders, kinds)
    except Refusal as refusal:
        return answer("Subscribe", [refused("Subscribe", refusal)])
    return answer("Subscribe", [success("Subscribe", f"<m:SubscriptionId>{made.id}</m:SubscriptionId>")])


def _folders(exchange: Exchange, call: Call, ids: list[Element]) -> list[Folder]:
    """Those that are named; all of the mailbox where none is."""
    if not ids:
        return list(exchange.own_mailbox(call).folders.values())
    folders = [exchange.folder(call, each) for each in ids]
    if len({each.mailbox.address for each in folders}) > 1:
        raise Refusal("ErrorInvalidSubscriptionRequest", "A subscription is for one mailbox.")
    return folders


async def _listen(exchange: Exchange, call: Call) -> Answer:
    ids = [(each.text or "").strip() for each in call.element.iterfind(f"{m('SubscriptionIds')}/*")]
    minutes = int(call.element.findtext(m("ConnectionTimeout")) or "0")
    if not ids or not 1 <= minutes <= 30:  # noqa: PLR2004 - the schema's limit
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: GetStreamingEvents.")
    if len(ids) > MOST_SUBSCRIPTIONS:
        raise Fault("ErrorInvalidRequest", "A connection is for 200 subscriptions at most.")
    try:
        return exchange.subscriptions.listen(ids, call.user.key, minutes)
    except Refusal as refusal:
        return answer("GetStreamingEvents", [refused("GetStreamingEvents", refusal)])


async def _unsubscribe(exchange: Exchange, call: Call) -> bytes:
    try:
        exchange.subscriptions.end((call.element.findtext(m("SubscriptionId")) or "").strip())
    except Refusal as refusal:
        return answer("Unsubscribe", [refused("Unsubscribe", refusal)])
    return answer("Unsubscribe", [success("Unsubscribe")])


SUBSCRIBE = Operation(_subscribe, named_mailboxes)
GET_STREAMING_EVENTS = Operation(_listen)
UNSUBSCRIBE = Operation(_unsubscribe)
