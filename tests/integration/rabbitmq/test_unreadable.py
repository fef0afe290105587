"""Messages whose properties nobody can read: they cost themselves at most, never the worker."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from aiormq.abc import ChannelFrame
from pamqp import commands
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from tests.integration.rabbitmq.watching import Inbox, Queues
from worker.events.broker import Burial
from worker.rabbitmq import topology
from worker.rabbitmq.broker import RabbitBroker

BODY = b"\xffbody"
TIME = datetime.fromtimestamp(0x41424344, tz=UTC)


@dataclass(frozen=True)
class Hostile:
    properties: dict[str, object]
    sent: bytes
    instead: bytes


NESTED = b"F\x00\x00\x00"  # a table in a table in a table ...


@pytest.mark.parametrize(
    "hostile",
    [
        Hostile({"message_id": "ABCD"}, b"ABCD", b"\xff\xfeCD"),
        Hostile({"content_type": "ABCD" * 60}, b"ABCD", b"\xff\xfe\xff\xfe"),
        Hostile({"timestamp": TIME}, b"\0\0\0\0ABCD", b"\x7f\xff\xff\xff\xff\xff\xff\xff"),
        Hostile({"headers": {"ABCD": True}}, b"ABCDt", b"\xff\xfeCDt"),
        Hostile({"headers": {"k": TIME}}, b"\0\0\0\0ABCD", b"\x7f\xff\xff\xff\xff\xff\xff\xff"),
        Hostile({"headers": {"k": "ABCD"}}, b"ABCD", b"\xff\xfeCD"),
    ],
    ids=["message id", "content type", "time", "header name", "header time", "header text"],
)
async def test_what_cannot_be_read_is_replaced(
    hostile: Hostile, broker: RabbitBroker, queues: Queues, inbox: Inbox
) -> None:
    await publish_raw(queues, hostile)
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
    await publish_raw(queues, Hostile({"headers": placeholder}, original, table))
    delivery = await inbox.next()
    assert delivery.body == BODY
    assert "k" not in delivery.headers
    await delivery.ack()


async def publish_raw(queues: Queues, hostile: Hostile) -> None:
    """Publish what no library would encode: the bytes are changed after that."""
    channel = await queues.channel.get_underlay_channel()
    frames: list[Frame | ContentHeader | ContentBody] = [
        commands.Basic.Publish(exchange="", routing_key=topology.OUTBOUND),
        ContentHeader(properties=commands.Basic.Properties(**hostile.properties), body_size=len(BODY)),  # type: ignore[arg-type]
        ContentBody(BODY),
    ]
    payload = ChannelFrame.marshall(channel_number=channel.number, frames=frames).payload
    assert hostile.sent in payload
    changed = payload.replace(hostile.sent, hostile.instead)
    assert len(changed) == len(payload)
    await channel.connection.write_queue.put(ChannelFrame(payload=changed, should_close=False))
