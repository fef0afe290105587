"""`mailrouter check`: the Email Router's *Test Access*."""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import click

from worker.access import endpoint, resolver
from worker.cli.access import DIRECTIONS, Access, Subject, check_access, domains, subjects
from worker.cli.given import given_profiles
from worker.cli.options import flag, with_settings
from worker.cli.output import progress_bar, show_rows
from worker.clock import SystemClock
from worker.ews.autodiscover.lookup import Lookup
from worker.ews.check import EwsChecks
from worker.ews.endpoint import Endpoint
from worker.mail.checks import Verdict
from worker.mail.transport import WorkingMailbox
from worker.profiles.book import Book
from worker.profiles.directory import Directory
from worker.settings import Settings

_MAILBOXES: Final = ("Mailbox", "Direction", "Profile", "", "Step", "Code", "Cause", "Remedy")
_STEPS: Final = ("", "Step", "Seconds", "Code", "Cause", "Remedy")
_MARKS: Final = {Verdict.PASS: "✓", Verdict.WARNING: "!", Verdict.FAIL: "✗", Verdict.SKIPPED: "–"}
_FEW: Final = 2
"""As many, a mailbox in both directions, are shown step by step."""


@click.command("check")
@flag(
    "check", "--mailbox", "mailboxes", multiple=True, metavar="ADDR", help="Only this one; may be given several times."
)
@flag("check", "--direction", type=click.Choice(DIRECTIONS), help="Only this one; by default what the entries say.")
@flag("check", "--send", is_flag=True, help="Really send a mail, from each sender to itself.")
@flag("check", "--json", "as_json", is_flag=True, help="Print JSON, with every step.")
@with_settings("profiles", "amqp_url", "ews_timeout_seconds", "horizon_days", "connect_to", "autodiscover_hosts")
def command(
    settings: Settings, *, mailboxes: tuple[str, ...], direction: str | None, send: bool, as_json: bool
) -> None:
    """Test access: can mail be sent from each mailbox, and can it be read, as the profiles have it?

    Goes the way a mail goes: profile, name, endpoint, TLS, sign-in, mailbox, folders; then for sending a draft and the
    right to send as the sender, for reading the sync of changes and the cursor. Says of what fails the cause and the
    remedy. No draft and no note is left behind. Exit status 1 when something fails, 2 when nothing can be checked.
    """
    directory = given_profiles(settings)
    chosen = subjects(directory, mailboxes, (direction,) if direction else DIRECTIONS)
    found = asyncio.run(_check(settings, directory, chosen, send=send))
    if as_json:
        click.echo(json.dumps([each.as_data() for each in found], indent=2))
    elif len(found) <= _FEW:
        _show_steps(found)
    else:
        _show_mailboxes(found)
    if not mailboxes and (left_out := domains(directory)):
        names = ", ".join(left_out)
        click.echo(f"mailrouter: not checked, as nobody can list them: {names}; name some with --mailbox", err=True)
    raise click.exceptions.Exit(1 if any(each.failed for each in found) else 0)


async def _check(settings: Settings, directory: Directory, chosen: Sequence[Subject], *, send: bool) -> list[Access]:
    book = Book(directory, "")

    def route(mailbox: WorkingMailbox) -> Endpoint:
        found = endpoint(book, mailbox, settings)
        assert found is not None  # the directory itself has just led there
        return found

    found: dict[Subject, Access] = {}
    clock, elsewhere = SystemClock(), resolver(settings)
    lookup = Lookup(clock, hosts=frozenset(settings.autodiscover_hosts or ()), resolver=elsewhere)
    horizon = timedelta(days=settings.horizon_days)
    checks = EwsChecks(route, clock, horizon, resolver=elsewhere, lookup=lookup)
    try:
        with progress_bar("Mailboxes", len(chosen)) as advance:

            def done(access: Access) -> None:
                found[access.subject] = access
                advance()

            await check_access(directory, checks, chosen, send=send, done=done)
    finally:
        await checks.close()
    return [found[each] for each in chosen]


def _show_steps(found: Sequence[Access]) -> None:
    """Every step of one mailbox or two; in a pipe each line says whose it is."""
    for access in found:
        whose = (access.subject.address, access.subject.direction)
        rows = [
            (
                _MARKS[step.finding.verdict] if sys.stdout.isatty() else step.finding.verdict.value,
                step.name,
                f"{step.seconds:.2f}",
                step.finding.code,
                step.finding.cause,
                step.finding.remedy,
            )
            for step in access.steps
        ]
        if sys.stdout.isatty():
            click.echo(" ".join((*whose, access.profile)))
            show_rows(_STEPS, rows)
            click.echo()
        else:
            show_rows((), [(*whose, *row) for row in rows])


def _show_mailboxes(found: Sequence[Access]) -> None:
    """A line for each, with the step that failed, or the one that warns, or why it was left alone."""
    rows = []
    for access in found:
        step = access.failed or access.warned or access.left_alone
        finding = step.finding if step else None
        verdict = finding.verdict if finding else Verdict.PASS
        rows.append(
            (
                access.subject.address,
                access.subject.direction,
                access.profile,
                _MARKS[verdict] if sys.stdout.isatty() else verdict.value,
                step.name if step else "",
                *((finding.code, finding.cause, finding.remedy) if finding else ("", "", "")),
            )
        )
    show_rows(_MAILBOXES, rows)
