"""The sandbox Exchange as most of these tests want it, and a client of one of its mailboxes that speaks EWS by hand."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.ews_by_hand import Client
from worker.sandbox import users
from worker.sandbox.exchange import Exchange
from worker.sandbox.server import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Exchange(users.invented("contoso.example", None))) as started:
        yield started


@pytest.fixture
async def anna(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with Client(sandbox.url, "anna@contoso.example") as client:
        yield client
