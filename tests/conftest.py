"""The broker of the tests: one private node for the run, a vhost of its own for each test.

With MAILROUTER_AMQP_URL set, that broker's vhost is used instead, and emptied of our queues before each test: so it
must be one that nobody uses.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import aio_pika
import pytest

from scripts.private_broker import PrivateBroker
from tests.node import GIVEN_URL, started
from worker.rabbitmq.topology import EXCHANGES, QUEUES

VHOSTS = tuple(f"test-{number}" for number in range(60))


@pytest.fixture(scope="session")
def _amqp_urls() -> Iterator[Iterator[str]]:
    if GIVEN_URL:
        asyncio.run(_refuse_if_used(GIVEN_URL))
        yield itertools.repeat(GIVEN_URL)
        return
    # A retry that its queue did not take is tried again after this time; three minutes by default.
    with started(vhosts=VHOSTS, parameters={"dead_letter_worker_publisher_confirm_timeout": "1000"}) as broker:
        yield itertools.cycle([broker.url_of(vhost) for vhost in VHOSTS])


@pytest.fixture
async def amqp_url(_amqp_urls: Iterator[str]) -> AsyncIterator[str]:
    """URL of a vhost without any queue of ours; nothing is declared in it yet."""
    url = next(_amqp_urls)
    await _remove_topology(url)
    yield url
    if GIVEN_URL:
        await _remove_topology(url)


@pytest.fixture
def broker_node() -> Iterator[PrivateBroker]:
    """A started node for this test alone, to be killed and restarted. Takes some seconds: share it where you can."""
    with started() as broker:
        yield broker


async def _remove_topology(url: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        for queue in QUEUES:
            await channel.queue_delete(queue.name)
        for exchange in EXCHANGES:
            await channel.exchange_delete(exchange.name)


async def _refuse_if_used(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        for queue in QUEUES:
            try:
                async with connection.channel() as channel:
                    found = (await channel.declare_queue(queue.name, passive=True)).declaration_result
            except aio_pika.exceptions.ChannelClosed:
                continue  # not there
            if found.message_count or found.consumer_count:
                pytest.exit(f"MAILROUTER_AMQP_URL: {queue.name} is in use; the tests delete it. Give another vhost.", 2)
