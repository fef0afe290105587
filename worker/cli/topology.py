"""`mailrouter topology`: the exchanges, queues and bindings."""

import json

import click

from worker.cli.options import flag, with_settings
from worker.cli.output import show_rows
from worker.cli.session import over_broker
from worker.rabbitmq.session import Session
from worker.rabbitmq.topology import EXCHANGES, QUEUES
from worker.settings import Settings


@click.group("topology", invoke_without_command=True)
@flag("topology", "--json", "as_json", is_flag=True, help="Print JSON, with the arguments of each queue.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """The exchanges, queues and bindings on the broker. All are durable; all queues are quorum queues.

    Workers declare what is missing when they start; 'declare' does it ahead of them.
    """
    if ctx.invoked_subcommand is not None:
        return
    if as_json:
        click.echo(json.dumps(_as_data(), indent=2))
        return
    rows: list[tuple[str, ...]] = [("exchange", each.name, "", each.kind) for each in EXCHANGES]
    rows += [("queue", each.name, _binding(each.exchange, each.keys), each.use) for each in QUEUES]
    show_rows(("What", "Name", "Bound to", "For"), rows)


@command.command("declare")
@with_settings("amqp_url")
def declare(settings: Settings) -> None:
    """Make on the broker what is missing. What is there stays as it is."""

    async def nothing_more(_session: Session) -> None:
        """Each session begins with declaring."""

    over_broker(settings, nothing_more)
    click.echo(f"{len(EXCHANGES)} exchanges and {len(QUEUES)} queues are there")


def _binding(exchange: str, keys: tuple[str, ...]) -> str:
    if not exchange:
        return "(by its name)"
    return exchange + (f": {', '.join(keys)}" if any(keys) else "")


def _as_data() -> dict[str, object]:
    return {
        "exchanges": [{"name": each.name, "type": each.kind, "durable": True} for each in EXCHANGES],
        "queues": [
            {
                "name": each.name,
                "use": each.use,
                "durable": True,
                "arguments": dict(each.arguments),
                "bindings": [{"exchange": each.exchange, "key": key} for key in each.keys],
            }
            for each in QUEUES
        ],
    }
