"""The dead-letter queue, for people: look through it, put messages back, discard them.

Whatever is not settled when the session ends stays where it is: an interrupted command loses nothing. A replayed
message leaves the queue only when the broker has confirmed its copy; interrupted in between, both are there, and the
router sends one mail all the same.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from aiormq.abc import DeliveredMessage

from worker.events.broker import Headers
from worker.events.marks import Mark
from worker.rabbitmq.broker import BURIAL_HEADERS, Publisher, copied
from worker.rabbitmq.consumer import Taken
from worker.rabbitmq.frames import Frames
from worker.rabbitmq.lost import closing_told
from worker.rabbitmq.session import Session
from worker.rabbitmq.topology import BULK, DEAD, ITEMS, OUTBOUND

WINDOW: Final = 10
"""Messages in memory at once; each has 12 MiB at most, by default."""

BUSY_SECONDS: Final = 0.5
"""After so long a queue is asked again that seems to be empty."""

QUIET_SECONDS: Final = 3.0
"""So long without another message means that somebody else has taken the rest."""

HISTORY_HEADERS: Final = frozenset({*BURIAL_HEADERS, *(mark.value for mark in Mark)})
"""What our own passes wrote on a message. A replayed one begins without a past, the doubt with it."""

_REPLAYABLE: Final = (OUTBOUND, BULK, ITEMS)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`id` is the AMQP message id, or a digest of the body where there is none. `queue` is "" where it is not known
    whence the message came: it was put here by someone else, and cannot be replayed.
    """

    id: str
    reason: str
    detail: str
    remedy: str
    attempts: int
    first_seen_at: str
    queue: str
    content_type: str
    body: bytes = field(repr=False)
    headers: Headers = field(repr=False)


@dataclass(slots=True)
class Tally:
    """What came of a replay or a drop. `missing` are ids that no message had."""

    done: int = 0
    unreplayable: int = 0
    missing: set[str] = field(default_factory=set)


class DeadLetters:
    """Over a session of its own, since what it has looked at is the session's until that ends."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def count(self) -> int:
        """Of a quorum queue that does not say within 250 ms how many it has, RabbitMQ says that it has none
        (rabbit_fifo_client, stat): so none is only believed when it is said twice.
        """
        with closing_told():
            channel = await self._session.channel()
            for pause in (0.0, BUSY_SECONDS):
                await asyncio.sleep(pause)
                queue = await channel.declare_queue(DEAD, passive=True)
                if count := queue.declaration_result.message_count:
                    return count
        return 0

    async def letters(self) -> AsyncIterator[DeadLetter]:
        async for taken in self._walk():
            yield _letter(taken)

    async def replay(self, ids: Collection[str] | None, progress: Callable[[], None]) -> Tally:
        """Put back the messages of these ids, or all, into the queues they are from. Raises Unconfirmed where the
        broker does not take one; what was done until then is done.
        """
        publisher = await Publisher.open(self._session)

        async def put_back(taken: Taken, letter: DeadLetter) -> None:
            properties = copied(taken, dict.fromkeys(HISTORY_HEADERS))
            await publisher.publish("", letter.queue, taken.body, properties)
            await taken.ack()

        return await self._settle(ids, progress, put_back, can=lambda letter: letter.queue in _REPLAYABLE)

    async def drop(self, ids: Collection[str], progress: Callable[[], None]) -> Tally:
        """Discard the messages of these ids."""

        async def discard(taken: Taken, _letter: DeadLetter) -> None:
            await taken.ack()

        return await self._settle(ids, progress, discard, can=lambda _: True)

    async def _settle(
        self,
        ids: Collection[str] | None,
        progress: Callable[[], None],
        settle: Callable[[Taken, DeadLetter], Awaitable[None]],
        *,
        can: Callable[[DeadLetter], bool],
    ) -> Tally:
        tally = Tally(missing=set(ids or ()))
        under_way: set[asyncio.Task[None]] = set()
        try:
            async for taken in self._walk():
                progress()
                letter = _letter(taken)
                if ids is not None and letter.id not in ids:
                    continue
                tally.missing.discard(letter.id)
                if not can(letter):
                    tally.unreplayable += 1
                    continue
                if len(under_way) >= WINDOW:
                    tally.done += await _first_of(under_way)
                under_way.add(asyncio.ensure_future(settle(taken, letter)))
            while under_way:
                tally.done += await _first_of(under_way)
        finally:
            for each in under_way:
                each.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        return tally

    async def _walk(self) -> AsyncIterator[Taken]:
        """Every message that is there at the beginning, once, none held in memory longer than its turn.

        Consumed through windows: a consumer's messages stay ours when it is cancelled, and the next one begins
        behind them. (`basic.get` costs 4 ms a message on a quorum queue.)
        """
        remaining = await self.count()
        with closing_told():
            channel = await (await self._session.channel(WINDOW)).get_underlay_channel()
        frames = Frames(channel)
        arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        while remaining > 0:
            with closing_told():
                consumer = await self._session.consume(channel, DEAD, arrived.put)
            for _ in range(min(WINDOW, remaining)):
                message = await self._next(arrived)
                if message is None:
                    return
                remaining -= 1
                yield Taken(message, frames, DEAD)
            with closing_told():
                await channel.basic_cancel(consumer)
            while remaining > 0 and not arrived.empty():  # what came in place of acked ones
                remaining -= 1
                yield Taken(arrived.get_nowait(), frames, DEAD)

    async def _next(self, arrived: asyncio.Queue[DeliveredMessage]) -> DeliveredMessage | None:
        """None when there is no more. Raises ConnectionResetError when the session is lost."""
        getting = asyncio.ensure_future(arrived.get())
        await asyncio.wait((getting, self._session.lost), timeout=QUIET_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if getting.done():
            return getting.result()
        getting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await getting
        if self._session.lost.done():
            raise ConnectionResetError(self._session.lost.result())
        return None


async def _first_of(under_way: set[asyncio.Task[None]]) -> int:
    """Wait until at least one has ended; how many have. Raises what one of them raised."""
    ended, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    for each in ended:
        each.result()
    under_way -= ended
    return len(ended)


def _letter(taken: Taken) -> DeadLetter:
    headers = taken.headers
    attempts = headers.get("x-attempts")
    return DeadLetter(
        id=taken.message_id or "sha256:" + hashlib.sha256(taken.body).hexdigest()[:16],
        reason=_text(headers, "x-reason"),
        detail=_text(headers, "x-detail"),
        remedy=_text(headers, "x-remedy"),
        attempts=attempts if isinstance(attempts, int) else 0,
        first_seen_at=_text(headers, "x-first-seen-at"),
        queue=_text(headers, "x-queue"),
        content_type=taken.content_type,
        body=taken.body,
        headers=headers,
    )


def _text(headers: Headers, name: str) -> str:
    value = headers.get(name)
    return value if isinstance(value, str) else ""
