"""The definitions that docker-compose.yml gives RabbitMQ, imported by a real node: what they allow, and what not."""

import json
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aio_pika
import aiormq
import pytest
from aio_pika.abc import AbstractChannel

from scripts.fleet import Fleet
from scripts.private_broker import PrivateBroker
from scripts.samples import event
from tests.deploy.compose import ROOT, compose, defaults
from tests.node import started
from tests.unit.docs import example
from worker.rabbitmq import topology
from worker.rabbitmq.topology import BULK, DEAD, INBOUND, MAIL, OUTBOUND, PROFILES, SCHEDULER, STATUS

DEFINITIONS: Final[dict[str, Any]] = json.loads((ROOT / "deploy/rabbitmq/definitions.json").read_bytes())
Act = Callable[[AbstractChannel, str], Awaitable[None]]
ACCOUNTS: Final = compose()["configs"]["accounts"]["content"]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    directory = tmp_path_factory.mktemp("definitions")
    (directory / "accounts.json").write_text(ACCOUNTS)
    (directory / "crm.json").write_text(json.dumps(DEFINITIONS))
    with started(config=f"load_definitions = {directory}") as broker:
        yield broker


def url(node: PrivateBroker, user: str) -> str:
    return f"amqp://{user}:{defaults()['RABBITMQ_MAILROUTER_PASSWORD']}@127.0.0.1:{node.port}/crm"


@asynccontextmanager
async def channel(node: PrivateBroker, user: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(url(node, user)) as connection:
        yield await connection.channel(on_return_raises=True)


async def test_mail_flows_by_these_accounts(node: PrivateBroker, tmp_path: Path) -> None:
    async with Fleet(tmp_path, workers=1, broker_url=url(node, "mailrouter")) as fleet:
        fleet.broker_url = url(node, "crm")
        async with fleet.listening():
            await fleet.publish([event(1)])
            await fleet.until(lambda: fleet.reached["accepted"] == 1, 30)
    told = node.control("-q", "list_queues", "-p", "crm", "name", "policy")
    policies = dict(line.split("\t") for line in told.splitlines()[1:] if "\t" in line)
    bounded = {name for name, policy in policies.items() if policy == "bounded"}
    assert bounded == {OUTBOUND, BULK, INBOUND, STATUS, DEAD}


async def get(opened: AbstractChannel, queue: str) -> None:
    await (await opened.get_queue(queue)).get(fail=False)


async def write(opened: AbstractChannel, queue: str) -> None:
    await opened.default_exchange.publish(aio_pika.Message(b""), queue)


async def declare(opened: AbstractChannel, queue: str) -> None:
    await opened.declare_queue(f"{queue}.mine")


async def send(opened: AbstractChannel, _queue: str) -> None:
    await (await opened.get_exchange(MAIL)).publish(aio_pika.Message(b""), "email.send")


OTHERS: Final = (OUTBOUND, DEAD, SCHEDULER, PROFILES)


@pytest.mark.parametrize(
    ("user", "act", "queues"),
    [
        ("crm", get, OTHERS),
        ("crm", write, (*OTHERS, STATUS)),
        ("crm", declare, (STATUS,)),
        ("monitoring", get, (*OTHERS, STATUS)),
        ("monitoring", write, (*OTHERS, STATUS)),
        ("monitoring", declare, (STATUS,)),
        ("monitoring", send, (OUTBOUND,)),
    ],
)
async def test_what_is_refused(node: PrivateBroker, user: str, act: Act, queues: tuple[str, ...]) -> None:
    async with channel(node, "mailrouter") as of_worker:
        await topology.declare(of_worker)
    for queue in queues:
        async with channel(node, user) as opened:
            with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
                await act(opened, queue)


async def test_monitoring_sees_how_much_waits(node: PrivateBroker) -> None:
    async with channel(node, "mailrouter") as of_worker:
        await topology.declare(of_worker)
    async with channel(node, "monitoring") as opened:
        queue = await opened.declare_queue(STATUS, passive=True)
        assert queue.declaration_result.message_count is not None


def test_nobody_administers() -> None:
    tags = {each["name"]: each["tags"] for each in json.loads(ACCOUNTS)["users"]}
    assert tags == {"mailrouter": [], "crm": [], "monitoring": ["monitoring"]}


def test_the_rights_are_those_of_the_page() -> None:
    given = {each["user"]: [each["configure"], each["write"], each["read"]] for each in DEFINITIONS["permissions"]}
    lines = example("docs/operators.md", "permissions").splitlines()
    told = {words[4]: words[5:] for words in map(shlex.split, lines)}
    assert {user: given[user] for user in told} == told
