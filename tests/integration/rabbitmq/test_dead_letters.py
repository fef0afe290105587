"""Dead letters over a real broker: looking changes nothing, replay and drop do what they say and nothing else."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import aio_pika
import pytest

from tests.integration.rabbitmq.watching import Queues
from worker.events.broker import Unconfirmed
from worker.outbound.history import History
from worker.rabbitmq import topology
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.dead_letters import HISTORY_HEADERS, WINDOW, DeadLetters
from worker.rabbitmq.session import Session, connect

HISTORY = {
    **History(attempts=3, doubt=True, told="ErrorServerBusy", first_seen_at="2026-11-23").headers(),
    "x-reason": "ErrorServerBusy",
    "x-detail": "too busy",
    "x-remedy": "wait",
    "x-queue": topology.OUTBOUND,
}

NewSession = Callable[[], AbstractAsyncContextManager[Session]]


@pytest.fixture
def new_session(amqp_url: str) -> NewSession:
    return lambda: connect(BrokerAddress.parse(amqp_url), name="test")


def nothing() -> None:
    """No progress bar."""


async def bury(queues: Queues, count: int, **headers: object) -> None:
    await asyncio.gather(
        *(
            queues.put(
                topology.DEAD,
                aio_pika.Message(
                    str(number).encode(),
                    message_id=f"m-{number}",
                    headers={**HISTORY, **headers},  # type: ignore[dict-item]
                    delivery_mode=2,
                ),
            )
            for number in range(count)
        )
    )


async def test_looking_finds_each_once_and_leaves_all(queues: Queues, new_session: NewSession) -> None:
    count = 2 * WINDOW + 50
    await bury(queues, count)
    for _ in range(2):
        async with new_session() as session:
            ids = [letter.id async for letter in DeadLetters(session).letters()]
        assert sorted(ids) == sorted(f"m-{number}" for number in range(count))
        await queues.reach(topology.DEAD, count)


async def test_a_letter_tells_why_it_is_there(queues: Queues, new_session: NewSession) -> None:
    await bury(queues, 1)
    await queues.put(topology.DEAD, aio_pika.Message(b"by hand"))
    async with new_session() as session:
        letters = {letter.body: letter async for letter in DeadLetters(session).letters()}
    ours = letters[b"0"]
    assert (ours.id, ours.reason, ours.detail, ours.remedy) == ("m-0", "ErrorServerBusy", "too busy", "wait")
    assert (ours.attempts, ours.first_seen_at, ours.queue) == (3, "2026-11-23", topology.OUTBOUND)
    assert (letters[b"by hand"].reason, letters[b"by hand"].queue) == ("", "")


async def test_the_id_of_a_message_without_one_is_the_same_each_time(queues: Queues, new_session: NewSession) -> None:
    await queues.put_raw(topology.DEAD, b"x", {"headers": HISTORY})
    for _ in range(2):
        async with new_session() as session:
            (letter,) = [letter async for letter in DeadLetters(session).letters()]
        assert letter.id == "sha256:2d711642b726b044"
        await queues.reach(topology.DEAD, 1)


async def test_all_are_put_back_without_a_past(queues: Queues, new_session: NewSession) -> None:
    count = 2 * WINDOW + 50
    await bury(queues, count, **{"x-tenant": "a", "x-queue": topology.BULK})
    async with new_session() as session:
        steps: list[None] = []
        tally = await DeadLetters(session).replay(None, lambda: steps.append(None))
    assert (tally.done, tally.unreplayable, tally.missing, len(steps)) == (count, 0, set(), count)
    await queues.reach(topology.DEAD, 0)
    await queues.reach(topology.BULK, count)
    message = await queues.get(topology.BULK)
    assert (message.message_id or "").startswith("m-")
    assert message.headers.pop("x-delivery-count", 0) == 0
    assert message.headers == {"x-tenant": "a"}


async def test_some_are_put_back_and_the_others_stay(queues: Queues, new_session: NewSession) -> None:
    await bury(queues, 2 * WINDOW + 10)
    chosen = {"m-1", f"m-{2 * WINDOW + 9}"}
    async with new_session() as session:
        tally = await DeadLetters(session).replay({*chosen, "nobody"}, nothing)
    assert (tally.done, tally.missing) == (2, {"nobody"})
    await queues.reach(topology.OUTBOUND, 2)
    await queues.reach(topology.DEAD, 2 * WINDOW + 8)


async def test_what_the_broker_does_not_take_back_stays(queues: Queues, new_session: NewSession) -> None:
    await bury(queues, 5)
    async with new_session() as session:
        await queues.channel.queue_delete(topology.OUTBOUND)
        with pytest.raises(Unconfirmed, match="leads to no queue"):
            await DeadLetters(session).replay(None, nothing)
    await queues.reach(topology.DEAD, 5)


async def test_what_came_from_nowhere_stays(queues: Queues, new_session: NewSession) -> None:
    await bury(queues, 1, **{"x-queue": "amq.somebody-else's"})
    async with new_session() as session:
        tally = await DeadLetters(session).replay(None, nothing)
    assert (tally.done, tally.unreplayable) == (0, 1)
    await queues.reach(topology.DEAD, 1)


async def test_dropped_ones_are_gone(queues: Queues, new_session: NewSession) -> None:
    await bury(queues, 5)
    async with new_session() as session:
        tally = await DeadLetters(session).drop({"m-0", "m-3", "nobody"}, nothing)
    assert (tally.done, tally.missing) == (2, {"nobody"})
    await queues.reach(topology.DEAD, 3)


async def test_a_second_reader_does_not_make_the_first_one_wait_for_ever(
    queues: Queues, new_session: NewSession
) -> None:
    await bury(queues, 3)
    async with new_session() as first, new_session() as second:
        letters = DeadLetters(first).letters()
        await anext(letters)
        others = [letter async for letter in DeadLetters(second).letters()]
        rest = [letter async for letter in letters]
    assert len(others) + len(rest) <= 2
    await queues.reach(topology.DEAD, 3)


def test_every_header_of_ours_is_history() -> None:
    assert History().headers().keys() <= HISTORY_HEADERS
