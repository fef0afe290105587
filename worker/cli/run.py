"""`mailrouter run`: the worker."""

import click
import uvloop

from worker import log
from worker.app import run_worker
from worker.cli.options import with_settings
from worker.settings import ConfigurationError, Settings

ROLES = ("outbound", "inbound")


@click.command()
@click.option(
    "--roles",
    envvar="MAILROUTER_ROLES",
    show_envvar=True,
    default=",".join(ROLES),
    show_default=True,
    help="What this worker does, comma-separated: outbound sends the CRM's mail, inbound reads mailboxes.",
)
@with_settings(*Settings.model_fields)
def command(settings: Settings, roles: str) -> None:
    """Deliver the CRM's mail, and bring in what comes for it.

    Run as many as wanted, on as many machines as wanted; stop with SIGTERM.
    """
    wanted = frozenset(each.strip() for each in roles.split(","))
    unknown = sorted(wanted - set(ROLES))
    if unknown:
        raise ConfigurationError(f"MAILROUTER_ROLES: unknown role {', '.join(unknown)}; known are {', '.join(ROLES)}")
    log.configure(settings.log_format, settings.log_level)
    uvloop.run(run_worker(settings, wanted))
