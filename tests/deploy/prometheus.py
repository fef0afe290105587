"""A Prometheus of the tests' own, by the configuration and the rules in deploy/, sixty times as fast."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson
import yaml

from scripts.eventually import eventually
from scripts.fleet import Fleet
from scripts.private_broker import free_ports
from tests.deploy.given import PROMETHEUS, tool

FASTER: Final = 60
UNITS: Final = {"m": 60, "h": 3600, "d": 86400}


class Prometheus:
    def __init__(self, url: str, directory: Path, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._targets = directory / "workers.json"
        self._http = http

    async def ask(self, what: str, **parameters: str | float) -> Any:
        """What its HTTP API answers. Raises AssertionError with what it complains about."""
        async with self._http.post(f"{self._url}/api/v1/{what}", data=parameters) as answer:
            told = orjson.loads(await answer.read())
        assert told["status"] == "success", (parameters, told)
        return told["data"]

    async def value(self, expression: str) -> float | None:
        """The only value that an expression has now; None for none."""
        found = (await self.ask("query", query=expression))["result"]
        return float(found[0]["value"][1]) if found else None

    async def alerts(self) -> dict[str, dict[str, Any]]:
        """Those that fire now, by name."""
        async with self._http.get(f"{self._url}/api/v1/alerts") as answer:
            told = orjson.loads(await answer.read())["data"]["alerts"]
        return {each["labels"]["alertname"]: each for each in told if each["state"] == "firing"}

    def scrape(self, fleet: Fleet) -> None:
        """From now on these workers."""
        targets = [urlsplit(each.http).netloc for each in fleet.running.values()]
        draft = self._targets.with_suffix(".draft")
        draft.write_bytes(orjson.dumps([{"targets": targets}]))
        draft.rename(self._targets)  # read when it changes: never half of it


@asynccontextmanager
async def started(directory: Path, fleet: Fleet, broker_port: int) -> AsyncIterator[Prometheus]:
    (port,) = free_ports(1)
    (directory / "rules.yml").write_text(yaml.safe_dump(faster(yaml.safe_load((PROMETHEUS / "rules.yml").read_text()))))
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration(broker_port)))
    prometheus = Prometheus(f"http://127.0.0.1:{port}", directory, fleet.http)
    prometheus.scrape(fleet)
    with (directory / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            tool("prometheus"),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    async def ready() -> bool:
        assert process.returncode is None, (directory / "prometheus.log").read_text()
        with suppress(aiohttp.ClientError):
            async with fleet.http.get(f"http://127.0.0.1:{port}/-/ready") as answer:
                return answer.status == 200
        return False

    try:
        await eventually(ready, 20)
        yield prometheus
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def configuration(broker_port: int) -> dict[str, Any]:
    """That of deploy/, with the addresses of this machine, and a scrape each second."""
    given: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    del given["alerting"]
    given["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    for job in given["scrape_configs"]:
        if job.pop("dns_sd_configs", None):
            job["file_sd_configs"] = [{"files": ["workers.json"], "refresh_interval": "1s"}]
        else:
            job["static_configs"] = [{"targets": [f"127.0.0.1:{broker_port}"]}]
    return given


def faster(rules: dict[str, Any]) -> dict[str, Any]:
    """The same rules, all their times divided."""
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule["expr"] = re.sub(r"(?<=\[|\s)(\d+)([mhd])(?=\]|\s)", lambda found: divided(*found.groups()), rule["expr"])
        if "for" in rule:
            rule["for"] = divided(rule["for"][:-1], rule["for"][-1])
    return rules


def divided(count: str, unit: str) -> str:
    return f"{int(count) * UNITS[unit] // FASTER}s"
