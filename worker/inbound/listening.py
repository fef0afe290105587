"""Who is listened to, in which groups: state and decisions, no I/O. Times are seconds of a monotonic clock.

A group is one connection. Exchange takes at most 200 subscriptions on one, and few such connections of one account, so
of a very large profile some mailboxes are polled only.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from worker.inbound.ticket import Listened, ListenTicket
from worker.profiles.directory import IncomingRoute

GROUP: Final = 200
"""Subscriptions on one connection, at most (EWS reference, "GetStreamingEvents")."""
CONNECTIONS: Final = 10
"""Connections of one account that stay open, as Exchange's default policy has it (EWSMaxConcurrency's share)."""
LISTEN_SECONDS: Final = 1200.0
"""How long one ticket listens: a broker takes a message back that is held for 30 minutes."""
LOST_SECONDS: Final = 1500.0
"""A ticket not heard of after so long is forgotten."""
AGAIN_SECONDS: Final = 5.0
"""A group is not begun anew sooner than this after it was begun."""
DEAF_SECONDS: Final = 600.0
"""After so long it is tried again with those that could not be listened to."""


@dataclass(slots=True)
class _Group:
    profile: str
    mailboxes: tuple[str, ...]
    begins_at: float
    begun_at: float | None = None


class Listening:
    """`first`: the number of the first group, unlike those of the scheduler before."""

    def __init__(self, routes: Sequence[IncomingRoute], now: float, first: int = 1) -> None:
        self._numbers = itertools.count(first)
        self._groups: dict[int, _Group] = {}
        self._sizes: dict[str, int] = {}
        by_profile: dict[str, list[str]] = {}
        for route in routes:
            by_profile.setdefault(route.profile.name, []).append(route.working.address)
            # With credentials of its own each mailbox has a connection of its own, and a budget of its own.
            self._sizes[route.profile.name] = 1 if route.profile.credentials == "user-specified" else GROUP
        for profile, mailboxes in by_profile.items():
            size = self._sizes[profile]
            most = len(mailboxes) if size == 1 else size * CONNECTIONS
            for start in range(0, min(len(mailboxes), most), size):
                self._begin_later(profile, tuple(mailboxes[start : start + size]), now)

    def take(self, now: float) -> list[ListenTicket]:
        """The tickets that are due; they are out from now on."""
        tickets = []
        for number, group in self._groups.items():
            lost = group.begun_at is not None and now >= group.begun_at + LOST_SECONDS
            if lost or (group.begun_at is None and now >= group.begins_at):
                group.begun_at = now
                tickets.append(ListenTicket(number, group.profile, group.mailboxes, LISTEN_SECONDS))
        return tickets

    def next_at(self, now: float) -> float:
        times: Iterable[float] = (
            group.begins_at if group.begun_at is None else group.begun_at + LOST_SECONDS
            for group in self._groups.values()
        )
        return min(times, default=now + LOST_SECONDS)

    def ended(self, report: Listened, now: float) -> None:
        """A group is not listened to any more: begin it anew, with those that were deaf apart and later."""
        group = self._groups.get(report.number)
        if group is None or group.profile != report.profile:
            return
        del self._groups[report.number]
        begun_at = now if group.begun_at is None else group.begun_at
        deaf = set(report.deaf)
        hearing = tuple(each for each in group.mailboxes if each not in deaf)
        if hearing:
            self._begin_later(group.profile, hearing, max(now, begun_at + AGAIN_SECONDS))
        if deaf:
            apart = tuple(each for each in group.mailboxes if each in deaf)
            self._begin_later(group.profile, apart, now + DEAF_SECONDS)

    def _begin_later(self, profile: str, mailboxes: tuple[str, ...], begins_at: float) -> None:
        """As a group of their own, or together with one that has not begun: else groups would fall to pieces."""
        for group in self._groups.values():
            room = self._sizes[profile] - len(group.mailboxes)
            if group.profile == profile and group.begun_at is None and len(mailboxes) <= room:
                group.mailboxes += mailboxes
                group.begins_at = min(group.begins_at, begins_at)
                return
        self._groups[next(self._numbers)] = _Group(profile, mailboxes, begins_at)
