"""A CRM of ten lines: it publishes one mail, and ends when the broker has confirmed it."""

import asyncio
import json
import os
import uuid
from datetime import UTC, datetime

import aio_pika


async def main() -> None:
    mail: dict[str, object] = {"email_id": "ten-lines", "subject": "Good morning", "body": {"text": "How are you?"}}
    mail |= {"from": {"address": "desk@contoso.example"}, "to": [{"address": "x+reply@customer.example"}]}
    event: dict[str, object] = {"specversion": "1.0", "type": "crm.email.send.v1", "source": "/crm/ten-lines"}
    event |= {"id": str(uuid.uuid4()), "time": datetime.now(UTC).isoformat(), "data": mail}
    message = aio_pika.Message(json.dumps(event).encode(), content_type="application/cloudevents+json", delivery_mode=2)
    async with await aio_pika.connect(os.environ["MAILROUTER_AMQP_URL"]) as connection:
        exchange = await (await connection.channel(on_return_raises=True)).get_exchange("crm.mail")
        await exchange.publish(message, "email.send")


asyncio.run(main())
