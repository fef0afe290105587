"""The version in one place, what has changed in the changelog, the supported versions of Python in CI."""

import re
import subprocess
import tomllib
from typing import Any, Final

import yaml

from tests.unit.docs import ROOT, page
from worker import __version__

TOLD: Final = {
    "README.md",
    "CHANGELOG.md",
    "docs/exchange-administrators.md",
    "docs/deploy.md",
    ".env.example",
    "docker-compose.yml",
    "deploy/helm/crm-mail-router/Chart.yaml",
}
"""Pages that name the version, and are compared with it. Tests may name any."""


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_version_stands_in_one_place() -> None:
    assert project()["project"]["dynamic"] == ["version"]
    assert project()["tool"]["hatch"]["version"]["path"] == "worker/__init__.py"
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    version = re.compile(rf"(?<![\d.]){re.escape(__version__)}(?![\d.]|-[a-z])".encode())
    found = {name for name in files if (ROOT / name).is_file() and version.search((ROOT / name).read_bytes())}
    others = {each for each in found if "tests/" in each or each.endswith(".lock")}
    assert found - others == {"worker/__init__.py", *TOLD}


def test_the_changelog_begins_with_it() -> None:
    newest = re.search(r"^## (\S+) — (unreleased|\d{4}-\d\d-\d\d)$", page("CHANGELOG.md"), re.MULTILINE)
    assert newest
    assert newest[1] == __version__
    assert ("not released" in page("README.md")) == (newest[2] == "unreleased")


def test_ci_runs_every_supported_python() -> None:
    ci = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    classifiers = project()["project"]["classifiers"]
    supported = [each.rpartition(" ")[2] for each in classifiers if re.search(r":: 3\.\d+$", each)]
    assert ci["jobs"]["tests"]["strategy"]["matrix"]["python"] == supported
    assert project()["project"]["requires-python"] == f">={supported[0]}"


def test_hooks_are_the_checks_of_ci() -> None:
    """From .venv, so that a hook has the version that is locked."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    entries = {each["entry"].replace(" --force-exclude", "") for each in hooks}
    checks = re.search(r"^for check in (.*); do$", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    assert checks
    wanted = {each.removesuffix(" .").replace(" --check", "") for each in re.findall(r'"([^"]+)"', checks[1])}
    assert entries == {f".venv/bin/{each.removesuffix(' .')}" for each in wanted}
