"""What lies in deploy/: the rules, the dashboard, and the tools that check them."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson
import pytest
import yaml

from tests.unit.docs import ROOT, page, section

PROMETHEUS: Final = ROOT / "deploy/prometheus"
GRAFANA: Final = ROOT / "deploy/grafana"
RULES: Final = yaml.safe_load((PROMETHEUS / "rules.yml").read_text(encoding="utf-8"))
RUNBOOK: Final = "docs/runbook.md"

Rule = dict[str, Any]


def rules() -> list[Rule]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


ALERTS: Final = {rule["alert"]: rule for rule in rules() if "alert" in rule}


@dataclass(frozen=True)
class Query:
    panel: str
    expression: str
    legend: str = ""


@cache
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((GRAFANA / "dashboards/mail-router.json").read_bytes())
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def dashboard_queries() -> list[Query]:
    return [
        Query(panel["title"], target["expr"], target.get("legendFormat", ""))
        for panel in panels()
        for target in panel["targets"]
    ]


def runbook_entry(alert: str) -> str:
    return section(RUNBOOK, alert)


def runbook_queries() -> list[Query]:
    """Each line of its blocks of PromQL."""
    blocks = re.findall(r"^```promql\n(.*?)^```$", page(RUNBOOK), re.MULTILINE | re.DOTALL)
    return [Query(RUNBOOK, line) for block in blocks for line in block.splitlines()]


def metrics_in(expression: str) -> Iterator[str]:
    """The names of metrics in a piece of PromQL, ours and others'."""
    without_texts = re.sub(r'"[^"]*"', '""', expression)
    yield from re.findall(r"\b(?:mailrouter|rabbitmq|process)_\w+", without_texts)


def tool(name: str, package: str = "prometheus") -> str:
    """Where a program of Prometheus is. Without it the test is skipped, save where it is asked for."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI") or os.environ.get("MAILROUTER_REQUIRE_PROMTOOL"):
            pytest.fail(f"{name} is missing. Remedy: apt-get install {package}")
        pytest.skip(f"{name} is missing (apt-get install {package}); with CI or MAILROUTER_REQUIRE_PROMTOOL it fails")
    return found
