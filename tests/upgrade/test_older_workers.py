"""Old and new workers on one broker: what one of them wrote, the other reads."""

from datetime import UTC, datetime

import aio_pika
import orjson
import pytest

from scripts.crm_side import message
from scripts.fleet_profiles import reading
from scripts.samples import request
from tests.scenarios.conftest import StartFleet, assert_each_once
from tests.upgrade import older
from worker.events.fleet import WorkerState
from worker.inbound import cursor, ticket
from worker.inbound.ticket import Carried
from worker.outbound.history import History
from worker.rabbitmq.topology import FLEET, POLLS

NOW = datetime(2026, 11, 25, tzinfo=UTC)
DESK = "desk@contoso.example"


def test_headers() -> None:
    assert History.read(older.HEADERS, NOW) == older.HISTORY
    assert History.read({**older.HEADERS, "x-newer": "whatever"}, NOW) == older.HISTORY
    assert History.read({}, NOW) == History(first_seen_at="2026-11-25T00:00:00.000Z")


def test_headers_are_only_added_to() -> None:
    """An older worker finds each of its own, of the kind it knows."""
    written = older.HISTORY.headers()
    assert {name: type(value) for name, value in older.HEADERS.items()}.items() <= {
        name: type(value) for name, value in written.items()
    }.items()


@pytest.mark.parametrize(("body", "carried"), older.CARRIED.items())
def test_tickets_and_reports(body: bytes, carried: Carried) -> None:
    assert ticket.read(body, type(carried)) == carried
    told = orjson.loads(body)
    assert orjson.loads(ticket.write(carried)).items() >= told.items(), "an older worker finds what it knows"
    newer = {**told, "newer": ["whatever"]}
    if newer.get("reason"):
        newer["reason"] = {**newer["reason"], "newer": 1}
    assert ticket.read(orjson.dumps(newer), type(carried)) == carried


def test_cursors() -> None:
    read = cursor.read(older.CURSOR)
    assert read == cursor.Cursor("H4sIAAA=", datetime(2026, 11, 24, 2, tzinfo=UTC), ("AAMk=",), walking=True)
    assert read is not None
    assert orjson.loads(read.note()).items() >= orjson.loads(older.CURSOR).items()
    newer = {**orjson.loads(older.CURSOR), "newer": 1}
    assert cursor.read(orjson.dumps(newer).decode()) == read


def test_answers_to_status() -> None:
    state = WorkerState.model_validate_json(older.STATE)
    assert (state.worker, state.revision) == ("w", "")
    newer = orjson.dumps({**orjson.loads(older.STATE), "newer": 1})
    assert WorkerState.model_validate_json(newer) == state


async def test_requests_under_way(start_fleet: StartFleet) -> None:
    """With headers of older workers and of newer ones: each one mail; and none where the older one may have sent it."""
    fleet = await start_fleet(workers=1)
    certain = {**older.HEADERS, "x-waits": 0, "x-doubt": False, "x-empty-looks": 0}
    requests = []
    for number, headers in enumerate([{}, certain, {**certain, "x-newer": "whatever"}]):
        for sender in ("anna", "bea+busy-once"):
            requests.append(message(request(f"{number}-{sender}", f"{sender}@contoso.example")))
            requests[-1].headers = dict(headers)
    await fleet.publish(requests)
    await fleet.until(lambda: fleet.reached["accepted"] == len(requests), 60)
    await assert_each_once(fleet, len(requests))
    assert fleet.about("1-anna")[-1]["data"]["attempt"] == 4, "the attempts of the older worker count"
    doubtful = message(request("doubtful", "dora@contoso.example"))
    doubtful.headers = dict(older.HEADERS)
    await fleet.publish([doubtful])
    await fleet.until(lambda: fleet.reached["unresolved"] == 1, 60)
    assert (await fleet.arrived())["mails"] == len(requests)


async def test_announcements_and_tickets_of_another_version(start_fleet: StartFleet) -> None:
    """A worker that hears what it does not know goes on answering, sending and reading."""
    fleet = await start_fleet(workers=1, profiles=reading([DESK], poll_seconds=1, start="all"))
    async with await aio_pika.connect(fleet.broker_url) as connection, connection.channel() as channel:
        everyone = await channel.get_exchange(FLEET)
        for kind in ("newer", "", None):
            await everyone.publish(aio_pika.Message(b"\x00 whatever", type=kind, reply_to="crm.mail.status"), "")
        newer = {"kind": "poll", "number": 1, "profile": "Inbox", "mailbox": DESK, "newer": {"a": [1]}}
        for body in (orjson.dumps(newer), b'{"kind": "newer"}', b"\xff"):
            await channel.default_exchange.publish(aio_pika.Message(body, delivery_mode=2), POLLS)
    await fleet.publish([request("after", DESK, to=[{"address": "x+reply@customer.example"}])])
    await fleet.until(lambda: fleet.reached["accepted"] == 1 and len(fleet.inbound) == 1, 60)
    assert len(fleet.statuses) == 1, "nothing was answered into a queue of the CRM"
