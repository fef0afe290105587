"""`mailrouter status`: the workers, the mailboxes in trouble, what the queues hold."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from worker.cli.fleet import FEW, Status, as_data, mailbox_rows, queue_rows, worker_rows
from worker.cli.options import flag, with_settings
from worker.cli.output import show_rows, table_of
from worker.cli.session import over_broker
from worker.clock import SystemClock
from worker.rabbitmq.fleet import Asker
from worker.rabbitmq.session import Session
from worker.settings import Settings

WATCH_SECONDS = 2.0

_WORKERS = ("Worker", "Version", "Roles", "Up", "Profiles", "Sending", "Reading")
_MAILBOXES = (
    "Mailbox",
    "Direction",
    "Profile",
    "State",
    "Since",
    "Last read",
    "Next try",
    "Tries",
    "Waiting",
    "Why",
    "Remedy",
)
_QUEUES = ("Queue", "Waiting", "Consumers", "For")


@click.command("status")
@flag(
    "status",
    "--all",
    "everything",
    is_flag=True,
    help=f"Every mailbox that is read, though more than {FEW}.",
)
@flag("status", "--watch", is_flag=True, help=f"Again every {WATCH_SECONDS:.0f} seconds, until interrupted.")
@flag("status", "--json", "as_json", is_flag=True, help="Print JSON; with --watch one document a line.")
@with_settings("amqp_url")
def command(settings: Settings, *, everything: bool, watch: bool, as_json: bool) -> None:
    """The fleet: its workers, who says when mailboxes are read, mailboxes in trouble and why, and the queues.

    Exit status 1 when a mailbox is paused, no worker answers, workers differ in their profiles, or mailboxes are to be
    read and no worker schedules it.
    """
    clock = SystemClock()

    async def work(session: Session) -> Status:
        asker = await Asker.open(session)
        with _shown(as_json=as_json, watch=watch) as show:
            while True:
                status = Status(await asker.ask(everything=True), clock.now(), everything=everything or as_json)
                show(status)
                if not watch:
                    return status
                await clock.sleep(WATCH_SECONDS)

    status = over_broker(settings, work)
    for each in status.complaints():
        click.echo(f"mailrouter: {each}", err=True)
    raise click.exceptions.Exit(0 if status.fine else 1)


@contextlib.contextmanager
def _shown(*, as_json: bool, watch: bool) -> Iterator[Callable[[Status], None]]:
    """How a status is shown, each time."""
    if as_json:
        yield lambda status: click.echo(json.dumps(as_data(status), indent=None if watch else 2))
    elif watch and sys.stdout.isatty():
        with Live(screen=True, auto_refresh=False) as live:
            yield lambda status: live.update(Group(_screen(status), *_complaints(status)), refresh=True)
    else:
        yield _show


def _tables(status: Status) -> list[tuple[str, Sequence[str], list[tuple[str, ...]]]]:
    return [
        ("worker", _WORKERS, worker_rows(status)),
        ("mailbox", _MAILBOXES, mailbox_rows(status)),
        ("queue", _QUEUES, queue_rows(status)),
    ]


def _show(status: Status) -> None:
    if sys.stdout.isatty():
        Console().print(_screen(status))
        return
    for kind, columns, rows in _tables(status):
        show_rows(("What", *columns), [(kind, *row) for row in rows])
    if status.counts:
        click.echo("\t".join(("mailboxes", *(f"{count} {state}" for state, count in status.counts.items()))))


def _screen(status: Status) -> Group:
    parts: list[Table | Text] = []
    for kind, columns, rows in _tables(status):
        if rows:
            parts += [table_of(columns, rows), Text()]
        if kind == "worker" and status.counts:
            told = ", ".join(f"{count} {state}" for state, count in status.counts.items())
            parts += [Text(f"Mailboxes read: {told}"), Text()]
    return Group(*parts)


def _complaints(status: Status) -> list[Text]:
    return [Text(each, style="bold") for each in status.complaints()]
