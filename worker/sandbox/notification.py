"""What a client is told of its subscriptions, in the form EWS gives it."""

from collections.abc import Iterable
from typing import Final

from worker.sandbox.shape import shown
from worker.sandbox.soap import MESSAGES, TYPES, Refusal, envelope, escape, refused
from worker.sandbox.store import Happening

STATUS_OK: Final = "<m:ConnectionStatus>OK</m:ConnectionStatus>"
STATUS_CLOSED: Final = "<m:ConnectionStatus>Closed</m:ConnectionStatus>"


def streamed(inner: str) -> bytes:
    """One answer of a connection that stays open."""
    return _enveloped(
        '<m:GetStreamingEventsResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>'
        f"{inner}</m:GetStreamingEventsResponseMessage>"
    )


def streamed_refusal(refusal: Refusal, ids: Iterable[str]) -> bytes:
    """The last one, when subscriptions are the cause."""
    listed = "".join(f"<t:SubscriptionId>{escape(each)}</t:SubscriptionId>" for each in ids)
    inner = f"<m:ErrorSubscriptionIds>{listed}</m:ErrorSubscriptionIds>"
    return _enveloped(refused("GetStreamingEvents", refusal, inner))


def notifications(each: Iterable[str]) -> str:
    return f"<m:Notifications>{''.join(each)}</m:Notifications>"


def notification(subscription_id: str, events: str) -> str:
    return f"<t:Notification>{_inner(subscription_id, events)}</t:Notification>"


def pulled(subscription_id: str, before: str, events: str) -> str:
    """What happened since the watermark `before`: all of it."""
    more = f"<t:PreviousWatermark>{before}</t:PreviousWatermark><t:MoreEvents>false</t:MoreEvents>"
    return f"<m:Notification>{_inner(subscription_id, more + events)}</m:Notification>"


def status(watermark: str = "") -> str:
    """That nothing happened."""
    return f"<t:StatusEvent>{_watermark(watermark)}</t:StatusEvent>"


def event(happening: Happening, watermark: str = "") -> str:
    """With a watermark where it can be asked for what came after it."""
    folder = happening.folder
    old = ""
    if happening.old_folder is not None:
        old = (
            f'<t:OldItemId Id="{happening.old_id}"/>'
            f'<t:OldParentFolderId Id="{happening.old_folder.id}" ChangeKey="{happening.old_folder.change_key}"/>'
        )
    return (
        f"<t:{happening.kind}>{_watermark(watermark)}<t:TimeStamp>{shown(happening.at, 'seconds')}</t:TimeStamp>"
        f'<t:ItemId Id="{happening.id}"/><t:ParentFolderId Id="{folder.id}" ChangeKey="{folder.change_key}"/>{old}'
        f"</t:{happening.kind}>"
    )


def _inner(subscription_id: str, rest: str) -> str:
    return f"<t:SubscriptionId>{subscription_id}</t:SubscriptionId>{rest}"


def _watermark(watermark: str) -> str:
    return f"<t:Watermark>{watermark}</t:Watermark>" if watermark else ""


def _enveloped(message: str) -> bytes:
    return envelope(
        f'<m:GetStreamingEventsResponse xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"><m:ResponseMessages>{message}'
        "</m:ResponseMessages></m:GetStreamingEventsResponse>"
    )
