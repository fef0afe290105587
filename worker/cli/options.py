"""Flags, each with its environment twin. Those of settings are made from these, so that text, default and twin stand
in one place.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from worker.settings import ENVIRONMENT_PREFIX, Settings

Command = Callable[..., Any]


def flag(command: str, *names: str, **attributes: Any) -> Callable[[Command], Command]:  # noqa: ANN401 - click's own
    """A flag of one command alone: of `check`, `--mailbox` is MAILROUTER_CHECK_MAILBOX."""
    variable = ENVIRONMENT_PREFIX + f"{command}_{names[0].removeprefix('--')}".replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=True, **attributes)


def with_settings(*fields: str) -> Callable[[Command], Command]:
    """Give a command a flag for each of these settings, and the checked `Settings` as its argument `settings`."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**given: Any) -> Any:  # noqa: ANN401 - what click hands over
            chosen = {name: given.pop(name) for name in fields}
            settings = Settings.load({name: value for name, value in chosen.items() if value is not None})
            return command(settings=settings, **given)

        flagged: Command = run
        for name in reversed(fields):
            flagged = _flag(name)(flagged)
        return flagged

    return decorate


def _flag(name: str) -> Callable[[Command], Command]:
    field = Settings.model_fields[name]
    default = "" if field.default is None else f"  [default: {field.default}]"
    return click.option(
        "--" + name.replace("_", "-"),
        name,
        envvar=Settings.variable(name),
        show_envvar=True,
        metavar="TEXT" if name != "profiles" else "FILE",
        help=f"{field.description}{default}",
    )
