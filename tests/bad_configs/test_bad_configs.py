"""Each directory is a profiles file that must be refused, and what must be said: a line of `expected` each."""

from pathlib import Path

import pytest

from worker.profiles.loader import load
from worker.settings import ConfigurationError

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/profiles.toml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused_with_its_reasons(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)
    expected = (case / "expected").read_text().splitlines()
    with pytest.raises(ConfigurationError) as refused:
        load(Path("profiles.toml"))
    assert len(refused.value.faults) == len(expected), refused.value.faults
    for line, fault in zip(expected, refused.value.faults, strict=True):
        assert line in fault
        assert "\n" not in fault
        assert "hunter2" not in fault


def test_there_are_cases() -> None:
    assert len(CASES) >= 25
