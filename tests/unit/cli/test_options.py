"""Flags and their environment twins."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from worker.cli import group


def flags(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Option]]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from ((f"{name} {path}", flag) for path, flag in flags(below, context))
    for each in command.params:
        if isinstance(each, click.Option) and each.name not in ("help", "version"):
            yield each.opts[0], each


FLAGS = dict(flags(group, click.Context(group)))


@pytest.mark.parametrize("path", FLAGS)
def test_every_flag_has_an_environment_twin_that_help_tells(path: str) -> None:
    flag = FLAGS[path]
    assert isinstance(flag.envvar, str)
    assert flag.envvar.startswith("MAILROUTER_")
    assert flag.envvar.endswith(flag.opts[0].removeprefix("--").replace("-", "_").upper())
    assert flag.show_envvar


def test_a_twin_does_what_its_flag_does() -> None:
    told = CliRunner().invoke(group, ["schemas"], env={"MAILROUTER_SCHEMAS_JSON": "1"})
    assert told.output == CliRunner().invoke(group, ["schemas", "--json"]).output
    assert told.output.startswith("{")
