"""Messages whose properties nobody can read: they cost themselves at most, never the worker."""

from datetime import UTC, datetime

import pytest

from tests.integration.rabbitmq.watching import Inbox, Queues
from worker.events.broker import Burial
from worker.rabbitmq import topology
from worker.rabbitmq.broker import RabbitBroker

BODY = b"\xffbody"
TIME = datetime.fromtimestamp(0x41424344, tz=UTC)


@pytest.mark.parametrize(
    ("properties", "change"),
    [
        ({"message_id": "ABCD"}, (b"ABCD", b"\xff\xfeCD")),
        ({"content_type": "ABCD" * 60}, (b"ABCD", b"\xff\xfe\xff\xfe")),
        ({"timestamp": TIME}, (b"\0\0\0\0ABCD", b"\x7f\xff\xff\xff\xff\xff\xff\xff")),
        ({"headers": {"ABCD": True}}, (b"ABCDt", b"\xff\xfeCDt")),
        ({"headers": {"k": TIME}}, (b"\0\0\0\0ABCD", b"\x7f\xff\xff\xff\xff\xff\xff\xff")),
        ({"headers": {"k": "ABCD"}}, (b"ABCD", b"\xff\xfeCD")),
    ],
    ids=["message id", "content type", "time", "header name", "header time", "header text"],
)
async def test_what_cannot_be_read_is_replaced(
    properties: dict[str, object], change: tuple[bytes, bytes], broker: RabbitBroker, queues: Queues, inbox: Inbox
) -> None:
    await queues.put_raw(topology.OUTBOUND, BODY, properties, change)
    delivery = await inbox.next()
    assert delivery.body == BODY
    await broker.park(delivery, 1, {"x-attempts": 1})
    await delivery.ack()
    delivery = await inbox.next()
    assert delivery.headers["x-attempts"] == 1
    await broker.bury(delivery, Burial("r", "d", "m", attempts=1, first_seen_at=""))
    await delivery.ack()
    dead = await queues.get(topology.DEAD)
    assert dead.body == BODY
    assert dead.headers["x-reason"] == "r"


async def test_deep_nesting_is_no_header(queues: Queues, inbox: Inbox) -> None:
    table = b""
    for _ in range(5000):
        table = b"\x01kF" + len(table).to_bytes(4, "big") + table
    placeholder = {"k": "A" * (len(table) - 7)}
    original = b"\x01kS" + (len(table) - 7).to_bytes(4, "big") + b"A" * (len(table) - 7)
    await queues.put_raw(topology.OUTBOUND, BODY, {"headers": placeholder}, (original, table))
    delivery = await inbox.next()
    assert delivery.body == BODY
    assert "k" not in delivery.headers
    await delivery.ack()
