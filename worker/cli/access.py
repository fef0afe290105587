"""Test Access over the mailboxes of a directory: which are checked, by which profile, several at once."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from worker.mail.address import same_mailbox
from worker.mail.checks import INCOMING, OUTGOING, SENDING, Checks, Finding, Step, Verdict, passed, skipped
from worker.mail.outcome import Reason, Scope
from worker.mail.transport import WorkingMailbox
from worker.profiles.directory import Directory
from worker.settings import ConfigurationError

DIRECTIONS: Final = ("outgoing", "incoming")
AT_ONCE: Final = 5
"""Mailboxes of one profile that are checked at the same time."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A mailbox and a direction that is to be checked. `named`: the direction was asked for."""

    address: str
    direction: str
    named: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """What was found of one subject. `profile` is "" where none leads there."""

    subject: Subject
    profile: str
    steps: tuple[Step, ...]

    @property
    def failed(self) -> Step | None:
        return next((step for step in self.steps if step.failed), None)

    @property
    def warned(self) -> Step | None:
        return next((step for step in self.steps if step.finding.verdict is Verdict.WARNING), None)

    @property
    def left_alone(self) -> Step | None:
        """Why nothing was looked at, where the profiles want it so."""
        return next((step for step in self.steps[:1] if step.finding.verdict is Verdict.SKIPPED), None)

    def as_data(self) -> Mapping[str, Any]:
        return {
            "mailbox": self.subject.address,
            "direction": self.subject.direction,
            "profile": self.profile,
            "pass": self.failed is None,
            "steps": [
                {
                    "step": step.name,
                    "verdict": step.finding.verdict.value,
                    "code": step.finding.code,
                    "cause": step.finding.cause,
                    "remedy": step.finding.remedy,
                    "seconds": round(step.seconds, 3),
                }
                for step in self.steps
            ],
        }


def subjects(directory: Directory, addresses: Sequence[str], directions: Sequence[str]) -> tuple[Subject, ...]:
    """What there is to check: these addresses, else every mailbox that is entered by its address.

    Raises ConfigurationError where an address has no entry, or nothing is left to check.
    """
    if addresses:
        unknown = [each for each in addresses if directory.entry(each) is None]
        if unknown:
            raise ConfigurationError(
                *(f"--mailbox {each}: no [[mailbox]] entry covers it; add one to the profiles" for each in unknown)
            )
    chosen = addresses or [each.address for each in directory.mailboxes.values() if not _is_domain(each.address)]
    if not chosen:
        raise ConfigurationError("the profiles enter whole domains only: name mailboxes with --mailbox ADDR")
    found = [
        Subject(address, direction, named=len(directions) == 1)
        for address in dict.fromkeys(map(same_mailbox, chosen))
        for direction in directions
        if direction in _directions(directory, address) or (addresses and len(directions) == 1)
    ]
    if not found:
        raise ConfigurationError("no profile leads to these mailboxes: give their entries outgoing or incoming")
    return tuple(found)


def domains(directory: Directory) -> tuple[str, ...]:
    """Entries that stand for more mailboxes than can be told."""
    return tuple(each.address for each in directory.mailboxes.values() if _is_domain(each.address))


async def check_access(
    directory: Directory, checks: Checks, chosen: Sequence[Subject], *, send: bool, done: Callable[[Access], None]
) -> None:
    """Check each, and tell as soon as it is done. Of one profile at most AT_ONCE at the same time."""
    turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))

    async def check(subject: Subject) -> None:
        way = _way(directory, subject)
        profile = "" if isinstance(way, Reason) else way.profile
        async with turns[profile]:
            done(Access(subject, profile, await _steps(directory, checks, subject, way, send=send)))

    async with asyncio.TaskGroup() as tasks:
        for subject in chosen:
            tasks.create_task(check(subject))


async def _steps(
    directory: Directory, checks: Checks, subject: Subject, way: WorkingMailbox | Reason, *, send: bool
) -> tuple[Step, ...]:
    outgoing = subject.direction == "outgoing"
    if isinstance(way, Reason):
        behind = (SENDING if send else OUTGOING) if outgoing else INCOMING
        # That an entry with an incoming profile is not read all the same, is what the profiles say.
        found = Finding.of(way) if outgoing or subject.named else skipped(way.message)
        why = "profile failed" if found.verdict is Verdict.FAIL else "not read"
        return (Step("profile", found), *(Step(name, skipped(why)) for name in behind))
    entry = directory.entry(subject.address)
    assert entry is not None
    found = passed(f"{way.profile}, by the entry {entry.address}; worked in is {way.address}")
    walk = checks.outgoing(way, subject.address, send=send) if outgoing else checks.incoming(way)
    return (Step("profile", found), *[step async for step in walk])


def _way(directory: Directory, subject: Subject) -> WorkingMailbox | Reason:
    address = subject.address
    if subject.direction == "outgoing":
        route = directory.outgoing(address)
        return route if isinstance(route, Reason) else route.working
    found = [each.working for each in directory.incoming() if each.working.address == address]
    return found[0] if found else _unread(directory, address)


def _unread(directory: Directory, address: str) -> Reason:
    """Why a mailbox is not read."""
    mailbox = directory.entry(address)
    if mailbox is None or mailbox.incoming is None:
        cause = f"no mailbox entry with an incoming profile is {address}"
        return Reason("no-profile", Scope.MAILBOX, cause, 'add incoming = "..." to its entry in the profiles')
    if directory.profiles[mailbox.incoming].accept == "none":
        cause = f'{mailbox.incoming} has accept = "none": mailboxes are not read with it'
        return Reason("no-profile", Scope.MAILBOX, cause, 'set accept = "all" or "replies", or take incoming away')
    cause = f"{address} does not allow the router to use its credentials (allow_credentials = false)"
    return Reason("credentials-not-allowed", Scope.MAILBOX, cause, "allow it, or give the mailbox another profile")


def _directions(directory: Directory, address: str) -> set[str]:
    mailbox = directory.entry(address)
    assert mailbox is not None
    return {name for name, profile in (("outgoing", mailbox.outgoing), ("incoming", mailbox.incoming)) if profile}


def _is_domain(address: str) -> bool:
    return address.startswith("*@")
