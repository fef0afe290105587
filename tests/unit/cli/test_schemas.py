import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from worker.cli.schemas import command
from worker.events.schemas import asyncapi_path, event_schemas


def test_prints_a_line_for_each_file() -> None:
    shown = CliRunner().invoke(command)

    assert shown.exit_code == 0
    lines = dict(line.split("\t") for line in shown.output.splitlines())
    assert lines == {name: str(path) for name, path in event_schemas().items()} | {"AsyncAPI": str(asyncapi_path())}
    assert all(Path(path).is_file() for path in lines.values())


def test_json() -> None:
    shown = json.loads(CliRunner().invoke(command, ["--json"]).output)

    assert shown["events"] == {name: str(path) for name, path in event_schemas().items()}
    assert shown["asyncapi"] == str(asyncapi_path())
    assert Path(shown["directory"]).is_dir()


def test_is_a_command_of_mailrouter() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "worker", "schemas"], check=True, capture_output=True, text=True, timeout=30
    )

    assert "crm.email.send.v1\t" in shown.stdout
