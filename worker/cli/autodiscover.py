"""`mailrouter autodiscover`: where EWS of a mailbox is, and every step on the way there."""

import asyncio
import json
import sys
from dataclasses import asdict

import click

from worker.access import endpoint, resolver
from worker.cli.given import NoProfilesError, given_profiles
from worker.cli.options import flag, with_settings
from worker.cli.output import show_rows
from worker.clock import SystemClock
from worker.ews.auth import sign_in
from worker.ews.autodiscover.lookup import Lookup
from worker.ews.autodiscover.steps import Findings
from worker.ews.endpoint import Endpoint
from worker.mail.address import same_mailbox
from worker.mail.transport import WorkingMailbox
from worker.profiles.book import Book
from worker.profiles.directory import Directory, Route
from worker.settings import ConfigurationError, Settings

_STEPS = ("Asked by", "Where", "Result", "Said", "Remedy")
_REMEDY = "let the domain of the address name its Exchange (autodiscover.<domain>), or give the profile location."


@click.command("autodiscover")
@click.argument("address", metavar="ADDR")
@flag(
    "autodiscover", "--profile", metavar="NAME", help="Whose account signs in; by default that of the mailbox's entry."
)
@flag("autodiscover", "--json", "as_json", is_flag=True, help="Print JSON: the URL, and each step.")
@with_settings("profiles", "amqp_url", "connect_to", "autodiscover_hosts")
def command(settings: Settings, address: str, profile: str | None, *, as_json: bool) -> None:
    """The EWS URL of a mailbox, and every step on the way to it. Nothing is remembered, and nothing is sent to EWS.

    Where no profile is given, and none covers the mailbox, only what takes no credentials is asked to the end. Exit
    status 1 when nothing is found.
    """
    account = _account(settings, address, profile)
    if account is None:
        click.echo(f"mailrouter: no profile covers {address}: asked without credentials only", err=True)
    findings = asyncio.run(_find(settings, address, account))
    if as_json:
        told = {"address": address, "profile": account and account.profile, "url": findings.url or None}
        click.echo(json.dumps({**told, "steps": [asdict(step) for step in findings.steps]}, indent=2))
    else:
        show_rows(_STEPS, [(step.method, step.url, step.result, step.text, step.remedy) for step in findings.steps])
        if findings.url:
            click.echo(f"\nEWS: {findings.url}" if sys.stdout.isatty() else f"url\t{findings.url}")
    if not findings.url:
        step = findings.telling
        remedy = step.remedy or _REMEDY
        click.echo(f"mailrouter: no EWS URL for {address}: {step.url}: {step.text}. Remedy: {remedy}", err=True)
        raise click.exceptions.Exit(1)


async def _find(settings: Settings, address: str, account: Endpoint | None) -> Findings:
    hosts = frozenset(settings.autodiscover_hosts or ())
    lookup = Lookup(SystemClock(), hosts=hosts, resolver=resolver(settings))
    if account is None:
        return await lookup.find(address)
    return await lookup.find(address, account.sign_in, sign_in(account.sign_in), account.ca_file)


def _account(settings: Settings, address: str, profile: str | None) -> Endpoint | None:
    """How the mailbox is reached, None where no profile says so. Raises ConfigurationError."""
    try:
        directory = given_profiles(settings)
    except NoProfilesError:
        if profile is None:
            return None
        raise
    name = profile or _profile_of(directory, address)
    if name is None:
        return None
    if name not in directory.profiles:
        raise ConfigurationError(f"--profile: no profile is named {name!r}")
    found = endpoint(Book(directory, ""), WorkingMailbox(name, same_mailbox(address)), settings)
    if found is None:
        raise ConfigurationError(f"--profile: {name!r} has the credentials of users, and none of {address}")
    return found


def _profile_of(directory: Directory, address: str) -> str | None:
    route = directory.outgoing(address)
    if isinstance(route, Route):
        return route.profile.name
    wanted = same_mailbox(address)
    return next((each.profile.name for each in directory.incoming() if each.working.address == wanted), None)
