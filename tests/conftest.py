"""The broker of the tests: one private node for the run, a vhost of its own for each test.

With MAILROUTER_AMQP_URL set, that broker's vhost is used instead, and emptied of our queues before each test.
"""

import itertools
import os
from collections.abc import AsyncIterator, Iterator

import aio_pika
import pytest

from scripts.private_broker import PrivateBroker
from worker.rabbitmq.topology import EXCHANGES, QUEUES

GIVEN_URL = os.environ.get("MAILROUTER_AMQP_URL")
VHOSTS = tuple(f"test-{number}" for number in range(60))


@pytest.fixture(scope="session")
def _amqp_urls() -> Iterator[Iterator[str]]:
    if GIVEN_URL:
        yield itertools.repeat(GIVEN_URL)
        return
    broker = PrivateBroker(vhosts=VHOSTS, parameters={"dead_letter_worker_publisher_confirm_timeout": "1000"})
    broker.start()
    try:
        yield itertools.cycle([broker.url_of(vhost) for vhost in VHOSTS])
    finally:
        broker.stop()


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
    broker = PrivateBroker()
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


async def _remove_topology(url: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        for queue in QUEUES:
            await channel.queue_delete(queue.name)
        for exchange in EXCHANGES:
            await channel.exchange_delete(exchange.name)
