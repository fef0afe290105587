"""The command `mailrouter`: one file per command, loaded when it is asked for.

Exit status: 0 fine, 1 the thing asked about is not fine, 2 wrong usage or configuration.
"""

import gc
import sys
from typing import Final

import click

from worker import __version__
from worker.cli.lazy_group import LazyGroup
from worker.settings import ConfigurationError

COMMANDS = ("run", "check", "profiles", "status", "autodiscover", "send", "dead", "sandbox", "topology", "schemas")

COLLECT: Final = (10_000, 20, 50)
"""Thresholds of the garbage collector: hardly anything here is garbage of its kind. Python's own make it go through all
modules and schemas again and again, up to 80 ms each time: 7 % of the CPU of a worker that parks mail, and 1 % like
this (callbacks of `gc`, 20,000 mails).
"""


@click.command(
    cls=LazyGroup,
    modules={name: f"worker.cli.{name}" for name in COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="mailrouter")
def group() -> None:
    """Delivers a CRM's mail through Exchange, exactly once, from RabbitMQ events."""


def main() -> None:
    """Entry point: runs the command; says what a user got wrong in a line or a few, without a traceback."""
    gc.set_threshold(*COLLECT)
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
