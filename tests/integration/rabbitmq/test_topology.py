"""What the topology promises: delays that cannot lose, and no limit that drops a message by itself."""

import aio_pika
import pytest

from tests.integration.rabbitmq.watching import Inbox, Queues
from tests.node import GIVEN_URL
from worker.rabbitmq import topology
from worker.rabbitmq.broker import RabbitBroker
from worker.rabbitmq.session import Session

PARKED_SECONDS = 5
"""Long enough to be seen in its tier."""

tried_again_soon = pytest.mark.skipif(
    GIVEN_URL is not None, reason="a broker tries what a queue did not take again after three minutes, unless told"
)


@tried_again_soon
async def test_a_retry_whose_queue_is_gone_waits_for_it(broker: RabbitBroker, queues: Queues, inbox: Inbox) -> None:
    await queues.put(topology.BULK, aio_pika.Message(b"1", delivery_mode=2))
    delivery = await inbox.next()
    await broker.park(delivery, PARKED_SECONDS, {})
    await delivery.ack()
    await queues.channel.queue_delete(topology.BULK)
    await queues.reach(topology.tier_name(PARKED_SECONDS), 1)
    await queues.reach(topology.tier_name(PARKED_SECONDS), 0)  # expired: on its way, which leads nowhere
    await topology.declare(queues.channel)
    assert (await queues.get(topology.BULK)).body == b"1"


@tried_again_soon
async def test_a_retry_whose_queue_is_full_waits_for_room(
    session: Session, broker: RabbitBroker, queues: Queues, inbox: Inbox
) -> None:
    await broker.publish("email.send.bulk", b"retry", "retry")
    delivery = await inbox.next()
    await delivery.ack()
    session.stopping.set()  # a queue deleted under its consumer and made again at once is deleted twice by RabbitMQ
    await queues.consumers(topology.BULK, 0)
    await queues.channel.queue_delete(topology.BULK)
    await queues.channel.declare_queue(
        topology.BULK, durable=True, arguments={**topology.QUORUM, "x-max-length": 1, "x-overflow": "reject-publish"}
    )
    for body in (b"first", b"second"):  # a quorum queue takes one more than its limit
        await queues.put(topology.BULK, aio_pika.Message(body, delivery_mode=2))
    await broker.park(delivery, PARKED_SECONDS, {})
    await queues.reach(topology.tier_name(PARKED_SECONDS), 1)
    await queues.reach(topology.tier_name(PARKED_SECONDS), 0)  # expired, and refused
    assert [(await queues.get(topology.BULK)).body for _ in range(3)] == [b"first", b"second", b"retry"]


async def test_a_message_given_back_often_is_not_dropped(queues: Queues, inbox: Inbox) -> None:
    """RabbitMQ 4 drops a message at its 21st delivery, unless told otherwise."""
    await queues.put(topology.OUTBOUND, aio_pika.Message(b"1", delivery_mode=2))
    for _ in range(30):
        await (await inbox.next()).give_back()
    delivery = await inbox.next()
    assert delivery.body == b"1"
    await delivery.ack()


async def test_only_what_was_published_last_is_kept_of_profiles(queues: Queues) -> None:
    for number in range(3):
        await queues.put(topology.PROFILES, aio_pika.Message(str(number).encode(), delivery_mode=2))
    await queues.reach(topology.PROFILES, 1)
    assert (await queues.get(topology.PROFILES)).body == b"2"
