"""The example CRM with a real broker, a real worker and the sandbox Exchange: what it stores, it stores once."""

import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from examples.crm.store import Store
from scripts.eventually import eventually
from scripts.fleet import Fleet
from scripts.fleet_profiles import reading
from scripts.queues import INBOUND_QUEUE, STATUS_QUEUE
from tests.examples.crm import SECONDS, Crm, kill
from tests.integration.rabbitmq.wire import wired

DESK = "desk@contoso.example"
STATES = "SELECT state, answers, bounces FROM email ORDER BY id"


@pytest.fixture
def profiles() -> str:
    return reading([DESK], poll_seconds=1, start="all")


async def test_mails_go_out_and_answers_come_in(tmp_path: Path, amqp_url: str, profiles: str) -> None:
    async with Fleet(tmp_path, workers=1, broker_url=amqp_url, profiles=profiles) as fleet:
        crm = Crm(tmp_path / "crm.sqlite", amqp_url)
        for to in ("x+reply", "x", "x+bounce", "x+ooo"):
            await crm.send(DESK, f"{to}@customer.example")
        await crm.send("anna+badrecipients@contoso.example", "x@customer.example")
        async with crm.running():
            accepted = "accepted"
            await crm.until(
                STATES, [(accepted, 1, 0), (accepted, 0, 0), (accepted, 0, 1), (accepted, 0, 0), ("failed", 0, 0)]
            )
            await crm.until(
                "SELECT email_id FROM received ORDER BY email_id", [("letter-1",), ("letter-3",), ("letter-4",)]
            )
        assert (await fleet.stats())["mails"] == 4
        assert crm.rows("SELECT * FROM outbox") == []


async def test_killed_between_storing_and_acking(tmp_path: Path, amqp_url: str, profiles: str) -> None:
    """The database is held until the events are in the CRM's hands, then its line to the broker: no ack arrives."""
    async with Fleet(tmp_path, workers=1, broker_url=amqp_url, profiles=profiles) as fleet:
        async with wired(amqp_url) as (wire, through_wire):
            crm = Crm(tmp_path / "crm.sqlite", through_wire)
            await crm.send(DESK, "x+reply@customer.example")
            async with crm.running() as process:
                await crm.until("SELECT * FROM outbox", [])
                with closing(sqlite3.connect(crm.database)) as holding:
                    holding.execute("BEGIN IMMEDIATE")
                    await _in_hand(fleet)
                    wire.freeze()
                    holding.rollback()
                await crm.until(STATES, [("accepted", 1, 0)])
                await kill(process)
                wire.cut()
        crm = Crm(crm.database, amqp_url)
        async with crm.running():
            await crm.send(DESK, "x+reply@customer.example")  # what was given back comes before its events
            await crm.until("SELECT state, answers FROM email WHERE id = 2", [("accepted", 1)])
        assert crm.rows(STATES) == [("accepted", 1, 0)] * 2
        assert crm.rows("SELECT email_id FROM received") == [("letter-1",), ("letter-2",)]


async def test_killed_between_publishing_and_noting_it(tmp_path: Path, amqp_url: str, profiles: str) -> None:
    """What was confirmed lies in the outbox again, as if its end had not been noted: one mail all the same."""
    async with Fleet(tmp_path, workers=1, broker_url=amqp_url, profiles=profiles) as fleet:
        crm = Crm(tmp_path / "crm.sqlite", amqp_url)
        await crm.send(DESK, "x@customer.example")
        outbox = crm.rows("SELECT * FROM outbox")
        for _ in range(2):
            async with crm.running():
                await crm.until(STATES, [("accepted", 0, 0)])
                await crm.until("SELECT * FROM outbox", [])
            with closing(sqlite3.connect(crm.database)) as database, database:
                database.executemany("INSERT INTO outbox VALUES (?, ?)", outbox)
        async with crm.running():
            await crm.until("SELECT * FROM outbox", [])
            await crm.send(DESK, "x@customer.example")
            await crm.until(STATES, [("accepted", 0, 0)] * 2)
        assert (await fleet.arrived())["mails"] == 2


async def test_a_lost_broker(tmp_path: Path, amqp_url: str, profiles: str) -> None:
    async with Fleet(tmp_path, workers=1, broker_url=amqp_url, profiles=profiles), wired(amqp_url) as (wire, url):
        crm = Crm(tmp_path / "crm.sqlite", url)
        async with crm.running() as process:
            await crm.send(DESK, "x@customer.example")
            await crm.until(STATES, [("accepted", 0, 0)])
            wire.cut()
            await crm.send(DESK, "x@customer.example")
            await crm.until(STATES, [("accepted", 0, 0)] * 2)
            assert process.returncode is None


def test_states_in_any_order(tmp_path: Path) -> None:
    store = Store(tmp_path / "crm.sqlite")
    store.write(DESK, "x@customer.example", "Good morning", "How are you?")

    def told(state: str, second: int) -> str:
        data = {"email_id": "letter-1", "occurred_at": f"2026-11-23T08:00:{second:02d}.000Z"}
        store.take({"id": f"{state}-{second}", "type": f"crm.email.{state}.v1", "data": data})
        found: str = store.emails()[0]["state"]
        return found

    assert told("deferred", 2) == "deferred"
    assert told("deferred", 1) == "deferred"
    assert told("failed", 4) == "failed"
    assert told("deferred", 3) == "failed", "late news"
    assert told("unresolved", 5) == "unresolved"
    assert told("bounced", 6) == "unresolved", "a bounce is of one recipient"
    assert told("accepted", 0) == "accepted", "overrides what was said later"
    assert told("failed", 9) == "accepted", "for good"
    assert store.emails()[0]["bounces"] == 1


async def _in_hand(fleet: Fleet) -> None:
    """Until status event and answer were published and are in the hands of the CRM."""

    async def both() -> bool:
        waiting = [await fleet.queue_length(name) for name in (STATUS_QUEUE, INBOUND_QUEUE)]
        counted = (await fleet.metrics(0)).splitlines()
        accepted = 'mailrouter_outbound_total{outcome="accepted",profile="Sandbox"} 1.0' in counted
        inbound = any(line.startswith("mailrouter_inbound_total") and line.endswith(" 1.0") for line in counted)
        return waiting == [0, 0] and accepted and inbound

    await eventually(both, SECONDS)


def test_several_begin_at_once(tmp_path: Path) -> None:
    """On a database that is not there yet: the CRM that runs, and whoever writes the first e-mail."""
    together = Barrier(4, timeout=20)

    def begin(number: int) -> str:
        together.wait()
        return Store(tmp_path / f"{number // 4}.sqlite").write(DESK, "x@customer.example", "Good morning", "")

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(begin, range(400)))
    assert Counter(made) == {f"letter-{number}": 100 for number in range(1, 5)}
