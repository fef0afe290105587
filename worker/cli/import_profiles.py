"""`mailrouter profiles import`: the Email Router's configuration as a profiles file."""

import sys
from pathlib import Path

import click
from rich.console import Console

from worker.cli.options import flag
from worker.cli.output import table_of
from worker.migration.conversion import Conversion, convert
from worker.migration.email_router import read
from worker.migration.writing import written
from worker.profiles.edition import edition_of
from worker.settings import ConfigurationError


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@flag(
    "profiles_import",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    default=Path("profiles.toml"),
    show_default=True,
    metavar="FILE",
    help="What to write; - for standard output.",
)
@flag("profiles_import", "--force", is_flag=True, help="Write over a file that is there.")
def command(file: Path, output: Path, *, force: bool) -> None:
    """Make a profiles file of Microsoft.Crm.Tools.EmailAgent.xml, the configuration of Microsoft's Email Router.

    On standard error it says what became of everything: what was carried over, what was changed or left out and why,
    and which secrets have to be put where. Passwords are encrypted there, and never copied.
    """
    conversion = convert(read(file))
    if not conversion.profiles:
        _tell(conversion)
        raise ConfigurationError(f"{file}: nothing in it could be carried over")
    text = written(conversion, file.name)
    edition_of(text, str(output), here=False)
    if str(output) == "-":
        click.echo(text, nl=False)
    else:
        _write(output, text, force=force)
    _tell(conversion)
    counts = f"{len(conversion.profiles)} profiles, {len(conversion.mailboxes)} mailboxes"
    click.echo(f"{output}: {counts}. Next: mailrouter profiles validate {output}", err=True)


def _write(output: Path, text: str, *, force: bool) -> None:
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(f"{output}: is there already: give --force to write over it, or --output") from None
    except OSError as error:
        raise ConfigurationError(f"{output}: cannot be written: {error.strerror}") from None


def _tell(conversion: Conversion) -> None:
    rows = [(each.kind, each.what, each.text) for each in conversion.notes]
    if sys.stderr.isatty():
        Console(stderr=True).print(table_of(("", "What", "What became of it"), rows))
        return
    for row in rows:
        click.echo("\t".join(row), err=True)
