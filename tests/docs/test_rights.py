"""The rights on the broker that the pages give: all that is needed, and nothing more."""

import asyncio
import os
import shlex
import sys
from pathlib import Path

import aio_pika
import aiormq
import pytest
from aio_pika.abc import AbstractChannel

from scripts.fleet import Fleet
from scripts.fleet_profiles import reading
from scripts.private_broker import PrivateBroker
from scripts.queues import DEAD_QUEUE
from scripts.samples import request
from tests.examples.crm import Crm
from tests.unit.docs import example

DESK = "desk@contoso.example"
REFUSED = aiormq.exceptions.ChannelAccessRefused
SECONDS = 60


async def mailrouter(fleet: Fleet, *arguments: str) -> int:
    command = (sys.executable, "-m", "worker", *arguments)
    process = await asyncio.create_subprocess_exec(*command, env=fleet.settings(), stdout=asyncio.subprocess.DEVNULL)
    return await asyncio.wait_for(process.wait(), SECONDS)


async def test_least_rights(tmp_path: Path, broker_node: PrivateBroker) -> None:
    broker_node.control("add_vhost", "contoso")
    for line in example("docs/operators.md", "permissions").splitlines():
        _rabbitmqctl, *command = shlex.split(line)
        broker_node.control("add_user", command[3], "secret")
        broker_node.control(*command)
    of_worker, of_crm = (f"amqp://{user}:secret@127.0.0.1:{broker_node.port}/contoso" for user in ("mailrouter", "crm"))
    profiles = reading([DESK], poll_seconds=1, start="all")
    async with Fleet(tmp_path, workers=2, broker_url=of_worker, profiles=profiles) as fleet:
        crm = Crm(tmp_path / "crm.sqlite", of_crm)
        for sender, to in ((DESK, "x+reply"), ("bea+busy-once@contoso.example", "x")):
            await crm.send(sender, f"{to}@customer.example")
        async with crm.running():
            await crm.until("SELECT state, answers FROM email ORDER BY id", [("accepted", 1), ("accepted", 0)])
        invalid = request("invalid")
        del invalid["data"]["subject"]
        await fleet.publish([invalid])
        assert await mailrouter(fleet, "topology", "declare") == 0
        assert await mailrouter(fleet, "status") == 0
        assert await mailrouter(fleet, "profiles", "publish", os.fspath(tmp_path / "profiles.toml")) == 0
        await fleet.until_queued(DEAD_QUEUE, 1, SECONDS)
        assert await mailrouter(fleet, "dead", "list") == 0
        assert await mailrouter(fleet, "dead", "replay") == 0
    await refused(of_worker, of_crm)


async def refused(of_worker: str, of_crm: str) -> None:
    async def declare(channel: AbstractChannel) -> None:
        await channel.declare_queue(
            "crm.mail.status", passive=False, durable=True, arguments={"x-queue-type": "quorum"}
        )

    async def read(channel: AbstractChannel, queue: str) -> None:
        await (await channel.declare_queue(queue, passive=True)).get(fail=False)

    async def write(channel: AbstractChannel, exchange: str, key: str) -> None:
        place = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        await place.publish(aio_pika.Message(b""), key, timeout=10)

    async with await aio_pika.connect(of_crm) as connection:
        attempts = [declare(await connection.channel())]
        attempts += [read(await connection.channel(), f"crm.mail.{each}") for each in ("outbound", "dead", "profiles")]
        attempts += [write(await connection.channel(), each, "crm.mail.dead") for each in ("", "crm.mail.fleet")]
        for attempt in attempts:
            with pytest.raises(REFUSED):
                await attempt
    async with await aio_pika.connect(of_worker) as connection:
        channel = await connection.channel()
        with pytest.raises(REFUSED):
            await channel.declare_queue("other")
        with pytest.raises(REFUSED):
            await write(await connection.channel(), "amq.topic", "other")
