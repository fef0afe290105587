"""Where a worker serves its metrics."""

import socket
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from worker.monitoring.http import serve_http
from worker.settings import ConfigurationError


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_another_worker_may_have_the_address_that_nobody_chose(taken: str) -> None:
    async with serve_http(taken, CollectorRegistry(), dict, chosen=False) as url:
        assert url.startswith("http://127.0.0.1:")
        assert not url.endswith(taken)


async def test_an_address_that_was_chosen_must_be_free(taken: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be listened on: Address already in use"):
        async with serve_http(taken, CollectorRegistry(), dict):
            pass
