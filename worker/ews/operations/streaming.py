"""Streaming notifications: Subscribe, GetStreamingEvents, Unsubscribe (EWS reference, operations of these names)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from lxml import etree

from worker.ews.answer import ResponseMessage
from worker.ews.operations.listed import ListedRequest, acting
from worker.ews.template import MESSAGES, Filled, Template, build, find, folder, place
from worker.ews.text import escaped

MOST_SUBSCRIPTIONS: Final = 200
"""In one connection, as Exchange has it."""

_EVENTS: Final = ("NewMailEvent", "CreatedEvent", "MovedEvent")
_NO_EVENTS: Final = frozenset({"SubscriptionId", "PreviousWatermark", "MoreEvents", "StatusEvent"})


@dataclass(frozen=True, slots=True)
class Told:
    """What one portion of a stream tells: of which subscriptions something was heard, which ones the server does not
    know.
    """

    heard: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()


@cache
def _subscribing(impersonate: bool) -> Template:  # noqa: FBT001 - a key of the cache
    asked = {
        "FolderIds": {"_value_1": [folder("inbox")]},
        "EventTypes": {"_value_1": [{"EventType": each} for each in _EVENTS]},
    }
    body = {"StreamingSubscriptionRequest": asked}
    return Template(etree.tostring(build("Subscribe", body, impersonate=impersonate)))


@cache
def _listening(impersonate: bool) -> ListedRequest:  # noqa: FBT001 - a key of the cache
    body = {"SubscriptionIds": {"SubscriptionId": [place("id")]}, "ConnectionTimeout": 1}
    envelope = build("GetStreamingEvents", body, impersonate=impersonate)
    find(envelope, ".//m:ConnectionTimeout").text = place("minutes")
    return ListedRequest(envelope, "m:SubscriptionIds", "t:SubscriptionId")


@cache
def _unsubscribing(impersonate: bool) -> Template:  # noqa: FBT001 - a key of the cache
    return Template(etree.tostring(build("Unsubscribe", {"SubscriptionId": place("id")}, impersonate=impersonate)))


def subscribe_request(mailbox: str, *, impersonate: bool) -> Filled:
    """The request to be told of whatever comes into the Inbox of `mailbox`."""
    return _subscribing(impersonate).fill({"mailbox": escaped(mailbox)})


def listen_request(anchor: str, subscriptions: Sequence[str], minutes: int, *, impersonate: bool) -> Filled:
    """The request for one connection with all these subscriptions, charged to the mailbox `anchor`."""
    values = acting(anchor, impersonate=impersonate)
    return _listening(impersonate).fill(subscriptions, {**values, "minutes": str(minutes).encode()})


def unsubscribe_request(mailbox: str, subscription: str, *, impersonate: bool) -> Filled:
    values = acting(mailbox, impersonate=impersonate)
    return _unsubscribing(impersonate).fill({**values, "id": escaped(subscription)})


def subscription(message: ResponseMessage) -> str:
    """The subscription's id in a successful answer, "" if it has none."""
    return (message.element.findtext(f"{{{MESSAGES}}}SubscriptionId") or "").strip()


def told(message: ResponseMessage) -> Told:
    """What a response message of a stream says, a failed one too. Exchange and its schema do not agree on some
    namespaces here, so names alone count.
    """
    heard: set[str] = set()
    unknown: set[str] = set()
    for element in message.element.iter("{*}Notification", "{*}ErrorSubscriptionIds"):
        if etree.QName(element).localname == "ErrorSubscriptionIds":
            unknown.update((each.text or "").strip() for each in element)
        elif any(etree.QName(child).localname not in _NO_EVENTS for child in element):
            heard.add((element.findtext("{*}SubscriptionId") or "").strip())
    return Told(frozenset(heard), frozenset(unknown))
