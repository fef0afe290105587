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
    runtime, dev = locked("requirements.lock"), locked("requirements-dev.lock")
    asked = {
        "runtime": ([Requirement(each) for each in project["project"]["dependencies"]], runtime),
        "dev": ([Requirement(each) for each in project["dependency-groups"]["dev"]], dev),
    }
    for requirements, pins in asked.values():
        for each in requirements:
            assert each.name in pins, f"{each.name} is not locked: run scripts/lock"
            assert pins[each.name] in each.specifier, f"{each} does not fit: run scripts/lock"
    assert runtime.items() <= dev.items(), "the tests would run on other versions than the product"
