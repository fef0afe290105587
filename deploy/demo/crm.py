"""The demo's CRM: publishes sample e-mails and prints what becomes of them, a line each.

Every tenth goes out from a mailbox that is read, and its recipient answers. DEMO_MAILS says how many are published,
DEMO_PER_SECOND how fast; then it goes on listening, until it is stopped.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from samples import event  # type: ignore[import-not-found] # in the container it lies beside this file

URL = os.environ["MAILROUTER_AMQP_URL"]
MAILS = int(os.environ.get("DEMO_MAILS", "1000"))
PER_SECOND = float(os.environ.get("DEMO_PER_SECOND", "2"))
ANSWERED = {"from": {"address": "desk@contoso.example"}, "to": [{"address": "customer+reply@customer.example"}]}
LOST = (aio_pika.exceptions.AMQPError, aio_pika.exceptions.ChannelInvalidStateError, OSError, TimeoutError)


class Crm:
    def __init__(self) -> None:
        self.heard: set[str] = set()  # a real one keeps them in its database
        self.counts: Counter[str] = Counter()

    async def publish(self, channel: AbstractChannel, waiting: list[bytes]) -> None:
        """What is not confirmed stays in `waiting`, to be published again as it is."""
        exchange = await channel.get_exchange("crm.mail")
        while self.counts["published"] < MAILS:
            if not waiting:
                waiting.append(self._sample(self.counts["published"]))
            body = waiting[0]
            told = json.loads(body)
            message = aio_pika.Message(
                body, content_type="application/cloudevents+json", message_id=told["id"], delivery_mode=2
            )
            await exchange.publish(message, "email.send", timeout=30)
            waiting.clear()
            self._say("published", told["data"]["email_id"], f"from {told['data']['from']['address']}")
            await asyncio.sleep(1 / PER_SECOND)

    def _sample(self, number: int) -> bytes:
        made = event(number)
        if number % 10 == 0:
            made["data"] |= {**ANSWERED, "cc": [], "bcc": [], "reply_to": []}
        return json.dumps(made).encode()

    async def listen(self, channel: AbstractChannel) -> None:
        await channel.set_qos(100)
        for name in ("crm.mail.status", "crm.mail.inbound"):
            await (await channel.get_queue(name)).consume(self.take)
        await asyncio.Event().wait()

    async def take(self, message: AbstractIncomingMessage) -> None:
        """One event; that it is a repeat tells its id."""
        told = json.loads(message.body)
        if told["id"] not in self.heard:
            self.heard.add(told["id"])
            data = told["data"]
            if told["type"] == "crm.email.received.v1":
                answers = data["correlation"].get("email_id") or "no e-mail of ours"
                self._say("received", answers, f"{data['kind']} from {data['from']['address']}")
            else:
                reason = data.get("reason") or {}
                self._say(told["type"].split(".")[2], data["email_id"], reason.get("message", ""))
        await message.ack()

    def _say(self, what: str, email_id: str, more: str) -> None:
        self.counts[what] += 1
        print(f"{what:<10} {email_id:<12} {more:<50} {dict(self.counts)}", flush=True)  # noqa: T201


async def main() -> None:
    me = asyncio.current_task()
    assert me is not None
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, me.cancel)
    crm, waiting = Crm(), list[bytes]()
    while True:
        with contextlib.suppress(*LOST):
            async with await aio_pika.connect(URL) as connection:
                publishing = await connection.channel(on_return_raises=True)
                listening = await connection.channel()
                await asyncio.gather(crm.publish(publishing, waiting), crm.listen(listening))
        await asyncio.sleep(1)


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main())
