"""`mailrouter schemas`: where the JSON Schemas and the AsyncAPI document are."""

import json
import sys

import click
from rich.console import Console
from rich.table import Column, Table

from worker.cli.options import flag
from worker.events.schemas import asyncapi_path, event_schemas, schemas_path


@click.command("schemas")
@flag("schemas", "--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """Where the JSON Schema of each event and the AsyncAPI document of the broker are.

    Example events lie in the directory 'examples' beside the schemas.
    """
    files = {name: str(path) for name, path in event_schemas().items()}
    asyncapi = str(asyncapi_path())
    if as_json:
        where = {"directory": str(schemas_path()), "events": files, "asyncapi": asyncapi}
        click.echo(json.dumps(where, indent=2))
        return
    rows = [*files.items(), ("AsyncAPI", asyncapi)]
    if not sys.stdout.isatty():  # for a pipe: whole lines, whatever the width
        for name, path in rows:
            click.echo(f"{name}\t{path}")
        return
    table = Table("What", Column("File", overflow="fold"), box=None, header_style="bold")
    for name, path in rows:
        table.add_row(name, path)
    Console().print(table)
