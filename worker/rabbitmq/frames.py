"""What goes out over one channel: the frames of one turn of the event loop together, in one piece.

aiormq writes each publish and each ack by itself, each publish waiting for the one before to be written: 0.39 ms of CPU
a publish, and 0.13 in one piece (4,000 each, 100 under way, in turn in one process). The protocol's rules are kept:
the frames of a message are in one piece (AMQP 0-9-1, 4.2.6), and publishes are numbered in the order in which they are
written (RabbitMQ, "Consumer Acknowledgements and Publisher Confirms").
"""

import asyncio
from typing import Any, Final

import aiormq
from aiormq.abc import ChannelFrame
from aiormq.exceptions import ChannelInvalidStateError
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

CONFIRM_SECONDS: Final = 30.0


class Frames:
    """Of one channel, over which nobody else publishes. Everything here raises one of `LOST` once it is closed.
    `confirm_seconds`: how long the broker may take to confirm a message.

    Confirmations are futures of our own, with one timer for all: those of aiormq have three callbacks each.
    """

    def __init__(self, channel: aiormq.abc.AbstractChannel, confirm_seconds: float = CONFIRM_SECONDS) -> None:
        assert isinstance(channel, aiormq.Channel)
        self._channel = channel
        self._confirm_seconds = confirm_seconds
        self._waiting: list[bytes] = []
        self._written: asyncio.Future[None] | None = None
        self._writing = False
        self._loop = asyncio.get_running_loop()
        self._unconfirmed: dict[asyncio.Future[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        channel.closing.add_done_callback(self._closed)

    async def ack(self, delivery_tag: int) -> None:
        """Returns when it is written. Nothing answers it."""
        await asyncio.shield(self._add(marshal(Basic.Ack(delivery_tag=delivery_tag), self._channel.number)))

    async def give_back(self, delivery_tag: int) -> None:
        """Likewise: to be delivered again."""
        nack = Basic.Nack(delivery_tag=delivery_tag, requeue=True)
        await asyncio.shield(self._add(marshal(nack, self._channel.number)))

    async def publish(self, exchange: str, routing_key: str, body: bytes, properties: Basic.Properties) -> None:
        """Returns when the broker has confirmed it. `properties` hold a message id that no other publish under way has:
        what is returned is known by it.

        Raises PublishError for what leads to no queue, DeliveryError for what the broker has refused, and TimeoutError
        where it does not answer in time.
        """
        channel, message_id, size = self._channel, properties.message_id, self._channel.max_content_size
        assert message_id
        self._add(
            marshal(Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True), channel.number),
            marshal(ContentHeader(properties=properties, body_size=len(body)), channel.number),
            *(marshal(ContentBody(body[at : at + size]), channel.number) for at in range(0, len(body), size)),
        )
        channel.delivery_tag += 1
        confirmation = channel.confirmations[channel.delivery_tag] = self._loop.create_future()
        channel.message_id_delivery_tag[message_id] = channel.delivery_tag
        given_up_at = self._unconfirmed[confirmation] = self._loop.time() + self._confirm_seconds
        if self._timer is None:
            self._timer = self._loop.call_at(given_up_at, self._give_up)
        try:
            await confirmation
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._loop.time() < given_up_at or (task and task.cancelling()):
                raise
            raise TimeoutError from None
        finally:
            del self._unconfirmed[confirmation], channel.message_id_delivery_tag[message_id]
            del confirmation  # what it raised holds this frame, and with it the body: no circle of them

    def _give_up(self) -> None:
        """On what was not confirmed in time: the first ones, for they are in the order in which they were written."""
        for confirmation, at in self._unconfirmed.items():
            if at > self._loop.time():
                self._timer = self._loop.call_at(at, self._give_up)
                return
            confirmation.cancel()
        self._timer = None

    def _closed(self, closing: asyncio.Future[Any]) -> None:
        error = None if closing.cancelled() else closing.exception()
        if self._timer is not None:
            self._timer.cancel()
        for confirmation in self._unconfirmed:
            if isinstance(error, Exception) and not confirmation.done():
                confirmation.set_exception(error)
            else:
                confirmation.cancel()

    def _add(self, *frames: bytes) -> asyncio.Future[None]:
        """The future is done when they are written. All that waits for one piece shares it."""
        if self._channel.is_closed:
            raise ChannelInvalidStateError(f"{self._channel!r} closed")
        self._waiting += frames
        if self._written is None:
            self._written = self._channel.create_future()
        if not self._writing:
            self._writing = True
            self._channel.create_task(self._write())
        return self._written

    async def _write(self) -> None:
        """One piece after the other: the connection holds few, so what comes meanwhile is the next piece."""
        try:
            while self._waiting:
                piece = ChannelFrame(b"".join(self._waiting), should_close=False, drain_future=self._written)
                self._waiting, self._written = [], None
                await self._channel.write_queue.put(piece)
        finally:
            self._writing = False
