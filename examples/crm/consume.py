"""From the router, into the database: an event is acked once it is stored, and stored once however often it comes."""

import json
from typing import Any

from aio_pika.abc import AbstractConnection

from examples.crm.store import Store

STATUS, INBOUND = "crm.mail.status", "crm.mail.inbound"


async def consume(connection: AbstractConnection, queue_name: str, store: Store) -> None:
    """Take what is in the queue, and what comes into it, for as long as the connection lasts."""
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=100)
    queue = await channel.get_queue(queue_name)
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process(requeue=True):  # acked at the end; given back where storing fails
                event = json.loads(message.body)
                if store.take(event):
                    print(told(event), flush=True)
    raise ConnectionError(f"the broker has ended consuming {queue_name}")


def told(event: dict[str, Any]) -> str:
    data = event["data"]
    if event["type"] == "crm.email.received.v1":
        answered = data["correlation"].get("email_id", "nothing of ours")
        return f"{data['mailbox']} received {data['kind']} {data['subject']!r}: answers {answered}"
    state = event["type"].split(".")[2]
    return f"{data['email_id']} {state} {data.get('reason', {}).get('message', '')}".rstrip()
