"""RabbitMQ nodes of the tests' own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from scripts.private_broker import SERVER, PrivateBroker

GIVEN_URL = os.environ.get("MAILROUTER_AMQP_URL")


@contextmanager
def started(**options: Any) -> Iterator[PrivateBroker]:
    """A node for as long as the block lasts. Where a broker is given, RabbitMQ need not be installed: skips then."""
    if GIVEN_URL and not SERVER.exists():
        pytest.skip("needs a RabbitMQ node of its own, and RabbitMQ is not installed")
    broker = PrivateBroker(**options)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
