"""Each directory is a profiles file or settings (`environment`) that must be refused, and what must be said: a line of
`expected` each. It is refused by the command, as an operator would see it.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from worker.cli import main

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/profiles.toml"))
SETTINGS = [case for case in CASES if case.name.startswith("setting-")]
AS_PROCESSES = [
    case for case in CASES if case.name in ("faults-hide-none", "number-too-long", "literal-secret", "setting-several")
]


def environment(case: Path) -> dict[str, str]:
    file = case / "environment"
    lines = file.read_text().splitlines() if file.exists() else []
    return dict(line.partition("=")[::2] for line in lines)


def check(case: Path, faults: list[str]) -> None:
    expected = (case / "expected").read_text().splitlines()
    assert len(faults) == len(expected), faults
    for line, fault in zip(expected, faults, strict=True):
        assert line in fault
        assert "\n" not in fault
        assert "hunter2" not in fault


@pytest.fixture
def logs_end_here() -> Iterator[None]:
    """`run` sets up the logs of its process, to a stderr that is this test's alone."""
    yield
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in [each for each in root.handlers if type(each) is logging.StreamHandler]:
        root.removeHandler(handler)


@pytest.mark.usefixtures("logs_end_here")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused_with_its_reasons(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(case)
    for name, value in environment(case).items():
        monkeypatch.setenv(name, value)
    command = ["run"] if case in SETTINGS else ["profiles", "validate"]
    monkeypatch.setattr("sys.argv", ["mailrouter", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    lines = said.err.splitlines()
    assert all(line.startswith("mailrouter: ") for line in lines), lines
    check(case, lines)


@pytest.mark.parametrize("case", AS_PROCESSES, ids=lambda case: case.name)
def test_refused_by_the_worker_in_lines_and_with_status_2(case: Path) -> None:
    command = [sys.executable, "-m", "worker", "run"]
    ended = subprocess.run(
        command, cwd=case, env=os.environ | environment(case), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    lines = [line for line in ended.stderr.splitlines() if line.startswith("mailrouter: ")]
    check(case, lines)
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr


def test_there_are_cases() -> None:
    assert len(CASES) >= 120
