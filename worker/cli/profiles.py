"""`mailrouter profiles`: the profiles file checked, shown, handed to the workers, and made from an older one."""

import json
from pathlib import Path
from typing import Any

import click

from worker.cli.given import given_profiles
from worker.cli.lazy_group import LazyGroup
from worker.cli.options import flag, with_settings
from worker.cli.output import show_rows
from worker.clock import SystemClock
from worker.mail.address import same_mailbox
from worker.mail.outcome import Reason
from worker.profiles import local
from worker.profiles.directory import Directory
from worker.profiles.loader import load
from worker.profiles.model import OF_OAUTH, OF_READING, Mailbox, Profile
from worker.profiles.warnings import warnings
from worker.settings import ConfigurationError, Settings


@click.group(
    "profiles",
    cls=LazyGroup,
    modules={"publish": "worker.cli.publish", "import": "worker.cli.import_profiles"},
)
def command() -> None:
    """The profiles: how Exchange is reached, and whose mail goes which way."""


_file = click.argument("file", required=False, type=click.Path(path_type=Path))
_json = flag("profiles", "--json", "as_json", is_flag=True, help="Print JSON.")


@command.command("validate")
@_file
@_json
@with_settings("profiles", "amqp_url")
def validate(settings: Settings, file: Path | None, *, as_json: bool) -> None:
    """Tell all that is wrong with a profiles file, by default that of the settings; exit status 2 if anything is.

    Secrets and files it refers to are looked for on this machine. What merely has no effect is a warning.
    """
    path = file or settings.profiles
    try:
        directory = load(file) if file else given_profiles(settings)
    except ConfigurationError as error:
        if not as_json:
            raise
        click.echo(json.dumps({"faults": error.faults, "warnings": []}, indent=2))
        raise click.exceptions.Exit(2) from None
    now = SystemClock().now()
    told = [*warnings(directory, now), *local.warnings(tuple(directory.profiles.values()), now)]
    counts = {"profiles": len(directory.profiles), "mailboxes": len(directory.mailboxes)}
    if as_json:
        click.echo(json.dumps({**counts, "faults": [], "warnings": told}, indent=2))
        return
    for warning in told:
        click.echo(f"warning: {path}: {warning}", err=True)
    click.echo(f"{path}: {counts['profiles']} profiles, {counts['mailboxes']} mailboxes: fine")


@command.command("show")
@_file
@_json
@flag(
    "profiles", "--mailbox", metavar="ADDR", help="Only what holds for this address, also by the entry of its domain."
)
@with_settings("profiles", "amqp_url")
def show(settings: Settings, file: Path | None, mailbox: str | None, *, as_json: bool) -> None:
    """The configuration in effect: what presets and defaults fill in, who sends and reads as whom. Secrets are shown as
    references.
    """
    directory = load(file) if file else given_profiles(settings)
    entries = [directory.entry(mailbox)] if mailbox else list(directory.mailboxes.values())
    known = [each for each in entries if each is not None]
    if mailbox and not known:
        click.echo(
            f"mailrouter: no [[mailbox]] entry covers {mailbox}. Remedy: add one for it or its domain.", err=True
        )
        raise click.exceptions.Exit(1)
    named = {name for each in known for name in (each.outgoing, each.incoming)}
    profiles = [each for each in directory.profiles.values() if not mailbox or each.name in named]
    rows = [_row(directory, each, mailbox or each.address) for each in known]
    if as_json:
        click.echo(json.dumps({"profiles": [_effective(each) for each in profiles], "mailboxes": rows}, indent=2))
        return
    for profile in profiles:
        click.echo(f"profile {profile.name}")
        for key, value in _effective(profile).items():
            click.echo(f"  {key} = {json.dumps(value, ensure_ascii=False)}")
    click.echo("")
    show_rows(
        ("Mailbox", "Entry", "Kind", "Sends", "Reads"), [tuple(str(each) for each in row.values()) for row in rows]
    )


def _effective(profile: Profile) -> dict[str, Any]:
    """Every key that has a value and an effect. A secret is a reference, and shown as that."""
    idle = () if profile.authentication == "oauth2" else OF_OAUTH
    if profile.direction == "outgoing":
        idle = (*idle, *OF_READING)
    return {key: _plain(value) for key, value in dict(profile).items() if value not in (None, "") and key not in idle}


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float | str):
        return value
    reference = getattr(value, "reference", None)
    return reference if reference is not None else str(value)


def _row(directory: Directory, mailbox: Mailbox, address: str) -> dict[str, str]:
    return {
        "mailbox": address,
        "entry": mailbox.address,
        "kind": mailbox.kind,
        "sends": _sends(directory, address),
        "reads": _reads(directory, mailbox),
    }


def _sends(directory: Directory, address: str) -> str:
    route = directory.outgoing(address)
    if isinstance(route, Reason):
        return f"not: {route.message}"
    profile, working = route.profile, route.working.address
    if profile.sends_from_account:
        whose = "as or on behalf of the sender" if profile.access == "send-as" else "on behalf of the sender"
        return f"by {profile.name}: {working} sends {whose}"
    return f"by {profile.name}: {_opened(profile, address)}"


def _reads(directory: Directory, mailbox: Mailbox) -> str:
    routes = {each.mailbox.address: each for each in directory.incoming()}
    route = routes.get(mailbox.address)
    if route is None:
        return "not" if mailbox.incoming is None else "not, as its profile or entry has it"
    return f"by {route.profile.name}: {_opened(route.profile, same_mailbox(mailbox.address))}"


def _opened(profile: Profile, address: str) -> str:
    if profile.credentials == "user-specified":
        return f"{address} opened by its own credentials"
    who = profile.username or f"application {profile.client_id}"
    return f"{address} opened by {who}, " + ("impersonating it" if profile.impersonates else "with full access")
