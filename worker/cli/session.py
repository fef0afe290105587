"""What the commands that speak to the broker have in common: one session, and failures in one readable line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from worker.events.broker import Unconfirmed
from worker.rabbitmq.address import BrokerAddress, Unavailable
from worker.rabbitmq.lost import LOST, told
from worker.rabbitmq.session import Session, connect
from worker.settings import ConfigurationError, Settings

Result = TypeVar("Result")


def over_broker(settings: Settings, work: Callable[[Session], Awaitable[Result]]) -> Result:
    """What `work` returns, done over one session with the topology declared.

    Raises ConfigurationError where the broker cannot be used. When it is lost or refuses a message in between, tells so
    and exits with 1.
    """
    address = BrokerAddress.parse(settings.amqp_url)

    async def run() -> Result:
        async with connect(address, name="mailrouter command") as session:
            return await work(session)

    try:
        return asyncio.run(run())
    except Unavailable as error:
        raise ConfigurationError(str(error)) from error
    except (Unconfirmed, *LOST) as error:
        click.echo(f"mailrouter: {address.server}: {told(error)}. Remedy: run the command again.", err=True)
        raise click.exceptions.Exit(1) from error
