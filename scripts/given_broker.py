"""What the demo and the tests do with the vhost that MAILROUTER_AMQP_URL names: they need one that nobody uses, since
they take what is in our queues and delete them at the end.
"""

import aio_pika

from worker.rabbitmq.topology import EXCHANGES, QUEUES


async def queue_in_use(url: str) -> str:
    """The first queue of ours there that holds messages or has consumers; "" for none."""
    async with await aio_pika.connect(url) as connection:
        for queue in QUEUES:
            try:
                async with connection.channel() as channel:
                    found = (await channel.declare_queue(queue.name, passive=True)).declaration_result
            except aio_pika.exceptions.ChannelClosed:
                continue  # not there
            if found.message_count or found.consumer_count:
                return queue.name
    return ""


async def remove_topology(url: str) -> None:
    """Delete every queue and exchange of ours there."""
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        for queue in QUEUES:
            await channel.queue_delete(queue.name)
        for exchange in EXCHANGES:
            await channel.exchange_delete(exchange.name)
