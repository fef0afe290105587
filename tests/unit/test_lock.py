"""The lock files hold what pyproject.toml asks for, with hashes, and name no place to get it from."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]


def locked(name: str) -> dict[str, Version]:
    text = (ROOT / name).read_text()
    assert not re.search(r"https?:|--index|--find-links|@ ", text), "it names where to get things"
    pins = re.findall(r"^([a-z0-9._-]+)==(\S+?)(?: ; .*?)? \\$", text, re.MULTILINE)
    blocks = re.findall(r"^\S+==.*\\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", text, re.MULTILINE)
    assert len(blocks) == len(pins) == len(re.findall(r"^[^ #]", text, re.MULTILINE)), "a line without its hashes"
    return {pinned: Version(version) for pinned, version in pins}


def test_everything_asked_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = {"requirements.lock": project["project"]["dependencies"]} | {
        f"requirements-{group}.lock": names
        for group, names in (project["dependency-groups"] | project["project"]["optional-dependencies"]).items()
    }
    pins = {name: locked(name) for name in asked}
    for name, requirements in asked.items():
        for each in map(Requirement, requirements):
            assert each.name in pins[name], f"{each.name} is not locked: run scripts/lock"
            assert pins[name][each.name] in each.specifier, f"{each} does not fit: run scripts/lock"
    runtime, tracing = pins["requirements.lock"], pins["requirements-tracing.lock"]
    dev = pins["requirements-dev.lock"]
    assert runtime.items() <= tracing.items() <= dev.items(), "the tests would run on other versions than the product"
    for name in ("requirements-build.lock", "requirements-deploy.lock"):
        other = {package: pin for package, pin in pins[name].items() if package in dev and dev[package] != pin}
        assert not other, f"{name} and requirements-dev.lock differ: run scripts/lock"
