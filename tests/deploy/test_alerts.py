"""The alerts: valid, each tested when it is silent, waits and fires, and each with an entry in the runbook."""

import copy
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.given import ALERTS, PROMETHEUS, RULES, RUNBOOK, runbook_entry, tool
from tests.unit.docs import page
from tests.unit.test_docs import anchors

TESTS: Final = sorted((PROMETHEUS / "tests").glob("*.yml"))
Expectation = tuple[str, tuple[str, ...]]


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, check=False)


def test_rules_and_configuration_are_valid() -> None:
    for kind, name in (("rules", "rules.yml"), ("config", "prometheus.yml")):
        checked = promtool("check", kind, "--lint-fatal", PROMETHEUS / name)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_do_what_is_expected(path: Path) -> None:
    tested = promtool("test", "rules", path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@cache
def cases() -> list[dict[str, Any]]:
    """The tests of all files."""
    return [each for path in TESTS for each in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]]


def expectations(alert: str) -> Iterator[tuple[str, dict[str, str]]]:
    """What the tests expect of an alert: its state, "" for silent, and its labels."""
    for each in (each for case in cases() for each in case["promql_expr_test"]):
        if f'alertname="{alert}"' in each["expr"]:
            samples = [dict(re.findall(r'(\w+)="([^"]*)"', one["labels"])) for one in each.get("exp_samples", ())]
            yield from ((one["alertstate"], one) for one in samples)
            if not samples:
                yield "", {}


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tested_in_every_state(alert: str) -> None:
    assert {state for state, _ in expectations(alert)} == {"", "pending", "firing"}


CHANGES: Final = {
    "two minutes more": lambda rule: rule.update({"for": longer(rule["for"], 2)}),
    "two minutes less": lambda rule: rule.update({"for": longer(rule["for"], -2)}),
    "another expression": lambda rule: rule.update({"expr": f"({rule['expr']}) or vector(1)"}),
}


def longer(duration: str, minutes: int) -> str:
    count, unit = int(duration[:-1]), {"m": 1, "h": 60}[duration[-1]]
    return f"{max(0, count * unit + minutes)}m"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_tests_of_alerts_would_notice(path: Path, change: str, tmp_path: Path) -> None:
    """Every alert that a file of tests is about changed at once, the others left out: each has to be told as wrong."""
    changed, tests = copy.deepcopy(RULES), path.read_text(encoding="utf-8")
    about = {alert for alert in ALERTS if f'alertname="{alert}"' in tests}
    group = changed["groups"][0]
    group["rules"] = [rule for rule in group["rules"] if "record" in rule or rule["alert"] in about]
    for rule in group["rules"]:
        if "alert" in rule:
            CHANGES[change](rule)
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(changed))
    (tmp_path / "tests.yml").write_text(tests.replace("../rules.yml", "rules.yml"))
    tested = promtool("test", "rules", tmp_path / "tests.yml")
    told = tested.stdout + tested.stderr
    assert about == {alert for alert in about if f'alertname=\\"{alert}\\"' in told}


def test_each_alert_has_an_entry_in_the_runbook_and_no_entry_is_left_over() -> None:
    assert set(re.findall(r"^### (\w+)$", page(RUNBOOK), re.MULTILINE)) == set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_entry_says_what_it_means_what_to_look_at_and_what_to_do(alert: str) -> None:
    entry = runbook_entry(alert)
    means, look, do = (entry.index(f"**{part}.**") for part in ("Means", "Look at", "Do"))
    assert means < look < entry.index("```promql") < do


@pytest.mark.parametrize(("alert", "rule"), ALERTS.items())
def test_an_alert_tells_a_person_what_to_do_first(alert: str, rule: dict[str, Any]) -> None:
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert "First " in notes["description"]
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    path, _, anchor = notes["runbook_url"].partition("#")
    assert (path, anchor) == (RUNBOOK, alert.lower())
    assert anchor in anchors(page(RUNBOOK))


@pytest.mark.parametrize(("alert", "rule"), ALERTS.items())
def test_what_an_alert_tells_is_there_to_be_told(alert: str, rule: dict[str, Any]) -> None:
    labels = [labels for state, labels in expectations(alert) if state == "firing"]
    wanted = re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))
    assert all(set(wanted) <= set(each) for each in labels)
