"""The whole product as processes. A scenario breaks something while mail is under way and then counts."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio

from scripts.fleet import Fleet
from scripts.given_broker import remove_topology


class StartFleet(Protocol):
    async def __call__(self, **parts: Any) -> Fleet: ...


@pytest.fixture
async def start_fleet(tmp_path: Path, amqp_url: str) -> AsyncIterator[StartFleet]:
    """Start a fleet in a vhost of its own, its status events being read; all ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(**parts: Any) -> Fleet:
            fleet = await stack.enter_async_context(Fleet(tmp_path, **{"broker_url": amqp_url, **parts}))
            await stack.enter_async_context(fleet.listening())
            return fleet

        yield start


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_amqp_url(_amqp_urls: Iterator[str]) -> AsyncIterator[str]:
    """As `amqp_url`, for the tests of one file together."""
    url = next(_amqp_urls)
    await remove_topology(url)
    yield url
    await remove_topology(url)


async def assert_each_once(fleet: Fleet, count: int) -> None:
    """`count` requests: each one mail, each one accepted status, nothing left over."""
    stats = await fleet.arrived()
    assert stats["doubled"] == {}
    assert (stats["mails"], stats["stamps"]) == (count, count)
    accepted = [sum(state == "accepted" for state in states.values()) for states in fleet.states.values()]
    assert accepted == [1] * count
