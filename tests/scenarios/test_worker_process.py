"""What an operator sees of a worker: that it is up, what it counts, what it logs, how it stops."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import orjson
import psutil
import pytest
import pytest_asyncio

from scripts.eventually import eventually
from scripts.fleet import Fleet
from scripts.samples import request

pytestmark = pytest.mark.asyncio(loop_scope="module")

READY_SECONDS: Final = 8.0
"""On a busy machine; what it takes of the processor is what tells."""

READY_PROCESSOR_SECONDS: Final = 3.0
SHUTDOWN_SECONDS: Final = 1.0
EXIT_SECONDS: Final = 1.5
"""How long the process may take besides, on a busy machine."""

METRICS: Final = {
    "mailrouter_outbound_total": {"outcome", "profile"},
    "mailrouter_outbound_seconds_bucket": {"le"},
    "mailrouter_outbound_in_progress": set(),
    "mailrouter_outbound_waiting": set(),
    "mailrouter_mailboxes": {"state"},
    "mailrouter_ews_requests_total": {"operation", "result"},
    "mailrouter_ews_seconds_bucket": {"operation", "le"},
    "mailrouter_throttled_total": {"profile"},
    "mailrouter_dead_total": {"reason"},
    "mailrouter_build_info": {"version"},
}
"""Those of the contract that have to do with sending, and their labels."""

COUNTED: Final = (
    'mailrouter_outbound_total{outcome="accepted",profile="Sandbox"} 4.0',
    'mailrouter_throttled_total{profile="Sandbox"} 1.0',
    'mailrouter_dead_total{reason="no-profile"} 1.0',
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(module_amqp_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """Each test starts the workers it needs, and ends them."""
    environment = {"MAILROUTER_SHUTDOWN_SECONDS": str(SHUTDOWN_SECONDS)}
    directory = tmp_path_factory.mktemp("fleet")
    async with (
        Fleet(directory, broker_url=module_amqp_url, environment=environment, workers=0) as fleet,
        fleet.listening(),
    ):
        yield fleet


@contextlib.asynccontextmanager
async def _worker(fleet: Fleet, number: int, **environment: str) -> AsyncIterator[None]:
    """A worker that is ready; stopped in the end, with exit status 0."""
    await fleet.start_worker(number, **environment)
    await fleet.ready(number)
    yield
    assert await fleet.kill_worker(number, signal.SIGTERM) == 0


async def test_ready_in_about_a_second(fleet: Fleet) -> None:
    taken = []
    for number in range(3):  # the best of three: other tests may keep the machine busy
        began = time.monotonic()
        async with _worker(fleet, number):
            waited = time.monotonic() - began
            used = psutil.Process(fleet.running[number].process.pid).cpu_times()
        taken.append((waited, used.user + used.system))
        if waited < READY_SECONDS and used.user + used.system < READY_PROCESSOR_SECONDS:
            return
    pytest.fail(f"not ready within {READY_SECONDS} s, {READY_PROCESSOR_SECONDS} s of the processor: {taken}")


async def test_alive_without_a_broker_but_not_ready(fleet: Fleet) -> None:
    await fleet.start_worker(0, MAILROUTER_AMQP_URL="amqp://guest:guest@127.0.0.1:1/")
    worker = fleet.running[0]

    async def alive() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with fleet.http.get(f"{worker.http}/healthz") as answer:
                return answer.status == 200
        return False

    await eventually(alive, 20)
    async with fleet.http.get(f"{worker.http}/readyz") as answer:
        assert (answer.status, await answer.json()) == (503, {"broker": False, "profiles": True})
    assert await fleet.kill_worker(0, signal.SIGTERM) == 0
    (lost,) = [line for line in _log_lines(fleet, 0) if line["event"] == "broker lost"]
    assert "127.0.0.1:1 cannot be reached" in lost["cause"]
    assert "MAILROUTER_AMQP_URL" in lost["remedy"]


async def test_metrics_and_json_logs(fleet: Fleet) -> None:
    good = [request(f"good-{number}", "anna@contoso.example") for number in range(3)]
    busy = request("busy", "anna+busy-once@contoso.example")
    nobody = request("nobody", "anna@elsewhere.example")
    async with _worker(fleet, 1):
        await fleet.publish([*good, busy, nobody])
        await fleet.until(lambda: len(fleet.about("busy")) == 2 and fleet.reached["accepted"] == 4, 20)

        async def counted() -> bool:  # a moment after it was told
            exposition = await fleet.metrics(1)
            return all(line in exposition for line in COUNTED)

        await eventually(counted, 5)
        exposition = await fleet.metrics(1)

    samples: dict[str, set[str]] = {}
    for line in exposition.splitlines():
        if not line.startswith("#"):
            name, _, labels = line.rpartition(" ")[0].partition("{")
            samples.setdefault(name, set()).update(
                each.partition("=")[0] for each in labels.rstrip("}").split(",") if each
            )
    assert {name: samples.get(name) for name in METRICS} == METRICS
    assert "@" not in exposition

    lines = _log_lines(fleet, 1)
    events = [("mail accepted", each) for each in [*good, busy]] + [("mail deferred", busy), ("mail failed", nobody)]
    for name, event in events:
        (told,) = [each for each in lines if each["event"] == name and each.get("event_id") == event["id"]]
        assert told["email_id"] == event["data"]["email_id"]
        assert told["mailbox"] == event["data"]["from"]["address"]
        assert told["profile"] == ("" if event is nobody else "Sandbox")


async def test_promtool_has_nothing_to_say(fleet: Fleet) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI") or os.environ.get("MAILROUTER_REQUIRE_PROMTOOL"):
            pytest.fail("promtool is missing. Remedy: apt-get install prometheus")
        pytest.skip("promtool is missing (apt-get install prometheus); with CI or MAILROUTER_REQUIRE_PROMTOOL it fails")
    async with _worker(fleet, 2):
        await fleet.publish([request("counted", "anna+busy-once@contoso.example")])
        await fleet.until(lambda: len(fleet.about("counted")) == 2, 20)
        exposition = await fleet.metrics(2)

    check = await asyncio.create_subprocess_exec(
        promtool,
        "check",
        "metrics",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await check.communicate(exposition.encode())
    assert (check.returncode, said) == (0, b"")


async def test_text_logs_are_for_people(fleet: Fleet) -> None:
    async with _worker(fleet, 3, MAILROUTER_LOG_FORMAT="text"):
        await fleet.publish([request("in-words", "bea@contoso.example")])
        await fleet.until(lambda: bool(fleet.about("in-words")), 20)

    log = fleet.running[3].log.read_text()
    (line,) = [line for line in log.splitlines() if "mail accepted" in line]
    assert "email_id=in-words" in line
    assert "mailbox=bea@contoso.example" in line
    assert "\x1b" not in log, "colours are for terminals"
    assert not any(line.startswith("{") for line in log.splitlines())


async def test_stopped_under_load(fleet: Fleet) -> None:
    """What was in hand goes back to the broker, and its next delivery is its first attempt still."""
    await fleet.order("options", find_pause_seconds=0.1)
    events = [request(f"load-{number}", f"user{number % 8}@contoso.example") for number in range(400)]

    def accepted() -> int:
        return sum(event["data"]["email_id"] in fleet.states for event in events)

    await fleet.start_worker(4)
    await fleet.publish(events)
    await fleet.until(lambda: accepted() >= 10, 20)
    began = time.monotonic()
    assert await fleet.kill_worker(4, signal.SIGTERM) == 0
    assert time.monotonic() - began < SHUTDOWN_SECONDS + EXIT_SECONDS
    assert accepted() < len(events), "all was done before: the test shows nothing"
    await fleet.order("options", find_pause_seconds=0.0)
    async with _worker(fleet, 5):
        await fleet.until(lambda: accepted() == len(events), 20)

    await _assert_each_once(fleet, events)


async def test_stopped_while_exchange_hangs(fleet: Fleet) -> None:
    await fleet.order("options", slow_seconds=600.0)
    await fleet.order("faults", kind="slow", mailbox="hang@contoso.example")
    events = [request(f"hang-{number}", "hang@contoso.example") for number in range(3)]
    await fleet.start_worker(6)
    await fleet.publish(events)

    async def hangs() -> bool:
        return bool((await fleet.stats())["faults"].get("slow"))

    await eventually(hangs, 20)
    began = time.monotonic()
    assert await fleet.kill_worker(6, signal.SIGTERM) == 0
    assert SHUTDOWN_SECONDS <= time.monotonic() - began < SHUTDOWN_SECONDS + EXIT_SECONDS
    assert [line for line in _log_lines(fleet, 6) if line["level"] == "error"] == []
    await fleet.clear_faults()
    async with _worker(fleet, 7):
        await fleet.until(lambda: all(fleet.about(event["data"]["email_id"]) for event in events), 20)

    await _assert_each_once(fleet, events)


def _log_lines(fleet: Fleet, number: int) -> list[dict[str, Any]]:
    """A worker's log; every line of it must be a JSON object."""
    return [orjson.loads(line) for line in fleet.running[number].log.read_bytes().splitlines()]


async def _assert_each_once(fleet: Fleet, events: list[dict[str, Any]]) -> None:
    await fleet.arrived()
    stamps = [mail["stamp"] for mail in await fleet.mails()]
    for event in events:
        (told,) = fleet.about(event["data"]["email_id"])
        assert (told["type"], told["data"]["attempt"]) == ("crm.email.accepted.v1", 1)
        assert stamps.count(f"{event['source']} {event['id']}") == 1
