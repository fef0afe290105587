"""Subscribe, Unsubscribe, and how what happens is told: over a connection that stays open (GetStreamingEvents), or to
who asks (GetEvents).
"""

from datetime import timedelta
from typing import Final

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.operations.operation import Operation, named_mailboxes
from worker.sandbox.soap import Answer, Element, Fault, Refusal, answer, m, refused, success, t
from worker.sandbox.store import Folder

MOST_SUBSCRIPTIONS: Final = 200
MOST_MINUTES: Final = 1440
"""How long a subscription may live unasked (types.xsd, SubscriptionTimeoutType)."""
_KINDS: Final = frozenset(
    f"{each}Event" for each in ("Copied", "Created", "Deleted", "Modified", "Moved", "NewMail", "FreeBusyChanged")
)


async def _subscribe(exchange: Exchange, call: Call) -> bytes:
    pulled = call.element.find(m("PullSubscriptionRequest"))
    wanted = call.element.find(m("StreamingSubscriptionRequest")) if pulled is None else pulled
    if wanted is None or wanted.find(t("Watermark")) is not None:
        return answer("Subscribe", [refused("Subscribe", _PUSH if wanted is None else _RESUMED)])
    timeout = None if pulled is None else _timeout(pulled)
    kinds = frozenset((each.text or "").strip() for each in wanted.iterfind(f"{t('EventTypes')}/*"))
    ids = list(wanted.iterfind(f"{t('FolderIds')}/*"))
    everything = wanted.get("SubscribeToAllFolders") in ("true", "1")
    if not kinds or not kinds <= _KINDS or everything == bool(ids):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: the subscription request.")
    try:
        folders = _folders(exchange, call, ids)
        exchange.refuse_mailbox_if_ordered("Subscribe", folders[0])
        made = exchange.subscriptions.subscribe(folders, kinds, timeout)
    except Refusal as refusal:
        return answer("Subscribe", [refused("Subscribe", refusal)])
    inner = f"<m:SubscriptionId>{made.id}</m:SubscriptionId>"
    if timeout is not None:
        inner += f"<m:Watermark>{exchange.subscriptions.watermark(made)}</m:Watermark>"
    return answer("Subscribe", [success("Subscribe", inner)])


def _timeout(request: Element) -> timedelta:
    minutes = int(request.findtext(t("Timeout")) or "0")
    if not 1 <= minutes <= MOST_MINUTES:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: Timeout.")
    return timedelta(minutes=minutes)


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


async def _pull(exchange: Exchange, call: Call) -> bytes:
    subscription_id, watermark = (
        (call.element.findtext(m(name)) or "").strip() for name in ("SubscriptionId", "Watermark")
    )
    if not subscription_id or not watermark:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: GetEvents.")
    try:
        return answer("GetEvents", [success("GetEvents", exchange.subscriptions.pull(subscription_id, watermark))])
    except Refusal as refusal:
        return answer("GetEvents", [refused("GetEvents", refusal)])


async def _unsubscribe(exchange: Exchange, call: Call) -> bytes:
    try:
        exchange.subscriptions.end((call.element.findtext(m("SubscriptionId")) or "").strip())
    except Refusal as refusal:
        return answer("Unsubscribe", [refused("Unsubscribe", refusal)])
    return answer("Unsubscribe", [success("Unsubscribe")])


_PUSH: Final = Refusal("ErrorInvalidSubscriptionRequest", "The sandbox knows no push subscriptions.")
_RESUMED: Final = Refusal("ErrorInvalidWatermark", "The sandbox keeps no events but those of a subscription.")

SUBSCRIBE = Operation(_subscribe, named_mailboxes)
GET_STREAMING_EVENTS = Operation(_listen)
GET_EVENTS = Operation(_pull)
UNSUBSCRIBE = Operation(_unsubscribe)
