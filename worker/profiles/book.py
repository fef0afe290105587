"""The profiles in force, and earlier ones as far as mail that was asked for under them may be found elsewhere.

A request is drafted, looked for and sent in one working mailbox (docs/delivery-rules.md, rule 1). Some changes of
profiles move it: from the sender's mailbox to the account's, say. A mail that is under way then finishes where it
began, and one that cannot goes on in the new place, but only behind a moment from which nothing is begun in the old one
any more:

    the change          until              closes_at                 opens_at
    ----|------ 5 s ------|------ 10 min ------|-------- 30 s ---------|---------------->
    asked for before `until`:  as it was       only looked for         taken out of the old place, on in the new one
    asked for after it:        in the new place

All of it is a function of the request's `time`, the clock and what was published, so every delivery of a request, in
any worker, comes to the same answer. Why it is safe although clocks differ: what is sent in the old place was drafted
and seen there before `closes_at`; so whoever takes a request out of it after `opens_at` finds that draft, and retires
it, or finds that it has left. A draft that comes to be later is sent by nobody.

A change that moves nobody is in force at once, for all mail.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from worker.mail.address import same_mailbox
from worker.mail.outcome import Reason
from worker.mail.transport import WorkingMailbox
from worker.profiles.directory import Directory, Route

SETTLING: Final = timedelta(seconds=5)
"""Every worker has heard of a change by then."""
FINISHING: Final = timedelta(minutes=10)
"""What was under way at a change is finished as it began for so long, retries of the first minutes included."""
QUIET: Final = timedelta(seconds=30)
"""More than the clocks of workers may be apart, twice."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What held for requests asked for before `until`."""

    revision: str
    until: datetime
    directory: Directory


@dataclass(frozen=True, slots=True)
class Way:
    """Where a request is worked on: in the last of `places`, with a sight of those before it, where it may have been.

    From `closes_at` on nothing is begun there any more, and at `opens_at` it goes on elsewhere; None where it stays.
    """

    route: Route
    places: tuple[WorkingMailbox, ...]
    closes_at: datetime | None = None

    @property
    def opens_at(self) -> datetime | None:
        return self.closes_at and self.closes_at + QUIET


@dataclass(frozen=True, slots=True)
class Book:
    """`revision` names what is in force; `earlier` are those before that still matter, oldest first."""

    directory: Directory
    revision: str
    earlier: tuple[Earlier, ...] = ()

    def outgoing(self, address: str, asked_at: datetime, now: datetime, begun_in: str = "") -> Way | Reason:
        """The way of a request, or why there is none. `begun_in`: the mailbox that a draft of it is known to have been
        made in, "" for none.
        """
        current = self.directory.outgoing(address)
        if not self.earlier and not begun_in and isinstance(current, Route):
            return Way(current, (current.working,))
        stations = self._stations(address, asked_at, current)
        if not stations:
            assert isinstance(current, Reason)
            return current
        index = next(i for i, (_, closes_at) in enumerate(stations) if closes_at is None or now < closes_at + QUIET)
        route, closes_at = stations[index]
        before = [each.working for each, _ in stations[:index]]
        if begun_in and all(each.working.address != same_mailbox(begun_in) for each, _ in stations):
            before.append(WorkingMailbox(route.working.profile, same_mailbox(begun_in), route.working.revision))
        others = {each.address: each for each in before if each.address != route.working.address}
        return Way(route, (*others.values(), route.working), closes_at)

    def directory_of(self, working: WorkingMailbox) -> Directory | None:
        """Which profiles say how a working mailbox is reached; None for ones that nobody remembers."""
        if working.revision:
            return next((each.directory for each in self.earlier if each.revision == working.revision), None)
        return self.directory if self.directory.reaches(working) else None

    def _stations(
        self, address: str, asked_at: datetime, current: Route | Reason
    ) -> Sequence[tuple[Route, datetime | None]]:
        """Where a request has had its place since it was asked for, and when each was closed; the last one is open. Of
        the same place twice in a row the later counts: it knows the newer password.
        """
        found: list[tuple[Route, datetime | None]] = []
        for each in self.earlier:
            route = each.directory.outgoing(address)
            if asked_at < each.until and isinstance(route, Route):
                working = replace(route.working, revision=each.revision)
                found.append((replace(route, working=working), each.until + FINISHING))
        if isinstance(current, Route):
            found.append((current, None))
        elif found:
            found[-1] = (found[-1][0], None)
        last = len(found) - 1
        return [each for i, each in enumerate(found) if i == last or _place(each[0]) != _place(found[i + 1][0])]


def moves(before: Directory, after: Directory) -> bool:
    """Whether the mail of any sender is worked on in another mailbox, or on another kind of server, than before."""
    for address in before.mailboxes.keys() | after.mailboxes.keys():
        was, is_now = before.outgoing(address), after.outgoing(address)
        if isinstance(was, Route) and not (isinstance(is_now, Route) and _place(was) == _place(is_now)):
            return True
    return False


def _place(route: Route) -> tuple[str, str]:
    return route.working.address, route.profile.server
