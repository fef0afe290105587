"""One session with a real broker, and what a test needs to watch the queues."""

import asyncio
from collections.abc import AsyncIterator, Callable

import aio_pika
import pytest

from tests.integration.rabbitmq.commands import Command
from tests.integration.rabbitmq.watching import Inbox, Queues, outbound
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.broker import Publisher, RabbitBroker
from worker.rabbitmq.consumer import consume
from worker.rabbitmq.session import Session, connect


@pytest.fixture
async def session(amqp_url: str) -> AsyncIterator[Session]:
    async with connect(BrokerAddress.parse(amqp_url), name="test") as session:
        yield session


@pytest.fixture
async def queues(session: Session, amqp_url: str) -> AsyncIterator[Queues]:
    async with await aio_pika.connect(amqp_url) as connection, connection.channel(on_return_raises=True) as channel:
        yield Queues(channel)


@pytest.fixture
async def broker(session: Session) -> RabbitBroker:
    return RabbitBroker(await Publisher.open(session))


@pytest.fixture
async def inbox(session: Session) -> AsyncIterator[Inbox]:
    """The test consumes, as a worker does."""
    inbox = Inbox()
    consuming = asyncio.create_task(consume(session, outbound(inbox.take)))
    yield inbox
    session.stopping.set()
    await consuming


@pytest.fixture
def lost(session: Session) -> Callable[[], str]:
    """Why the session is over, "" while it is not."""
    return lambda: session.lost.result() if session.lost.done() else ""


@pytest.fixture
def mailrouter(amqp_url: str) -> Command:
    return Command(amqp_url)
