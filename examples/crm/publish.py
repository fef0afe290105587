"""Out of the outbox, into the router. An event leaves the outbox once the broker has confirmed it; after any error the
same event is published again, which is safe: one mail leaves.
"""

import asyncio

import aio_pika
from aio_pika.abc import AbstractConnection

from examples.crm.store import Store

_LOOK_SECONDS = 0.5


async def publish(connection: AbstractConnection, store: Store) -> None:
    """Publish what is in the outbox, and what comes into it, for as long as the connection lasts."""
    channel = await connection.channel(on_return_raises=True)  # what no queue takes is an error, too
    exchange = await channel.get_exchange("crm.mail")
    while True:
        for event_id, event in store.outbox().items():
            message = aio_pika.Message(
                event.encode(),
                content_type="application/cloudevents+json",
                message_id=event_id,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, "email.send", timeout=30)  # returns when the broker has confirmed
            store.confirmed(event_id)
        await asyncio.sleep(_LOOK_SECONDS)
