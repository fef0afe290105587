"""`mailrouter profiles`: the profiles file, checked and handed to the workers."""

import click

from worker.cli import publish


@click.group("profiles")
def command() -> None:
    """The profiles: how Exchange is reached, and whose mail goes which way."""


command.add_command(publish.command)
