"""The broker of the tests: one private node for each process that runs them, a vhost of its own for each test.

With MAILROUTER_AMQP_URL set, that broker's vhost is used instead, and emptied of our queues before each test: so it
must be one that nobody uses.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest

from scripts.given_broker import queue_in_use, remove_topology
from scripts.private_broker import PrivateBroker
from tests.node import GIVEN_URL, started

# A busy machine is no reason to fail; pytest-timeout bounds every test.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

VHOSTS = tuple(f"test-{number}" for number in range(12))


def pytest_configure(config: pytest.Config) -> None:
    if GIVEN_URL and config.getoption("numprocesses", None):
        raise pytest.UsageError("MAILROUTER_AMQP_URL: each test empties that broker, so run them in one process: no -n")


@pytest.fixture(scope="session")
def broker_node() -> Iterator[PrivateBroker]:
    """The node of all tests, for what a test has to ask of it besides. One that is to be killed is `started` anew."""
    # A retry that its queue did not take is tried again after this time; three minutes by default.
    with started(vhosts=VHOSTS, parameters={"dead_letter_worker_publisher_confirm_timeout": "1000"}) as broker:
        yield broker


@pytest.fixture(scope="session")
def _amqp_urls(request: pytest.FixtureRequest) -> Iterator[str]:
    if GIVEN_URL:
        if used := asyncio.run(queue_in_use(GIVEN_URL)):
            pytest.exit(f"MAILROUTER_AMQP_URL: {used} is in use; the tests delete it. Give another vhost.", 2)
        return itertools.repeat(GIVEN_URL)
    broker: PrivateBroker = request.getfixturevalue("broker_node")
    return itertools.cycle([broker.url_of(vhost) for vhost in VHOSTS])


@pytest.fixture
async def amqp_url(_amqp_urls: Iterator[str]) -> AsyncIterator[str]:
    """URL of a vhost without any queue of ours; nothing is declared in it yet."""
    url = next(_amqp_urls)
    await remove_topology(url)
    yield url
    if GIVEN_URL:
        await remove_topology(url)


@pytest.fixture
def exchangelib_closed() -> Iterator[None]:
    """Ends what exchangelib would keep open for the life of the process."""
    yield
    from exchangelib import close_connections  # noqa: PLC0415 - a second to import, which few tests need

    close_connections()
