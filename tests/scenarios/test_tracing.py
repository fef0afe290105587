"""Tracing over the whole way: worker processes, RabbitMQ, the sandbox, and a collector that takes spans by HTTP."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from scripts.crm_side import message
from scripts.eventually import eventually
from scripts.fleet import Fleet
from scripts.fleet_profiles import reading
from scripts.private_broker import free_ports
from scripts.samples import BODY, request
from tests.scenarios.conftest import StartFleet, assert_each_once
from worker.tracing.provider import FLUSH_SECONDS

ANNA: Final = "anna@contoso.example"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN: Final = f"00-{TRACE}-{PARENT}-01"
SHUTDOWN_SECONDS: Final = 1.0
EXIT_SECONDS: Final = 1.5
"""How long the process may take besides, on a busy machine."""


@dataclass
class Collector:
    """`spans` are all that came, `who` is what was said of who sent them. While it `hangs` it answers nobody."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    who: dict[str, str] = field(default_factory=dict)
    hangs: bool = False

    def of(self, trace_id: str) -> dict[str, Span]:
        return {each.name: each for each in self.spans if each.trace_id.hex() == trace_id}

    async def take(self, asked: web.Request) -> web.Response:
        body = await asked.read()
        if self.hangs:
            await asyncio.Event().wait()
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.who = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    application = web.Application()
    application.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def tracing(url: str) -> dict[str, str]:
    return {
        "MAILROUTER_TRACING": "on",
        "MAILROUTER_SHUTDOWN_SECONDS": str(SHUTDOWN_SECONDS),
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_SERVICE_NAME": "post office",
    }


def log_lines(fleet: Fleet, number: int) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in fleet.running[number].log.read_bytes().splitlines()]


async def test_the_crms_trace_from_the_queue_to_the_status_and_the_answer(
    start_fleet: StartFleet, collector: Collector
) -> None:
    fleet = await start_fleet(
        profiles=reading([ANNA], poll_seconds=1, start="all"), environment=tracing(collector.url), workers=2
    )
    by_event = {**request("by-event"), "traceparent": GIVEN}
    by_headers = message(request("by-headers"))
    by_headers.headers = {"traceparent": GIVEN.replace(TRACE, "f" * 32)}
    untraced = request("untraced")
    await fleet.publish([by_event, by_headers, untraced])
    await fleet.until(lambda: fleet.reached["accepted"] == 3, 20)
    traces = {
        email_id: fleet.about(email_id)[0]["traceparent"].split("-")[1]
        for email_id in ("by-event", "by-headers", "untraced")
    }
    assert (traces["by-event"], traces["by-headers"]) == (TRACE, "f" * 32)

    for each in await fleet.mails():
        await fleet.answer(kind="reply", message_id=each["message_id"])
    await fleet.until(lambda: len(fleet.inbound) == 3, 20)
    for number in (0, 1):
        assert await fleet.kill_worker(number, signal.SIGTERM) == 0

    for email_id, trace in traces.items():
        spans = collector.of(trace)
        process = spans["process crm.mail.outbound"]
        assert (
            fleet.about(email_id)[0]["traceparent"]
            == f"00-{trace}-{process.span_id.hex()}-{'03' if email_id == 'untraced' else '01'}"
        )
        steps = [spans[name] for name in ("draft", "look", "send", "settle")]
        assert {step.parent_span_id for step in steps} == {process.span_id}
        answers = [link.trace_id.hex() for link in process.links] or [trace]
        received = [event for event in fleet.inbound.values() if event["data"]["correlation"]["email_id"] == email_id]
        assert [event["traceparent"].split("-")[1] for event in received] == answers
        assert "publish crm.mail:email.received" in collector.of(answers[0])
    assert collector.of(TRACE)["process crm.mail.outbound"].parent_span_id.hex() == PARENT
    assert not collector.of(traces["untraced"])["process crm.mail.outbound"].parent_span_id
    assert collector.who["service.name"] == "post office"
    assert collector.who["service.instance.id"].startswith("mailrouter ")
    said = str(collector.spans)
    assert not [each for each in (BODY, "Your request", ANNA, "x@customer.example") if each in said]


async def test_off_nothing_of_it_is_loaded(start_fleet: StartFleet, collector: Collector) -> None:
    environment = tracing(collector.url) | {"PYTHONPROFILEIMPORTTIME": "1"}
    fleet = await start_fleet(environment=environment, workers=0)
    loaded = {}
    for number, switch in enumerate(("on", "off")):
        await fleet.start_worker(number, MAILROUTER_TRACING=switch)
        await fleet.ready(number)
        await fleet.publish([{**request(switch), "traceparent": GIVEN}])
        await fleet.until(lambda count=number + 1: fleet.reached["accepted"] == count, 20)  # type: ignore[misc]
        assert await fleet.kill_worker(number, signal.SIGTERM) == 0
        loaded[switch] = "opentelemetry" in fleet.running[number].log.read_text()
        assert bool(collector.spans) == (switch == "on")
        collector.spans.clear()
    assert loaded == {"on": True, "off": False}
    assert fleet.about("off")[0]["traceparent"] == GIVEN


@pytest.mark.parametrize("trouble", ["down", "hangs"])
async def test_a_collector_in_trouble_is_no_trouble_for_mail(
    start_fleet: StartFleet, collector: Collector, trouble: str
) -> None:
    collector.hangs = trouble == "hangs"
    url = f"http://127.0.0.1:{free_ports(1)[0]}" if trouble == "down" else collector.url
    fleet = await start_fleet(environment=tracing(url), workers=1)
    events = [request(f"mail-{number}") for number in range(50)]
    await fleet.publish(events)
    await fleet.until(lambda: fleet.reached["accepted"] == len(events), 30)

    async def told() -> bool:
        return trouble == "hangs" or bool(troubles(fleet))  # a request that hangs is given up after ten seconds

    await eventually(told, 20)
    began = time.monotonic()
    assert await fleet.kill_worker(0, signal.SIGTERM) == 0
    assert time.monotonic() - began < SHUTDOWN_SECONDS + FLUSH_SECONDS + EXIT_SECONDS
    assert len(troubles(fleet)) == (trouble != "hangs"), "once a minute"
    assert [line for line in log_lines(fleet, 0) if line["level"] == "error" or "exception" in line] == []
    assert collector.spans == []
    await assert_each_once(fleet, len(events))


def troubles(fleet: Fleet) -> list[dict[str, Any]]:
    return [line for line in log_lines(fleet, 0) if line["event"] == "tracing has trouble, mail has none"]


async def test_without_the_packages_it_is_told_what_is_missing() -> None:
    program = "import sys; sys.modules['opentelemetry.sdk.trace'] = None; from worker.cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "run", "--tracing", "on", stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().startswith("mailrouter: MAILROUTER_TRACING: is on, but OpenTelemetry is not installed: ")
    assert "Remedy: install what requirements-tracing.lock names" in said.decode()
