"""A real Prometheus on real workers and a real RabbitMQ: what dashboard and runbook ask is answered, and alerts fire
when workers stop or cannot sign in, and end when that is over.
"""

import asyncio
import math
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from scripts.arrivals import arrival
from scripts.eventually import eventually
from scripts.fleet import Fleet
from scripts.fleet_profiles import reading
from scripts.private_broker import PrivateBroker, free_ports
from scripts.samples import request
from tests.deploy.given import Query, dashboard_queries, metrics_in, rules, runbook_queries
from tests.deploy.prometheus import Prometheus, started
from tests.node import started as started_node
from worker import metrics

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ: Final = "bea@contoso.example"
WITHOUT_DATA: Final = {"Certificates: days left"}
"""Panels of what there is none of here: nobody signs in by a certificate."""

FAST: Final = {"quorum_tick_interval": "500", "collect_statistics_interval": "500"}
"""How often queues tell of themselves, in milliseconds; each five seconds by default."""


@dataclass
class Watched:
    fleet: Fleet
    prometheus: Prometheus
    began: float


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[PrivateBroker, int]]:
    """RabbitMQ, and the port of its metrics."""
    (port,) = free_ports(1)
    config = f"prometheus.tcp.port = {port}\nprometheus.tcp.ip = 127.0.0.1"
    with started_node(plugins=("rabbitmq_prometheus",), config=config, parameters=FAST) as broker:
        yield broker, port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(node: tuple[PrivateBroker, int], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    broker, port = node
    directory: Path = tmp_path_factory.mktemp("watched")
    async with (
        Fleet(directory, broker_url=broker.url, profiles=reading([READ], poll_seconds=1, start="all")) as fleet,
        fleet.listening(),
        started(directory, fleet, port) as prometheus,
    ):
        yield Watched(fleet, prometheus, time.time())


async def test_every_panel_of_the_dashboard_has_something_to_show(watched: Watched) -> None:
    fleet, prometheus = watched.fleet, watched.prometheus

    async def counted(expression: str, wanted: float) -> bool:
        return await prometheus.value(expression) == wanted

    # Prometheus has to see the counters before: only then is there an increase.
    await eventually(lambda: counted('count(mailrouter_outbound_total{outcome="accepted"} == 0)', 2), 20)
    good = [request(f"good-{number}", f"user{number}@contoso.example") for number in range(20)]
    busy, nobody = request("busy", "anna+busy-once@contoso.example"), request("nobody", "anna@elsewhere.example")
    await fleet.publish([*good, busy, nobody])
    for number in range(3):
        await fleet.arrive(READ, arrival(number, READ))
    await fleet.until(lambda: fleet.reached["accepted"] == 21 and len(fleet.inbound) == 3, 30)
    await eventually(lambda: counted('sum(mailrouter_outbound_total{outcome="accepted"})', 21), 20)
    await eventually(lambda: counted("sum(mailrouter_inbound_total)", 3), 20)
    await eventually(lambda: counted('mailrouter:queue_messages:max{queue="crm.mail.dead"}', 1), 20)
    await fleet.take_dead_letters()

    async def empty() -> set[str]:
        return {query.panel for query in dashboard_queries() if not await shown(query, watched)}

    async def complete() -> bool:  # an increase takes two scrapes
        return await empty() <= WITHOUT_DATA

    with suppress(TimeoutError):
        await eventually(complete, 10)
    assert await empty() == WITHOUT_DATA


async def shown(query: Query, watched: Watched) -> bool:
    """Whether a panel shows a number, each under the name that its legend wants."""
    expression = query.expression.replace("$__rate_interval", "10s")
    found = await watched.prometheus.ask("query_range", query=expression, start=watched.began, end=time.time(), step=1)
    wanted = set(re.findall(r"{{(\w+)}}", query.legend))
    assert all(wanted <= set(each["metric"]) for each in found["result"]), query
    return any(not math.isnan(float(value)) for each in found["result"] for _, value in each["values"])


@pytest.mark.parametrize("query", runbook_queries(), ids=lambda query: query.expression)
async def test_what_the_runbook_asks_is_answered(query: Query, watched: Watched) -> None:
    await watched.prometheus.ask("query", query=query.expression)


async def test_every_metric_that_is_spoken_of_is_told_by_somebody(watched: Watched) -> None:
    suffixes = {"counter": ("_total",), "gauge": ("",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}
    ours = {family.name + suffix for family in metrics.REGISTRY.collect() for suffix in suffixes[family.type]}

    async def told() -> set[str]:
        names = await watched.prometheus.ask("query", query='group by (__name__) ({__name__=~"rabbitmq_.+"})')
        return {each["metric"]["__name__"] for each in names["result"]}

    async def scraped() -> bool:
        return len({name.partition("_detailed")[1] for name in await told()}) > 1

    await eventually(scraped, 20)
    spoken = [rule["expr"] for rule in rules()] + [
        each.expression for each in (*dashboard_queries(), *runbook_queries())
    ]
    names = {name for expression in spoken for name in metrics_in(expression)}
    assert names - ours == {name for name in names if name.startswith("rabbitmq_")}
    assert names - ours <= await told()


async def test_an_alert_fires_when_the_workers_stop_and_ends_when_they_are_back(watched: Watched) -> None:
    fleet, prometheus = watched.fleet, watched.prometheus

    async def quiet() -> bool:
        return not await prometheus.alerts()

    async def ring(*names: str) -> bool:
        return set(names) <= set(await prometheus.alerts())

    await eventually(quiet, 20)
    accepted = fleet.reached["accepted"]
    await asyncio.gather(*(fleet.kill_worker(number, signal.SIGTERM) for number in range(2)))
    await fleet.publish([request(f"waits-{number}", "anna@contoso.example") for number in range(3)])
    await eventually(lambda: ring("MailRouterNoWorker", "MailRouterNothingDelivered"), 40)
    rings = await prometheus.alerts()
    assert rings["MailRouterNothingDelivered"]["annotations"]["description"].startswith("3 requests wait.")

    await asyncio.gather(*(fleet.start_worker(number) for number in range(2)))
    prometheus.scrape(fleet)
    await fleet.until(lambda: fleet.reached["accepted"] == accepted + 3, 30)
    await eventually(quiet, 30)


async def test_an_alert_fires_when_an_account_cannot_sign_in(watched: Watched) -> None:
    fleet, prometheus = watched.fleet, watched.prometheus
    await asyncio.gather(*(fleet.kill_worker(number, signal.SIGTERM) for number in range(2)))
    await fleet.start_worker(0, FLEET_PASSWORD="wrong")
    prometheus.scrape(fleet)
    await fleet.publish([request(f"refused-{number}", "anna@contoso.example") for number in range(3)])

    async def rings() -> bool:
        alert = (await prometheus.alerts()).get("MailRouterSignInFailing")
        return alert is not None and alert["labels"]["profile"] in {"Sandbox", "Inbox"}

    await eventually(rings, 40)
