"""Who wants to hear what happens in which folders: subscriptions, and the connections that are told.

Hints only, as with Exchange: what happens while nobody listens is kept for a while, and nobody promises anything.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from worker.clock import Clock
from worker.sandbox.options import Options
from worker.sandbox.shape import shown
from worker.sandbox.soap import MESSAGES, TYPES, Refusal, envelope, escape, refused
from worker.sandbox.store import Folder, Happening, Mailbox

MOST_KEPT: Final = 1000
"""Events kept of one subscription while nobody listens."""


@dataclass(slots=True, eq=False)
class Subscription:
    id: str
    mailbox: Mailbox
    folders: tuple[Folder, ...]
    kinds: frozenset[str]
    heard_at: datetime
    """When it was last listened to."""
    waiting: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    connection: "Connection | None" = None


@dataclass(slots=True, eq=False)
class Connection:
    account: str
    closing: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Subscriptions:
    def __init__(self, options: Options, clock: Clock, birth: str) -> None:
        self._birth = birth
        self._options = options
        self._clock = clock
        self._all: dict[str, Subscription] = {}
        self._connections: set[Connection] = set()
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def connections(self) -> int:
        return len(self._connections)

    def subscribe(self, folders: Sequence[Folder], kinds: frozenset[str]) -> Subscription:
        """Raises Refusal: notifications are refused, or the mailbox has too many subscriptions."""
        if self._options.notifications == "refused":
            raise Refusal("ErrorServerBusy", "The server cannot take subscriptions now.")
        now, mailbox = self._clock.now(), folders[0].mailbox
        old = now - timedelta(minutes=self._options.subscription_minutes)
        for each in [each for each in self._all.values() if each.connection is None and each.heard_at < old]:
            self.end(each.id)
        if sum(each.mailbox is mailbox for each in self._all.values()) >= self._options.subscriptions_per_mailbox:
            raise Refusal("ErrorExceededSubscriptionCount", "The mailbox has too many subscriptions.")
        number = f"JgBzYW5kYm94{self._birth}{next(self._numbers):012d}"
        made = Subscription(number, mailbox, tuple(folders), kinds, now)
        self._all[made.id] = made
        for folder in folders:
            folder.watchers[made.id] = lambda happening: self._notice(made, happening)
        return made

    def end(self, subscription_id: str) -> None:
        """Raises Refusal ErrorSubscriptionNotFound."""
        found = self._all.pop(subscription_id, None)
        if found is None:
            raise Refusal("ErrorSubscriptionNotFound", "The subscription was not found.")
        for folder in found.folders:
            folder.watchers.pop(found.id, None)
        if found.connection is not None:
            found.connection.wake.set()

    def drop_all(self) -> int:
        """The server forgets them, as after a restart; how many that was."""
        number = len(self._all)
        for subscription_id in list(self._all):
            self.end(subscription_id)
        return number

    def close(self) -> None:
        """Every connection ends, in order."""
        for each in self._connections:
            each.closing = True
            each.wake.set()

    def listen(self, subscription_ids: Sequence[str], account: str, minutes: int) -> AsyncIterator[bytes]:
        """One answer after another, for so many minutes. Raises Refusal where the account listens too often already."""
        held = sum(each.account == account for each in self._connections)
        if held >= self._options.connections_per_account:
            raise Refusal("ErrorExceededConnectionCount", "You have exceeded the number of open connections.")
        connection = Connection(account)
        for each in subscription_ids:
            if (found := self._all.get(each)) is not None:
                if found.connection is not None:
                    found.connection.wake.set()  # it sees that somebody else listens now
                found.connection = connection
        return self._stream(list(subscription_ids), connection, minutes * self._options.connection_minute_seconds)

    async def _stream(self, ids: list[str], connection: Connection, seconds: float) -> AsyncIterator[bytes]:
        self._connections.add(connection)
        until = self._clock.monotonic() + seconds
        try:
            yield _answer(_STATUS_OK)
            while True:
                if trouble := self._trouble(ids, connection):
                    yield trouble
                    return
                notifications = [each for subscription_id in ids if (each := self._taken(subscription_id))]
                left = until - self._clock.monotonic()
                if notifications:
                    yield _answer(f"<m:Notifications>{''.join(notifications)}</m:Notifications>")
                elif left <= 0 or connection.closing:
                    yield _answer("<m:ConnectionStatus>Closed</m:ConnectionStatus>")
                    return
                elif not await _woken(connection, min(left, self._options.keep_alive_seconds)):
                    status = "".join(_notification(each, "<t:StatusEvent/>") for each in ids)
                    yield _answer(f"<m:Notifications>{status}</m:Notifications>")
        finally:
            self._connections.discard(connection)
            for each in ids:
                found = self._all.get(each)
                if found is not None and found.connection is connection:
                    found.connection, found.heard_at = None, self._clock.now()

    def _trouble(self, ids: list[str], connection: Connection) -> bytes | None:
        """What ends a connection before its time."""
        unknown = [each for each in ids if each not in self._all]
        if unknown:
            refusal = Refusal("ErrorSubscriptionNotFound", "A subscription was not found.")
            return _refused(refusal, unknown)
        taken = [each for each in ids if self._all[each].connection is not connection]
        if taken:
            return _refused(Refusal("ErrorNewEventStreamConnectionOpened", "Somebody else listens now."), taken)
        return None

    def _taken(self, subscription_id: str) -> str:
        """The notification of what is waiting for a subscription, empty for nothing."""
        waiting = self._all[subscription_id].waiting
        events = "".join(waiting)
        waiting.clear()
        return _notification(subscription_id, events) if events else ""

    def _notice(self, subscription: Subscription, happening: Happening) -> None:
        if happening.kind not in subscription.kinds or self._options.notifications != "sent":
            return
        subscription.waiting.append(_event(happening))
        if subscription.connection is not None:
            subscription.connection.wake.set()


_STATUS_OK: Final = "<m:ConnectionStatus>OK</m:ConnectionStatus>"


async def _woken(connection: Connection, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await connection.wake.wait()
    except TimeoutError:
        return False
    connection.wake.clear()
    return True


def _answer(inner: str) -> bytes:
    return _enveloped(
        '<m:GetStreamingEventsResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>'
        f"{inner}</m:GetStreamingEventsResponseMessage>"
    )


def _refused(refusal: Refusal, ids: list[str]) -> bytes:
    listed = "".join(f"<t:SubscriptionId>{escape(each)}</t:SubscriptionId>" for each in ids)
    inner = f"<m:ErrorSubscriptionIds>{listed}</m:ErrorSubscriptionIds>"
    return _enveloped(refused("GetStreamingEvents", refusal, inner))


def _enveloped(message: str) -> bytes:
    return envelope(
        f'<m:GetStreamingEventsResponse xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"><m:ResponseMessages>{message}'
        "</m:ResponseMessages></m:GetStreamingEventsResponse>"
    )


def _notification(subscription_id: str, events: str) -> str:
    return f"<t:Notification><t:SubscriptionId>{subscription_id}</t:SubscriptionId>{events}</t:Notification>"


def _event(happening: Happening) -> str:
    folder = happening.folder
    old = ""
    if happening.old_folder is not None:
        old = (
            f'<t:OldItemId Id="{happening.old_id}"/>'
            f'<t:OldParentFolderId Id="{happening.old_folder.id}" ChangeKey="{happening.old_folder.change_key}"/>'
        )
    return (
        f"<t:{happening.kind}><t:TimeStamp>{shown(happening.at, 'seconds')}</t:TimeStamp>"
        f'<t:ItemId Id="{happening.id}"/><t:ParentFolderId Id="{folder.id}" ChangeKey="{folder.change_key}"/>{old}'
        f"</t:{happening.kind}>"
    )
