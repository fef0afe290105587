"""Who wants to hear what happens in which folders: subscriptions, the connections that are told, and what is told to
those who ask.

Hints only, as with Exchange: what happens while nobody listens is kept for a while, and nobody promises anything.
"""

import asyncio
import base64
import binascii
import itertools
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from worker.clock import Clock
from worker.sandbox.notification import (
    STATUS_CLOSED,
    STATUS_OK,
    event,
    notification,
    notifications,
    pulled,
    status,
    streamed,
    streamed_refusal,
)
from worker.sandbox.options import Options
from worker.sandbox.soap import Refusal
from worker.sandbox.store import Folder, Happening, Mailbox

MOST_KEPT: Final = 1000
"""Events kept of one subscription while nobody listens, or to be asked for again."""


@dataclass(slots=True, eq=False)
class Subscription:
    id: str
    mailbox: Mailbox
    folders: tuple[Folder, ...]
    kinds: frozenset[str]
    heard_at: datetime
    """When it was last listened to, or asked."""
    timeout: timedelta | None = None
    """Of one that is asked (pull): how long it lives unasked. None for one that is listened to."""
    noticed: int = 0
    """How many events it had."""
    waiting: deque[tuple[int, Happening]] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    """The newest events by their numbers, from 1."""
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

    def subscribe(
        self, folders: Sequence[Folder], kinds: frozenset[str], timeout: timedelta | None = None
    ) -> Subscription:
        """With a timeout it is to be asked, else to be listened to. Raises Refusal: notifications are refused, or the
        mailbox has too many subscriptions.
        """
        if self._options.notifications == "refused":
            raise Refusal("ErrorServerBusy", "The server cannot take subscriptions now.")
        now, mailbox = self._clock.now(), folders[0].mailbox
        for each in [each for each in self._all.values() if self._expired(each)]:
            self.end(each.id)
        if sum(each.mailbox is mailbox for each in self._all.values()) >= self._options.subscriptions_per_mailbox:
            raise Refusal("ErrorExceededSubscriptionCount", "The mailbox has too many subscriptions.")
        subscription_id = f"JgBzYW5kYm94{self._birth}{next(self._numbers):012d}"
        made = Subscription(subscription_id, mailbox, tuple(folders), kinds, now, timeout)
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
            if (found := self._listened(each)) is not None:
                if found.connection is not None:
                    found.connection.wake.set()  # it sees that somebody else listens now
                found.connection = connection
        return self._stream(list(subscription_ids), connection, minutes * self._options.connection_minute_seconds)

    async def _stream(self, ids: list[str], connection: Connection, seconds: float) -> AsyncIterator[bytes]:
        self._connections.add(connection)
        until = self._clock.monotonic() + seconds
        try:
            yield streamed(STATUS_OK)
            while True:
                if trouble := self._trouble(ids, connection):
                    yield trouble
                    return
                taken = [each for subscription_id in ids if (each := self._taken(subscription_id))]
                left = until - self._clock.monotonic()
                if taken:
                    yield streamed(notifications(taken))
                elif left <= 0 or connection.closing:
                    yield streamed(STATUS_CLOSED)
                    return
                elif not await _woken(connection, min(left, self._options.keep_alive_seconds)):
                    yield streamed(notifications(notification(each, status()) for each in ids))
        finally:
            self._connections.discard(connection)
            for each in ids:
                found = self._all.get(each)
                if found is not None and found.connection is connection:
                    found.connection, found.heard_at = None, self._clock.now()

    def _trouble(self, ids: list[str], connection: Connection) -> bytes | None:
        """What ends a connection before its time."""
        unknown = [each for each in ids if self._listened(each) is None]
        if unknown:
            refusal = Refusal("ErrorSubscriptionNotFound", "A subscription was not found.")
            return streamed_refusal(refusal, unknown)
        taken = [each for each in ids if self._all[each].connection is not connection]
        if taken:
            return streamed_refusal(Refusal("ErrorNewEventStreamConnectionOpened", "Somebody else listens now."), taken)
        return None

    def _taken(self, subscription_id: str) -> str:
        """The notification of what is waiting for a subscription, empty for nothing."""
        waiting = self._all[subscription_id].waiting
        events = "".join(event(happening) for _, happening in waiting)
        waiting.clear()
        return notification(subscription_id, events) if events else ""

    def watermark(self, subscription: Subscription, number: int = 0) -> str:
        """The place behind an event; 0 is before the first."""
        return base64.b64encode(f"{subscription.id} {number}".encode()).decode()

    def pull(self, subscription_id: str, watermark: str) -> str:
        """The notification of what happened since a watermark, which may be asked for again. Raises Refusal; where
        something is lost, the subscription ends, too (EWS reference, ErrorEventNotFound).
        """
        found = self._all.get(subscription_id)
        if found is not None and self._expired(found):
            self.end(found.id)
            found = None
        if found is None:
            raise Refusal("ErrorSubscriptionNotFound", "The subscription was not found.")
        if found.timeout is None:
            raise Refusal("ErrorInvalidPullSubscriptionId", "The subscription is none that is asked.")
        since = self._place(found, watermark)
        if found.waiting and since + 1 < found.waiting[0][0]:
            self.end(found.id)
            raise Refusal("ErrorEventNotFound", "The events behind this watermark are not known any more.")
        found.heard_at = self._clock.now()
        told = [event(each, self.watermark(found, number)) for number, each in found.waiting if number > since]
        return pulled(found.id, watermark, "".join(told) or status(watermark))

    def _place(self, subscription: Subscription, watermark: str) -> int:
        """The number of the event it stands behind. Raises Refusal ErrorInvalidWatermark."""
        try:
            name, _, number = base64.b64decode(watermark, validate=True).decode("ascii").partition(" ")
            place = int(number)
        except (binascii.Error, ValueError):
            name, place = "", 0
        if name != subscription.id or not 0 <= place <= subscription.noticed:
            raise Refusal("ErrorInvalidWatermark", "The watermark is not one of this subscription.")
        return place

    def _listened(self, subscription_id: str) -> Subscription | None:
        """One that is there and can be listened to."""
        found = self._all.get(subscription_id)
        return found if found is not None and found.timeout is None else None

    def _expired(self, subscription: Subscription) -> bool:
        lives = subscription.timeout or timedelta(minutes=self._options.subscription_minutes)
        return subscription.connection is None and subscription.heard_at < self._clock.now() - lives

    def _notice(self, subscription: Subscription, happening: Happening) -> None:
        if happening.kind not in subscription.kinds or self._options.notifications != "sent":
            return
        subscription.noticed += 1
        subscription.waiting.append((subscription.noticed, happening))
        if subscription.connection is not None:
            subscription.connection.wake.set()


async def _woken(connection: Connection, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await connection.wake.wait()
    except TimeoutError:
        return False
    connection.wake.clear()
    return True
