"""The command `mailrouter`: one file per command, loaded when it is asked for.

Exit status: 0 fine, 1 the thing asked about is not fine, 2 wrong usage or configuration.
"""

import sys
from importlib import import_module

import click

from worker import __version__
from worker.settings import ConfigurationError

COMMANDS = ("run", "check", "profiles", "status", "autodiscover", "send", "dead", "sandbox", "topology", "schemas")


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"worker.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mailrouter")
def group() -> None:
    """Delivers a CRM's mail through Exchange, exactly once, from RabbitMQ events."""


def main() -> None:
    """Entry point: runs the command; says what a user got wrong in a line or a few, without a traceback."""
    try:
        sys.exit(group.main(prog_name="mailrouter", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except ConfigurationError as error:
        for fault in error.faults:
            click.echo(f"mailrouter: {fault}", err=True)
        sys.exit(2)
