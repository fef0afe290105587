"""What all mailboxes of a profile may use of their server together: requests open at once, and requests a minute, all
workers together.

A batch of mails begins only while there is room for what it takes as a rule; what it really takes counts, also where
that is more. Mail that finds no room is given the moment of its turn, as in `worker.fleet.pace`, and waits in the
broker.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from worker.clock import Clock, rfc3339
from worker.events.fleet import MailboxState
from worker.fleet.line import Lines
from worker.fleet.peers import WINDOW_SECONDS, Peers
from worker.mail.transport import WorkingMailbox

BATCH_REQUESTS: Final = 4
"""Draft, look, send; a look into a mailbox that was not lately sent from takes two."""

MEASURED_MAILS: Final = 10
"""So many mails tell what one takes: alone in its batch three requests, with others a fraction."""

CHEAPEST: Final = 0.3
"""Ten mails in three requests."""

LATER_SECONDS: Final = 1.0
"""When a mail is looked at again for which there is perhaps room by then, or in another worker."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Limits of a profile, for all workers together; None for none."""

    at_once: int | None = None
    per_minute: int | None = None


@dataclass(slots=True)
class _Profile:
    """`made`: when requests were made within the last minute; `batches`: those under way. `early`: mails that came
    before anything might be asked. `cost`: how many requests a mail took of late; `requests`, `mails`: those since.
    """

    made: deque[float] = field(default_factory=deque)
    batches: int = 0
    lines: Lines = field(default_factory=Lines)
    early: int = 0
    cost: float = BATCH_REQUESTS
    requests: int = 0
    mails: int = 0

    def used(self, now: float) -> int:
        while self.made and self.made[0] <= now - WINDOW_SECONDS:
            self.made.popleft()
        return len(self.made) + BATCH_REQUESTS * self.batches


class Quota:
    """`begin` and `end` frame each batch of a profile; `made` counts its requests."""

    def __init__(self, clock: Clock, peers: Peers) -> None:
        self._clock = clock
        self._peers = peers
        self._profiles: dict[str, _Profile] = {}

    def at_once(self, profile: str, allowed: Allowed) -> int | None:
        """How many mailboxes of a profile this worker may send from at once; None for as many as it can."""
        return self._peers.share(allowed.at_once, _place(profile)) if allowed.at_once else None

    def wait(self, profile: str, allowed: Allowed, *, bulk: bool, due: bool) -> float | None:
        """None: another batch may begin with this mail. Else in how many seconds its turn is. `due`: it had its turn
        given before, and comes for it.
        """
        if allowed.per_minute is None:
            self._profiles.pop(profile, None)
            return None
        now, limit = self._clock.monotonic(), allowed.per_minute
        state = self._profiles.setdefault(profile, _Profile())
        state.lines.follow(limit, now)
        share = self._share(profile, limit)
        if self._peers.settles_in and state.early < share // BATCH_REQUESTS:
            state.early += 1
            return self._peers.settles_in
        opens_in = self._opens_in(state, profile, limit)
        if not opens_in and state.lines.free(now, bulk=bulk, due=due):
            return None
        part = limit if due else max(share, limit / self._peers.takers)
        return state.lines.place(now + opens_in, WINDOW_SECONDS * state.cost / part, bulk=bulk, due=due) - now

    def begin(self, profile: str) -> None:
        if state := self._profiles.get(profile):
            state.batches += 1

    def end(self, profile: str, mails: int) -> None:
        if (state := self._profiles.get(profile)) and state.batches:
            state.batches -= 1
            state.mails += mails
            if state.mails >= MEASURED_MAILS:
                state.cost = min(BATCH_REQUESTS, max(CHEAPEST, state.requests / state.mails))
                state.requests = state.mails = 0

    def made(self, profile: str) -> None:
        """A request, whatever it was for, and whatever came of it."""
        if state := self._profiles.get(profile):
            state.made.append(self._clock.monotonic())
            state.requests += 1

    def sent(self) -> dict[WorkingMailbox, tuple[float, ...]]:
        """When requests were made within the last minute, for the other workers: a profile is a place without an
        address.
        """
        now = self._clock.monotonic()
        return {_place(name): tuple(state.made) for name, state in self._profiles.items() if state.used(now)}

    def states(self) -> tuple[MailboxState, ...]:
        """Profiles whose mail waits until they may make requests again."""
        now, today = self._clock.monotonic(), self._clock.now()
        return tuple(
            MailboxState(
                profile=name,
                state="waiting",
                cause=f"it may make {state.lines.limit} requests a minute",
                next_at=rfc3339(today + timedelta(seconds=state.lines.ends_at - now)),
                waiting=state.lines.length(now),
            )
            for name, state in self._profiles.items()
            if state.lines.ends_at > now
        )

    def _opens_in(self, state: _Profile, profile: str, limit: int) -> float:
        if self._peers.settles_in:
            return self._peers.settles_in
        now, place, share = self._clock.monotonic(), _place(profile), self._share(profile, limit)
        wanted = state.used(now) + BATCH_REQUESTS
        if wanted <= share and wanted + self._peers.sent(place) <= max(limit, BATCH_REQUESTS):
            return 0.0
        too_many = len(state.made) + BATCH_REQUESTS - share  # what those under way will make is not known yet
        if share and too_many > 0 and state.made:
            return max(LATER_SECONDS, state.made[min(too_many, len(state.made)) - 1] + WINDOW_SECONDS - now)
        return LATER_SECONDS

    def _share(self, profile: str, limit: int) -> int:
        """How many requests this worker may make in a minute: whole batches, so that each limit is used by somebody."""
        return BATCH_REQUESTS * self._peers.share(max(1, limit // BATCH_REQUESTS), _place(profile))


def _place(profile: str) -> WorkingMailbox:
    return WorkingMailbox(profile, "")
