"""`mailrouter profiles publish`: checked profiles for every worker, through the broker."""

import json
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import click

from worker.cli.options import flag, with_settings
from worker.cli.output import show_rows
from worker.cli.session import over_broker
from worker.clock import Clock, SystemClock, rfc3339
from worker.events.fleet import WorkerState
from worker.outbound.pipeline import lifetime
from worker.profiles import document
from worker.profiles.document import Document
from worker.profiles.edition import Edition, edition_of
from worker.profiles.loader import read_text
from worker.rabbitmq.broker import Publisher
from worker.rabbitmq.fleet import Asker, FleetState
from worker.rabbitmq.profiles import announce, in_hand, publish
from worker.rabbitmq.session import Session
from worker.settings import Settings

HEARD_SECONDS: Final = 10.0
"""So long workers have to take the profiles over before they are reported as not having done so."""

_ASK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Published:
    """`moves_at`: from when on requests begin in other mailboxes, None if none does."""

    revision: str
    changed: bool
    moves_at: datetime | None
    workers: tuple[WorkerState, ...]

    @property
    def behind(self) -> list[WorkerState]:
        return [each for each in self.workers if each.revision != self.revision]


@click.command("publish")
@click.argument("file", type=click.Path(path_type=Path))
@flag("profiles_publish", "--json", "as_json", is_flag=True, help="Print JSON.")
@with_settings("amqp_url", "horizon_days")
def command(settings: Settings, file: Path, *, as_json: bool) -> None:
    """Check a profiles file, and hand it to every worker that runs with MAILROUTER_PROFILES=broker.

    The broker keeps it: workers that start later start with it. Secrets stay references, resolved by each worker where
    it runs. Exit status 1 when a worker does not work by it within seconds.
    """
    edition = edition_of(read_text(file), str(file), here=False)
    clock = SystemClock()
    keep = lifetime(timedelta(days=settings.horizon_days))

    async def work(session: Session) -> Published:
        asker = await Asker.open(session)
        before, after = await _publish(session, asker, edition, clock, keep)
        workers = await _heard(asker, edition.revision, clock)
        moves_at = max((each.until for each in after.earlier), default=None)
        changed = before is not after
        return Published(edition.revision, changed, moves_at if changed else None, workers)

    published = over_broker(settings, work)
    _tell(published, as_json=as_json)
    raise click.exceptions.Exit(1 if published.behind else 0)


async def _publish(
    session: Session, asker: Asker, edition: Edition, clock: Clock, keep: timedelta
) -> tuple[Document | None, Document]:
    """What was published before, and what is now: the same where nothing has changed."""
    by = socket.gethostname()
    publisher = await Publisher.open(session)
    async with in_hand(session, clock) as body:
        if body is None:
            _refuse_to_overlook(await asker.ask())
        before = document.read(body) if body is not None else None
        if before is not None and before.text == edition.text:
            return before, before
        now = clock.now()
        after = before.followed_by(edition, now, by, keep) if before else Document(edition.text, now, by)
        await publish(publisher, document.write(after))
    await announce(session)
    return before, after


def _refuse_to_overlook(fleet: FleetState) -> None:
    """Nothing was got: because nothing was published yet, or because somebody has it in hand. Then a change that moves
    mail would hold at once, behind the back of whoever works by the one before, and mail could leave twice.
    """
    known = next((each for each in fleet.workers if each.published and each.revision), None)
    if known is None and not fleet.silent:
        return
    sign = f"{known.worker} works by revision {known.revision}" if known else "a worker does not answer"
    click.echo(
        f"mailrouter: what was published before is in somebody's hand, or lost: {sign}. Remedy: try again in a minute; "
        "see that no other 'profiles publish' runs, and with 'mailrouter status' that every worker answers. Where the "
        "broker has lost it, stop the workers first.",
        err=True,
    )
    raise click.exceptions.Exit(1)


async def _heard(asker: Asker, revision: str, clock: Clock) -> tuple[WorkerState, ...]:
    """The workers that take published profiles, once all of them work by these, or after `HEARD_SECONDS`."""
    until = clock.monotonic() + HEARD_SECONDS
    while True:
        workers = tuple(each for each in (await asker.ask()).workers if each.published)
        if all(each.revision == revision for each in workers) or clock.monotonic() >= until:
            return workers
        await clock.sleep(_ASK_SECONDS)


def _tell(published: Published, *, as_json: bool) -> None:
    if as_json:
        workers = [
            {"worker": each.worker, "revision": each.revision, "fault": each.fault} for each in published.workers
        ]
        told = {"revision": published.revision, "changed": published.changed, "workers": workers}
        moves_at = published.moves_at and rfc3339(published.moves_at)
        click.echo(json.dumps({**told, "moves_at": moves_at}, indent=2))
        return
    click.echo(f"revision {published.revision} {'published' if published.changed else 'was published before'}")
    if published.moves_at:
        click.echo(
            "some mail is sent from another mailbox now: e-mails asked for before "
            f"{rfc3339(published.moves_at)} finish as they began"
        )
    rows = [(each.worker, each.revision or "none", each.fault or "works by it") for each in published.workers]
    if rows:
        show_rows(("Worker", "Revision", "State"), [row for row in rows if row[1] == published.revision])
    else:
        click.echo("no worker with MAILROUTER_PROFILES=broker runs now; those that start will work by it")
    for each in published.behind:
        cause = each.fault or f"it still works by {each.revision or 'none'}"
        click.echo(f"mailrouter: {each.worker}: {cause}. Remedy: see its log; publish again when put right.", err=True)
