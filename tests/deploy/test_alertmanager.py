"""The example of a configuration for Alertmanager: it is valid, who is told of what, and of what nobody is told."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import yaml

from scripts.eventually import eventually
from scripts.private_broker import free_ports
from tests.deploy.compose import compose
from tests.deploy.given import ALERTS, PROMETHEUS, tool
from tests.unit.docs import ROOT, spans, table

PACKAGE: Final = "prometheus-alertmanager"
PATH: Final = ROOT / "deploy/alertmanager/alertmanager.yml"
GIVEN: Final = yaml.safe_load(PATH.read_text(encoding="utf-8"))
TOLD: Final = {"critical": "on-call", "warning": "channel"}
QUICK: Final = 20


def amtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("amtool", PACKAGE), *arguments], capture_output=True, text=True, check=False)


def test_the_configuration_is_valid() -> None:
    checked = amtool("check-config", PATH)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(("alert", "rule"), ALERTS.items())
def test_who_is_told(alert: str, rule: dict[str, Any]) -> None:
    severity = rule["labels"]["severity"]
    labels = (f"alertname={alert}", f"severity={severity}", "instance=10.0.0.1:9464")
    routed = amtool("config", "routes", "test", f"--config.file={PATH}", *labels)
    assert (routed.returncode, routed.stdout.strip()) == (0, TOLD[severity]), routed.stderr


def keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from keys(inner)
    elif isinstance(value, list):
        for each in value:
            yield from keys(each)


def test_secrets_stand_in_files() -> None:
    secret = [each for each in keys(GIVEN) if re.search("key|url|token|password|secret|credential", each)]
    assert secret
    assert all(each.endswith("_file") for each in secret)


def matched(matchers: list[str]) -> set[str]:
    """The alerts that matchers name."""
    (text,) = matchers
    return set(re.findall(r"MailRouter\w+", text))


def test_inhibitions_are_about_alerts_that_exist() -> None:
    for rule in GIVEN["inhibit_rules"]:
        causes, consequences = matched(rule["source_matchers"]), matched(rule["target_matchers"])
        assert causes | consequences <= ALERTS.keys()
        assert not causes & consequences
        assert {ALERTS[each]["labels"]["severity"] for each in causes} == {"critical"}


def test_the_page_tells_what_is_not_told() -> None:
    told = {spans(row[0])[0]: set(spans(row[1])) for row in table("docs/deploy.md", "Alertmanager")}
    for rule in GIVEN["inhibit_rules"]:
        (cause,) = matched(rule["source_matchers"])
        assert told.pop(cause) == matched(rule["target_matchers"])
    assert not told


def test_prometheus_finds_the_container() -> None:
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    ((place,),) = (each["dns_sd_configs"] for each in configuration["alerting"]["alertmanagers"])
    container = compose()["services"][place["names"][0]]
    assert container["profiles"] == ["alerting"]
    assert [each.partition(":")[2] for each in container["ports"]] == [f"{place['port']}:{place['port']}"]


@asynccontextmanager
async def alertmanager(directory: Path, http: aiohttp.ClientSession) -> AsyncIterator[str]:
    """One by this configuration, which tells nobody: it ends before it would. Its API."""
    program = shutil.which("alertmanager") or tool(PACKAGE, PACKAGE)
    (port,) = free_ports(1)
    with (directory / "alertmanager.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={PATH}",
            f"--storage.path={directory}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    async def ready() -> bool:
        assert process.returncode is None, (directory / "alertmanager.log").read_text()
        with suppress(aiohttp.ClientError):
            async with http.get(f"http://127.0.0.1:{port}/-/ready") as answer:
                return answer.status == 200
        return False

    try:
        await eventually(ready, QUICK)
        yield f"http://127.0.0.1:{port}/api/v2/alerts"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def fire(http: aiohttp.ClientSession, url: str, names: list[str]) -> None:
    """Alerts by name, or by `name/vhost`."""
    now = datetime.now(UTC)
    times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
    alerts = []
    for alert, _, vhost in (each.partition("/") for each in names):
        severity = ALERTS[alert]["labels"]["severity"]
        alerts.append({"labels": {"alertname": alert, "vhost": vhost, "severity": severity}, **times})
    async with http.post(url, json=alerts) as answer:
        answer.raise_for_status()


CAUSES: Final = {
    "no worker": (
        ["MailRouterNoWorker", "MailRouterNothingDelivered", "MailRouterNothingRead", "MailRouterCrmDoesNotConsume"],
        {"MailRouterNothingDelivered", "MailRouterNothingRead"},
    ),
    "broker blocked": (
        ["MailRouterBrokerBlocked", "MailRouterNothingDelivered", "MailRouterInboundLate", "MailRouterProfilePaused"],
        {"MailRouterNothingDelivered", "MailRouterInboundLate"},
    ),
    "dead letters": (
        ["MailRouterDeadLettersGrow/crm", "MailRouterDeadLetters/crm", "MailRouterDeadLetters/other"],
        {"MailRouterDeadLetters/crm"},
    ),
    "no cause is known": (["MailRouterNothingDelivered", "MailRouterNothingRead", "MailRouterDeadLetters/crm"], set()),
}


@pytest.mark.parametrize("case", CAUSES)
async def test_what_follows_from_a_cause_is_not_told(case: str, tmp_path: Path) -> None:
    names, expected = CAUSES[case]
    states: dict[str, set[str]] = {}
    async with aiohttp.ClientSession() as http, alertmanager(tmp_path, http) as url:
        await fire(http, url, names)

        async def judged() -> bool:
            async with http.get(url) as answer:
                found = await answer.json()
            states.clear()
            for each in found:
                labels = each["labels"]
                name = "/".join(filter(None, (labels["alertname"], labels.get("vhost"))))
                states.setdefault(each["status"]["state"], set()).add(name)
            return states.get("suppressed", set()) == expected and len(found) == len(names)

        with suppress(TimeoutError):
            await eventually(judged, QUICK)
    assert states.get("suppressed", set()) == expected
    assert states["active"] == set(names) - expected
