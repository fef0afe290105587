"""The queues of a CRM organisation as they lie on the broker: how much is in them, and its dead letters."""

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from scripts.eventually import eventually

STATUS_QUEUE = "crm.mail.status"
INBOUND_QUEUE = "crm.mail.inbound"
DEAD_QUEUE = "crm.mail.dead"


class Queues:
    """Those of the broker at `broker_url`."""

    broker_url: str

    async def take_dead_letters(self) -> list[AbstractIncomingMessage]:
        """All that are in the dead-letter queue, taken out of it."""
        letters: list[AbstractIncomingMessage] = []
        async with await aio_pika.connect(self.broker_url) as connection, connection.channel() as channel:
            queue = await channel.get_queue(DEAD_QUEUE)
            while (letter := await queue.get(no_ack=True, fail=False)) is not None:
                letters.append(letter)
        return letters

    async def queue_length(self, name: str) -> int:
        async with await aio_pika.connect(self.broker_url) as connection, connection.channel() as channel:
            queue = await channel.get_queue(name)
            return queue.declaration_result.message_count or 0

    async def until_queued(self, name: str, count: int, seconds: float) -> None:
        """Wait until so many messages are in a queue. Raises TimeoutError."""

        async def queued() -> bool:
            return await self.queue_length(name) == count

        await eventually(queued, seconds)
