"""The commands that speak to the broker, as processes."""

import asyncio
import json
import os
import pty
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from scripts.eventually import eventually
from tests.integration.rabbitmq.commands import Command
from tests.integration.rabbitmq.watching import SECONDS, Queues
from worker.clock import rfc3339
from worker.events.broker import Burial
from worker.inbound.ticket import PollTicket, write
from worker.rabbitmq import topology
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.broker import Publisher
from worker.rabbitmq.session import Session, connect
from worker.rabbitmq.tickets import RabbitFleet


@pytest.fixture
async def queues(amqp_url: str) -> AsyncIterator[Queues]:
    """With the topology declared, and no session left open."""
    async with connect(BrokerAddress.parse(amqp_url), name="test"):
        pass
    async with await aio_pika.connect(amqp_url) as connection, connection.channel(on_return_raises=True) as channel:
        yield Queues(channel)


async def bury(queues: Queues, count: int) -> None:
    headers = {"x-reason": "too-old", "x-detail": "a [b]old one", "x-remedy": "none", "x-queue": topology.OUTBOUND}
    for start in range(0, count, 200):
        await asyncio.gather(
            *(
                queues.put(
                    topology.DEAD,
                    aio_pika.Message(
                        json.dumps({"n": number}).encode(),
                        message_id=f"m-{number}",
                        headers=dict(headers),
                        delivery_mode=2,
                    ),
                )
                for number in range(start, min(start + 200, count))
            )
        )


def event(number: int, **data: object) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "/crm/test",
        "type": "crm.email.send.v1",
        "time": rfc3339(datetime.now(UTC)),
        "data": {
            "email_id": f"mail-{number}",
            "from": {"address": "anna@contoso.example"},
            "to": [{"address": "x@customer.example"}],
            "subject": "☃",
            "body": {"text": "hello"},
            **data,
        },
    }


async def test_topology_is_shown_and_declared(mailrouter: Command, amqp_url: str) -> None:
    shown = await mailrouter("topology")
    assert shown.status == 0
    assert "queue\tcrm.mail.outbound\tcrm.mail: email.send\tsend requests\n" in shown.out
    as_data = json.loads((await mailrouter("topology", "--json")).out)
    assert {each["name"] for each in as_data["queues"]} >= {topology.DEAD, "crm.mail.retry.5s"}
    for _ in range(2):
        declared = await mailrouter("topology", "declare")
        assert (declared.status, declared.err) == (0, "")
    async with await aio_pika.connect(amqp_url) as connection, connection.channel() as channel:
        for queue in as_data["queues"]:
            await channel.declare_queue(queue["name"], passive=True)


async def test_without_a_broker_one_line_tells_why() -> None:
    run = await Command("amqp://someone:s3cret@127.0.0.1:1/")("dead", "list")
    assert (run.status, run.out) == (2, "")
    assert run.err == (
        "mailrouter: amqp://127.0.0.1:1 cannot be reached: Connection refused ('127.0.0.1', 1). "
        "Remedy: check MAILROUTER_AMQP_URL and that RabbitMQ runs.\n"
    )


async def test_dead_letters_are_listed_shown_put_back_and_dropped(mailrouter: Command, queues: Queues) -> None:
    nothing = await mailrouter("dead", "list")
    assert (nothing.status, nothing.out) == (0, "")
    await bury(queues, 4)

    await queues.reach(topology.DEAD, 4)
    listed = await mailrouter("dead", "list")
    assert listed.status == 0
    assert listed.out.splitlines()[0] == "m-0\ttoo-old\ta [b]old one\tnone\t0\t"
    await queues.reach(topology.DEAD, 4)
    limited = await mailrouter("dead", "list", "--json", "--limit", "3")
    assert [each["id"] for each in json.loads(limited.out)] == ["m-0", "m-1", "m-2"]
    assert "1 more" in limited.err
    await queues.reach(topology.DEAD, 4)

    shown = await mailrouter("dead", "show", "m-1")
    assert '"n": 1' in shown.out
    assert "header x-queue: crm.mail.outbound" in shown.out
    await queues.reach(topology.DEAD, 4)
    assert json.loads((await mailrouter("dead", "show", "m-1", "--json")).out)["body"] == '{"n": 1}'
    missing = await mailrouter("dead", "show", "nobody")
    assert (missing.status, missing.out) == (1, "")
    assert "no dead letter has the id nobody" in missing.err

    await queues.reach(topology.DEAD, 4)
    some = await mailrouter("dead", "replay", "m-0", "nobody")
    assert (some.status, some.out) == (1, "1 put back\n")
    await queues.reach(topology.DEAD, 3)
    dropped = await mailrouter("dead", "drop", "m-1")
    assert (dropped.status, dropped.out) == (0, "1 dropped\n")
    assert (await mailrouter("dead", "drop")).status == 2
    await queues.reach(topology.DEAD, 2)
    rest = await mailrouter("dead", "replay")
    assert (rest.status, rest.out) == (0, "2 put back\n")
    await queues.reach(topology.DEAD, 0)
    assert {(await queues.get(topology.OUTBOUND)).message_id for _ in range(3)} == {"m-0", "m-2", "m-3"}


async def test_a_mail_that_could_not_be_read_is_named_and_read_again(
    mailrouter: Command, session: Session, queues: Queues
) -> None:
    ticket = write(PollTicket(0, "Incoming", "anna@contoso.example", item="AAMk="))
    fleet = await RabbitFleet.open(session, await Publisher.open(session))
    await fleet.quarantine(ticket, "item:AAMk=", Burial("unreadable", "ErrorItemCorrupt", "none", 1, "2026-11-23"))
    await queues.reach(topology.DEAD, 1)
    listed = await mailrouter("dead", "list")
    assert listed.out == "item:AAMk=\tunreadable\tanna@contoso.example: ErrorItemCorrupt\tnone\t1\t2026-11-23\n"
    await queues.reach(topology.DEAD, 1)
    (told,) = json.loads((await mailrouter("dead", "list", "--json")).out)
    assert (told["mailbox"], told["item"]) == ("anna@contoso.example", "AAMk=")
    await queues.reach(topology.DEAD, 1)
    assert (await mailrouter("dead", "replay")).out == "1 put back\n"
    assert (await queues.get(topology.ITEMS)).body == ticket


async def test_a_replay_that_is_killed_loses_nothing(mailrouter: Command, queues: Queues) -> None:
    count = 2000
    await bury(queues, count)
    await queues.reach(topology.DEAD, count)
    process = await mailrouter.start("dead", "replay")

    async def begun() -> bool:
        return await queues.count(topology.OUTBOUND) >= 100

    await eventually(begun, SECONDS)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    came = await queues.collect({f"m-{number}" for number in range(count)}, topology.OUTBOUND, topology.DEAD)
    assert came[topology.DEAD], "it was killed too late to tell anything"
    assert len(came[topology.OUTBOUND]) >= 100


async def test_progress_is_shown_on_a_terminal(mailrouter: Command, queues: Queues) -> None:
    await bury(queues, 3)
    await queues.reach(topology.DEAD, 3)
    terminal, other_end = pty.openpty()
    try:
        process = await mailrouter.start("dead", "replay", stderr=other_end)
        out, _ = await process.communicate()
        assert out == b"3 put back\n"
        assert b"replaying" in os.read(terminal, 65536)
    finally:
        os.close(terminal)
        os.close(other_end)


async def test_files_of_every_kind_are_published(mailrouter: Command, queues: Queues, tmp_path: Path) -> None:
    one, several, lines, mail = (tmp_path / name for name in ("one.json", "several.json", "lines.jsonl", "a.eml"))
    one.write_text(json.dumps(event(1), indent=2))
    several.write_text(json.dumps([event(2), event(3)]))
    lines.write_text(f"{json.dumps(event(4))}\n\n{json.dumps(event(5))}\n")
    mail.write_text("From: anna@contoso.example\nTo: x@customer.example\nSubject: by file\n\nhello\n")
    run = await mailrouter("send", *(str(file) for file in (one, several, lines, mail)))
    assert (run.status, run.out, run.err) == (0, "6 published with the key email.send\n", "")
    messages = {message.message_id: message for message in [await queues.get(topology.OUTBOUND) for _ in range(6)]}
    assert messages.keys() >= {"e-1", "e-2", "e-3", "e-4", "e-5"}
    assert json.loads(messages["e-1"].body)["data"]["subject"] == "☃"
    assert messages["e-1"].content_type == "application/cloudevents+json"
    (from_mail,) = (message for id_, message in messages.items() if not str(id_).startswith("e-"))
    assert json.loads(from_mail.body)["data"]["subject"] == "by file"

    run = await mailrouter("send", "--bulk", "--json", "-", given=json.dumps(event(7)).encode())
    assert json.loads(run.out) == {"published": 1, "key": "email.send.bulk", "ids": ["e-7"]}
    assert (await queues.get(topology.BULK)).message_id == "e-7"


async def test_a_list_does_not_hold_what_it_lists(mailrouter: Command, queues: Queues) -> None:
    nothing = await mailrouter.most_memory("dead", "list")
    body, count = os.urandom(2 * 2**20), 60
    for number in range(count):
        await queues.put(topology.DEAD, aio_pika.Message(body, message_id=f"m-{number}"))
    assert await mailrouter.most_memory("dead", "list") - nothing < count * len(body) / 2


async def test_invalid_events_can_be_sent_on_purpose(mailrouter: Command, queues: Queues, tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(event(1, to=[])))
    assert (await mailrouter("send", str(tmp_path / "nowhere.json"))).status == 2
    assert (await mailrouter("send", "--unchecked", str(file))).status == 0
    assert (await queues.get(topology.OUTBOUND)).message_id == "e-1"
