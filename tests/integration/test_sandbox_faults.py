"""Each fault that can be ordered: what the client gets, and whether the work was done."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.integration.ews_by_hand import Client, message
from worker.sandbox import users
from worker.sandbox.exchange import Exchange
from worker.sandbox.faults import KINDS, Faults, Order
from worker.sandbox.server import Sandbox

ANNA = "anna@contoso.example"
CUT = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
LINE = {"cut": False, "lost": True}
"""Faults that cut the line, and whether the work is done before."""
STATUS = {
    "busy": 503,
    "busyfault": 500,
    "fault200": 200,
    "html200": 200,
    "html502": 502,
    "unauthorized": 401,
    "forbidden": 403,
}
REQUEST_FAULTS = [*LINE, *STATUS, "half", "nonsense", "slow"]
ITEM_FAULTS = {kind: each.code for kind, each in KINDS.items() if each.stage not in ("before", "after")}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Exchange(users.invented("contoso.example", None))) as started:
        started.exchange.options.slow_seconds = 0.0
        yield started


def test_every_kind_is_tested_here() -> None:
    assert {*REQUEST_FAULTS, *ITEM_FAULTS} == set(KINDS)


@pytest.mark.parametrize("kind", list(LINE))
async def test_line_cut(sandbox: Sandbox, anna: Client, kind: str) -> None:
    with pytest.raises(CUT):
        await anna.create(message(to=f"x+{kind}-create-once@customer.example"))
    assert await anna.counts("drafts") == [int(LINE[kind])]
    draft = await anna.draft(to=f"x+{kind}-send-once@customer.example")
    with pytest.raises(CUT):
        await anna.send(draft)
    assert len(sandbox.sent) == int(LINE[kind])


async def test_half_an_answer(sandbox: Sandbox, anna: Client) -> None:
    draft = await anna.draft(to="x+half-send@customer.example")
    with pytest.raises(aiohttp.ClientPayloadError):
        await anna.send(draft)
    assert len(sandbox.sent) == 1


async def test_nonsense_after_the_work(sandbox: Sandbox, anna: Client) -> None:
    answer = await anna.send(await anna.draft(to="x+nonsense-send@customer.example"))
    assert answer.status == 200
    assert not answer.body.startswith(b"<?xml")
    assert len(sandbox.sent) == 1


async def test_slow(sandbox: Sandbox, anna: Client) -> None:
    assert (await anna.send(await anna.draft(to="x+slow@customer.example"))).codes == ["NoError"]
    assert sandbox.exchange.faults.struck["slow"] == 2


@pytest.mark.parametrize("kind", list(STATUS))
async def test_instead_of_the_work(sandbox: Sandbox, anna: Client, kind: str) -> None:
    answer = await anna.create(message(to=f"x+{kind}@customer.example"))
    assert answer.status == STATUS[kind]
    assert await anna.counts("drafts") == [0]
    if kind == "busy":
        assert answer.headers["Retry-After"] == "1"
    elif kind == "busyfault":
        assert answer.codes == ["fault", "ErrorServerBusy"]
        assert answer.texts("//t:Value[@Name='BackOffMilliseconds']") == ["1000"]
    elif kind == "fault200":
        assert answer.codes == ["fault", "ErrorInternalServerTransientError"]


@pytest.mark.parametrize("kind", [each for each in ITEM_FAULTS if "SendItem" in KINDS[each].operations])
async def test_one_item_refused_on_sending(sandbox: Sandbox, anna: Client, kind: str) -> None:
    good = await anna.draft()
    bad = await anna.draft(to=f"x+{kind}-send-once@customer.example")
    answer = await anna.send(bad, good)
    done = KINDS[kind].stage == "done"
    stopped = kind == "batchstop"
    assert answer.codes == [ITEM_FAULTS[kind], "ErrorBatchProcessingStopped" if stopped else "NoError"]
    assert len(sandbox.sent) == int(not stopped) + int(done)
    if not done:
        left = [each for each in (await anna.find("drafts")).ids if each[0] == bad[0]]
        assert (await anna.send(*left)).codes == ["NoError"]  # once, and then all is well


@pytest.mark.parametrize("kind", [each for each in ITEM_FAULTS if "CreateItem" in KINDS[each].operations])
async def test_one_item_refused_on_creating(anna: Client, kind: str) -> None:
    answer = await anna.create(message(to=f"x+{kind}-2@customer.example"), message())
    assert answer.codes[0] == ITEM_FAULTS[kind]
    assert answer.codes[1] == ("ErrorBatchProcessingStopped" if kind == "batchstop" else "NoError")
    if ITEM_FAULTS[kind] == "ErrorServerBusy":
        assert answer.texts("//t:Value[@Name='BackOffMilliseconds']") == ["1000"]


async def test_so_many_times_for_each_mail(anna: Client) -> None:
    statuses = [
        (await anna.create(message(to="x+busy-2@customer.example", stamp=stamp))).status
        for stamp in ("/crm 1", "/crm 2", "/crm 1", "/crm 1", "/crm 2", "/crm 2")
    ]
    assert statuses == [503, 503, 503, 200, 503, 200]


async def test_by_the_sender_and_by_the_mailbox(sandbox: Sandbox) -> None:
    async with Client(sandbox.url, "router@contoso.example", "sandbox-router") as router:
        router.acting_as = "anna+busy-find-once+forbidden-create-once@contoso.example"
        assert (await router.find("drafts")).status == 503
        assert (await router.find("drafts")).status == 200
        assert (await router.create(message())).status == 403
        assert (await router.create(message())).status == 200
        router.acting_as = ANNA
        assert (await router.create(message(sent_from="anna+html502-once@contoso.example"))).status == 502


async def test_ordered_at_run_time(sandbox: Sandbox, anna: Client) -> None:
    sandbox.exchange.faults.orders.append(Order("busy", "FindItem", mailbox="ANNA@contoso.example", times=1))
    assert (await anna.find("drafts")).status == 503
    assert (await anna.find("drafts")).status == 200
    sandbox.exchange.faults.orders.append(Order("quota", domain="customer.example"))
    answer = await anna.create(message(to="x@customer.example"), message(to="x@other.example"))
    assert answer.codes == ["ErrorQuotaExceeded", "NoError"]
    with pytest.raises(ValueError, match="no such fault"):
        Order("nonsense-kind")


async def test_by_chance_from_a_seed() -> None:
    async def fates(seed: int) -> list[bool]:
        exchange = Exchange(users.invented("contoso.example", None), faults=Faults(seed, {"busy": {"CreateItem": 0.5}}))
        async with Sandbox(exchange) as sandbox, Client(sandbox.url, ANNA) as anna:
            found = [(await anna.create(message())).status == 503 for _ in range(40)]
            assert (await anna.find("drafts")).status == 200
            return found

    first = await fates(1)
    assert first == await fates(1)
    assert first != await fates(2)
    assert 8 < sum(first) < 32


async def test_a_gate_holds_a_request_before_or_after_its_work(sandbox: Sandbox, anna: Client) -> None:
    gate = sandbox.gates.close("SendItem", "after")
    draft = await anna.draft()
    sending = asyncio.create_task(anna.send(draft))
    await asyncio.wait_for(gate.reached.wait(), 5)
    assert len(sandbox.sent) == 1
    assert not sending.done()
    gate.opened.set()
    assert (await sending).codes == ["NoError"]
