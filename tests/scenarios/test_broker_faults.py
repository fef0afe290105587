"""The broker dies, cuts the line, is full: every request still ends as one mail and one accepted status."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from scripts.eventually import eventually
from scripts.fleet import Fleet
from scripts.private_broker import PrivateBroker
from scripts.queues import STATUS_QUEUE
from scripts.samples import event
from worker.outbound.settle import GIVE_BACK_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT: Final = 80
FULL: Final = 5
"""Messages the status queue takes while it is full."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """With a broker of its own, to be ill-treated, and an Exchange that takes its time: 50 ms between two folders."""
    async with Fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        await fleet.order("options", find_pause_seconds=0.05)
        yield fleet


async def test_connections_cut(fleet: Fleet) -> None:
    async with fleet.listening():
        events = _events("cut")
        await fleet.publish(events)
        for share in (8, 2):
            await fleet.until(lambda share=share: _accepted(fleet, events) >= COUNT // share, 30)  # type: ignore[misc]
            await asyncio.to_thread(_broker(fleet).control, "close_all_connections", "--global", "cut by a test")
        await _assert_each_once(fleet, events)


async def test_a_full_status_queue(fleet: Fleet) -> None:
    """Nothing is told, so nothing is settled; the mails have left all the same, and none leaves again."""
    before = await fleet.stats()
    log_before = _unsettled(fleet)
    policy = f'{{"max-length": {FULL}, "overflow": "reject-publish"}}'
    await asyncio.to_thread(
        _broker(fleet).control, "set_policy", "full", f"^{STATUS_QUEUE}$", policy, "--apply-to", "queues"
    )
    events, began = _events("full"), time.monotonic()
    await fleet.publish(events)

    async def all_left() -> bool:
        return bool((await fleet.stats())["mails"] == before["mails"] + COUNT)

    async def refused_again() -> bool:
        return _unsettled(fleet) >= log_before + COUNT + FULL

    await eventually(all_left, 30)
    left = (await fleet.stats())["requests"]
    log_left = _unsettled(fleet)
    await eventually(refused_again, 30)
    assert time.monotonic() - began >= 0.5 * GIVE_BACK_SECONDS, "a message was tried again at once"
    requests = (await fleet.stats())["requests"]
    assert (requests["CreateItem"], requests["SendItem"]) == (left["CreateItem"], left["SendItem"])
    assert requests["FindItem"] - left["FindItem"] <= _unsettled(fleet) - log_left + COUNT

    async def full() -> bool:
        """A quorum queue takes what was under way when it became full, too: how many is RabbitMQ's affair."""
        return FULL <= await fleet.queue_length(STATUS_QUEUE) < COUNT

    await eventually(full, 20)
    async with fleet.listening():
        await _assert_each_once(fleet, events)


async def test_broker_killed_and_restarted_with_its_data(fleet: Fleet) -> None:
    async with fleet.listening():
        events = _events("killed")
        await fleet.publish(events)
        await fleet.until(lambda: _accepted(fleet, events) >= COUNT // 4, 30)
        await asyncio.to_thread(_broker(fleet).kill)
        await asyncio.to_thread(_broker(fleet).restart)
        await _assert_each_once(fleet, events)


def _broker(fleet: Fleet) -> PrivateBroker:
    assert fleet.broker is not None
    return fleet.broker


def _events(prefix: str) -> list[dict[str, Any]]:
    events = [event(number, senders=8) for number in range(COUNT)]
    for number, each in enumerate(events):
        each["data"]["email_id"] = f"{prefix}-{number}"
    return events


def _accepted(fleet: Fleet, events: list[dict[str, Any]]) -> int:
    return sum("accepted" in fleet.states.get(each["data"]["email_id"], {}).values() for each in events)


def _unsettled(fleet: Fleet) -> int:
    """How often a worker could not settle a request."""
    return sum(worker.log.read_text().count("not settled") for worker in fleet.running.values())


async def _assert_each_once(fleet: Fleet, events: list[dict[str, Any]]) -> None:
    """Each accepted, once, at its first attempt; one mail each; the workers are the ones that were started."""
    await fleet.until(lambda: _accepted(fleet, events) == COUNT, 60)
    assert (await fleet.arrived())["doubled"] == {}
    stamps = [mail["stamp"] for mail in await fleet.mails()]
    assert [stamps.count(f"{each['source']} {each['id']}") for each in events] == [1] * COUNT
    told = [status for each in events for status in fleet.about(each["data"]["email_id"])]
    assert [(each["type"], each["data"]["attempt"]) for each in told] == [("crm.email.accepted.v1", 1)] * COUNT
    assert all(worker.process.returncode is None for worker in fleet.running.values())
