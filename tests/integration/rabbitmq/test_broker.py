"""The port over a real broker: what is confirmed is there, what cannot be confirmed says so, nothing is changed."""

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable

import aio_pika
import pytest

from tests.integration.rabbitmq.watching import Inbox, Queues
from worker.events.broker import Burial, Unconfirmed
from worker.mail.trace import TraceContext
from worker.rabbitmq import topology
from worker.rabbitmq.broker import RabbitBroker

BURIAL = Burial("invalid-event", "data.to: missing", "correct the event", attempts=3, first_seen_at="2026-11-23")

BODY = b"\x00not \xff even JSON"


def message(**more: object) -> aio_pika.Message:
    given: dict[str, object] = {
        "headers": {"x-tenant": "a", "raw": bytearray(b"\xff"), "x-doubt": False},
        "content_type": "application/cloudevents+json; charset=utf-8",
        "content_encoding": "identity",
        "correlation_id": "c-1",
        "message_id": "event-1",
        "type": "crm.email.send.v1",
        "app_id": "crm",
        "delivery_mode": 2,
    }
    return aio_pika.Message(BODY, **{**given, **more})  # type: ignore[arg-type]


async def test_an_event_reaches_the_queue_of_its_key(broker: RabbitBroker, queues: Queues) -> None:
    await broker.publish("email.accepted", b"{}", "status-1")
    got = await queues.get(topology.STATUS)
    assert (got.body, got.message_id, got.content_type) == (b"{}", "status-1", "application/cloudevents+json")
    assert got.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert "traceparent" not in got.headers


async def test_an_event_bears_the_context_of_its_trace(broker: RabbitBroker, queues: Queues) -> None:
    await broker.publish("email.accepted", b"{}", "status-1", TraceContext("00-1-2-01", "a=b"))
    got = await queues.get(topology.STATUS)
    assert (got.headers["traceparent"], got.headers["tracestate"]) == ("00-1-2-01", "a=b")


@pytest.mark.parametrize("queue", [topology.OUTBOUND, topology.BULK])
async def test_a_parked_message_comes_back_to_its_queue(
    queue: str, broker: RabbitBroker, queues: Queues, inbox: Inbox
) -> None:
    await queues.put(queue, message())
    first = await inbox.next()
    assert first.bulk is (queue == topology.BULK)

    await broker.park(first, 1.9, {"x-attempts": 1, "x-doubt": True, "x-told": "ErrorServerBusy"})
    await first.ack()
    began = asyncio.get_running_loop().time()
    again = await inbox.next()
    assert asyncio.get_running_loop().time() - began > 0.8

    assert (again.body, again.bulk) == (BODY, first.bulk)
    assert (again.content_type, again.message_id) == (first.content_type, "event-1")
    assert again.headers["x-tenant"] == "a"
    assert again.headers["raw"] == b"\xff"
    assert (again.headers["x-attempts"], again.headers["x-doubt"]) == (1, True)
    assert again.headers["x-told"] == "ErrorServerBusy"
    await again.ack()


async def test_a_second_pass_leaves_no_trace_of_the_first_but_ours(
    broker: RabbitBroker, queues: Queues, inbox: Inbox
) -> None:
    await queues.put(topology.OUTBOUND, message(headers={}))
    for _ in range(2):
        delivery = await inbox.next()
        await broker.park(delivery, 1, {})
        await delivery.ack()
    last = await inbox.next()
    deaths = last.headers["x-death"]
    assert isinstance(deaths, list)
    assert [death["count"] for death in deaths] == [1], "the broker's own history was copied along"
    await last.ack()


async def test_what_a_pass_before_has_noted_can_be_taken_off(
    broker: RabbitBroker, queues: Queues, inbox: Inbox
) -> None:
    await queues.put(topology.OUTBOUND, message(headers={"x-told": "ErrorServerBusy", "x-waits": 3, "x-tenant": "a"}))
    delivery = await inbox.next()
    await broker.park(delivery, 1, {"x-told": None, "x-waits": 4, "x-doubt": None})
    await delivery.ack()
    again = await inbox.next()
    assert {name: again.headers.get(name) for name in ("x-told", "x-waits", "x-doubt", "x-tenant")} == {
        "x-told": None,
        "x-waits": 4,
        "x-doubt": None,
        "x-tenant": "a",
    }
    assert not {"x-told", "x-doubt"} & again.headers.keys()
    await again.ack()


async def test_a_dead_letter_is_untouched_and_says_why(broker: RabbitBroker, queues: Queues, inbox: Inbox) -> None:
    await queues.put(topology.BULK, message(expiration=60, headers={"x-queue": "forged", "cloudEvents:id": "1"}))
    delivery = await inbox.next()
    await broker.bury(delivery, BURIAL)
    await delivery.ack()
    dead = await queues.get(topology.DEAD)
    assert dead.body == BODY
    assert (dead.message_id, dead.correlation_id, dead.app_id) == ("event-1", "c-1", "crm")
    assert (dead.content_type, dead.content_encoding) == ("application/cloudevents+json; charset=utf-8", "identity")
    assert dead.expiration is None
    assert {name: dead.headers[name] for name in dead.headers if not name.startswith("x-delivery")} == {
        "cloudEvents:id": "1",
        "x-reason": "invalid-event",
        "x-detail": "data.to: missing",
        "x-remedy": "correct the event",
        "x-attempts": 3,
        "x-first-seen-at": "2026-11-23",
        "x-queue": topology.BULK,
    }


async def test_what_the_broker_acts_on_is_not_carried_over(broker: RabbitBroker, queues: Queues, inbox: Inbox) -> None:
    await queues.put(topology.OUTBOUND, message(headers={"CC": [topology.INBOUND], "BCC": [topology.INBOUND]}))
    await queues.get(topology.INBOUND)  # that much the publisher has asked for
    delivery = await inbox.next()
    await broker.bury(delivery, BURIAL)
    await delivery.ack()
    dead = await queues.get(topology.DEAD)
    assert not {"CC", "BCC"} & dead.headers.keys()
    assert await queues.count(topology.INBOUND) == 0


async def test_headers_too_large_to_be_copied_are_left_out(broker: RabbitBroker, queues: Queues, inbox: Inbox) -> None:
    large = {"a": "kept", "large": "x" * 100_000}
    await queues.put(topology.OUTBOUND, message(headers=large))
    delivery = await inbox.next()
    await broker.bury(delivery, Burial("r", "d" * 50_000, "m" * 50_000, attempts=1, first_seen_at=""))
    await delivery.ack()
    dead = await queues.get(topology.DEAD)
    assert dead.headers["a"] == "kept"
    assert "large" not in dead.headers
    assert len(str(dead.headers["x-detail"])) == 1000


async def test_no_queue_is_unconfirmed_and_ends_the_session(
    broker: RabbitBroker, queues: Queues, lost: Callable[[], str]
) -> None:
    with pytest.raises(Unconfirmed, match="leads to no queue"):
        await broker.publish("email.nobody-wants-this", b"{}", "1")
    assert "leads to no queue" in lost()


async def test_a_full_queue_is_unconfirmed(broker: RabbitBroker, queues: Queues, lost: Callable[[], str]) -> None:
    await queues.channel.queue_delete(topology.STATUS)
    full = await queues.channel.declare_queue(
        topology.STATUS, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await full.bind(topology.MAIL, "email.accepted")
    await broker.publish("email.accepted", b"{}", "1")
    with pytest.raises(Unconfirmed, match="full"):
        await broker.publish("email.accepted", b"{}", "2")
    await queues.get(topology.STATUS)
    await broker.publish("email.accepted", b"{}", "3")
    assert not lost(), "a full queue is no reason to drop the work of the session"


async def test_what_was_refused_is_not_kept_in_memory(broker: RabbitBroker, queues: Queues) -> None:
    """A full queue refuses again and again: no copy of a large body may wait for the garbage collector."""
    await queues.channel.queue_delete(topology.STATUS)
    full = await queues.channel.declare_queue(
        topology.STATUS, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await full.bind(topology.MAIL, "email.accepted")
    await broker.publish("email.accepted", b"{}", "1")
    body = bytes(1000)
    gc.disable()
    try:
        known = sys.getrefcount(body)
        for number in range(10):
            with contextlib.suppress(Unconfirmed):
                await broker.publish("email.accepted", body, f"refused {number}")
        assert sys.getrefcount(body) - known <= 2, "the last one at most"
    finally:
        gc.enable()


async def test_equal_ids_at_once_each_get_their_own_answer(broker: RabbitBroker, queues: Queues, inbox: Inbox) -> None:
    await queues.put(topology.OUTBOUND, message())
    delivery = await inbox.next()
    await queues.channel.queue_delete(topology.DEAD)
    answers = await asyncio.gather(
        broker.publish("email.accepted", b"{}", "event-1"),
        broker.bury(delivery, BURIAL),
        broker.publish("email.accepted", b"{}", "event-1"),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [type(None), Unconfirmed, type(None)]


async def test_who_is_cancelled_takes_no_others_ack_along(queues: Queues, inbox: Inbox) -> None:
    """Both are written in one piece."""
    for _ in range(2):
        await queues.put(topology.OUTBOUND, message())
    first, second = [await inbox.next() for _ in range(2)]
    acks = [asyncio.create_task(each.ack()) for each in (first, second)]
    await asyncio.sleep(0)
    acks[0].cancel()
    cancelled, acked = await asyncio.gather(*acks, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert acked is None


async def test_given_back_it_comes_again(queues: Queues, inbox: Inbox) -> None:
    await queues.put(topology.OUTBOUND, message())
    first = await inbox.next()
    assert not first.redelivered
    await first.give_back()
    again = await inbox.next()
    assert again.redelivered
    await again.ack()
    await again.ack()
    await again.give_back()
    await queues.reach(topology.OUTBOUND, 0)
    assert inbox.empty
