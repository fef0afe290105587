"""When each mailbox's next mail may go: so many a minute as its profile says, all workers together, and first come,
about first served.

What may not go yet is given the moment of its turn and waits in the broker; none of it is kept here but the end of the
line. So a campaign of any length costs a worker a few numbers, and stands before nobody else. A mail that comes back
for its turn goes before those that come new. Campaign mail has a line of its own, and lets other mail of its mailbox
go first.
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

MOST: Final = 10_000
"""So many mailboxes are remembered before the quiet ones are forgotten."""

ELSEWHERE_SECONDS: Final = 1.0
"""When a mail is looked at again that may not go from this worker just now, but perhaps from another."""

DUE_SECONDS: Final = 0.5
"""So much before its moment a mail may go: delays in the broker are no more exact."""

SLACK: Final = 1.05
"""The line is somewhat slower than the limit: whoever comes a little early or late then finds room."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """Limits of a mailbox, for all workers together; None for none."""

    per_minute: int | None = None
    at_once: int | None = None


@dataclass(slots=True)
class _Mailbox:
    """`sent`: when mails began to be sent within the last minute, `admitted`: those that are to be sent, `early`: those
    that came before anything might be sent.
    """

    sent: deque[float] = field(default_factory=deque)
    admitted: int = 0
    lines: Lines = field(default_factory=Lines)
    early: int = 0
    share: int | None = None
    seconds_a_mail: float = 0.0

    def used(self, now: float) -> int:
        while self.sent and self.sent[0] <= now - WINDOW_SECONDS:
            self.sent.popleft()
        return len(self.sent) + self.admitted

    def quiet(self, now: float) -> bool:
        return not self.used(now) and self.lines.ends_at <= now


class Pace:
    """`wait` and `began` follow one another for each mail, or `wait` and `left` where it was not sent after all."""

    def __init__(self, clock: Clock, peers: Peers) -> None:
        self._clock = clock
        self._peers = peers
        self._mailboxes: dict[WorkingMailbox, _Mailbox] = {}

    def wait(  # noqa: PLR0913 - who asks, and how it stands with the lane
        self, place: WorkingMailbox, pacing: Pacing, *, bulk: bool, due: bool, room: bool, seconds_a_mail: float
    ) -> float | None:
        """None: it may go now, and counts as admitted. Else in how many seconds its turn is.

        `due`: it had its turn given before, and comes for it. `room`: whether the lane takes one more;
        `seconds_a_mail`: how fast the lane is.
        """
        now, state = self._clock.monotonic(), self._of(place)
        share = self._peers.share(pacing.per_minute, place) if pacing.per_minute else None
        if share == 0 or (pacing.at_once and self._peers.share(pacing.at_once, place) == 0):
            return ELSEWHERE_SECONDS
        used = state.used(now)
        limit = pacing.per_minute or 0
        room_left = share is None or (used < share and used + self._peers.sent(place) < limit)
        open_now = room_left and (share is None or not self._peers.settles_in)
        state.lines.follow(pacing.per_minute, now)
        state.share, state.seconds_a_mail = share, seconds_a_mail
        if room and open_now and state.lines.free(now, bulk=bulk, due=due):
            state.admitted += 1
            return None
        settling = room and room_left and not open_now
        if settling and state.early < (share or 0):  # so many go at once when the others know of this worker
            state.early += 1
            return self._peers.settles_in
        opens_in, spacing = self._opens_in(state, now), self._spacing(state, place)
        if due:  # another worker may take it sooner: this line is as fast as all of them
            opens_in = opens_in if self._peers.count == 1 else ELSEWHERE_SECONDS
            spacing = max(WINDOW_SECONDS / limit if limit else 0.0, seconds_a_mail)
        return state.lines.place(now + opens_in, spacing, bulk=bulk, due=due) - now

    def behind(self, place: WorkingMailbox, pacing: Pacing, *, bulk: bool, due_in: float | None) -> float | None:
        """The same, for a mail that has others before it in any case: in how many seconds its turn is. None where only
        `wait` can tell.

        `due_in`: when the turn is that it was given before.
        """
        state = self._mailboxes.get(place)
        if state is None or not state.share or state.lines.limit != pacing.per_minute:
            return None
        if due_in is not None:
            return due_in if due_in > DUE_SECONDS else None
        now = self._clock.monotonic()
        if state.lines.free(now, bulk=bulk, due=False):
            return None
        return state.lines.place(now, self._spacing(state, place), bulk=bulk, due=False) - now

    def began(self, place: WorkingMailbox) -> None:
        """An admitted mail is being sent: it counts for a minute from now on, whether or not it leaves."""
        state = self._of(place)
        state.admitted -= 1
        state.sent.append(self._clock.monotonic())

    def left(self, place: WorkingMailbox) -> None:
        """An admitted mail is not sent now after all."""
        self._of(place).admitted -= 1

    def forget_admitted(self) -> None:
        """They are the broker's again."""
        for state in self._mailboxes.values():
            state.admitted = 0

    def sent(self) -> dict[WorkingMailbox, tuple[float, ...]]:
        """When mails were sent within the last minute from mailboxes with a limit, for the other workers: those first
        that have used most of it.
        """
        now = self._clock.monotonic()
        limited = [
            each for each in self._mailboxes.items() if each[1].lines.limit and each[1].used(now) and each[1].sent
        ]
        limited.sort(key=lambda each: -len(each[1].sent) / (each[1].lines.limit or 1))
        return {place: tuple(state.sent) for place, state in limited}

    def states(self) -> tuple[MailboxState, ...]:
        """Mailboxes whose mail waits for its turn: about how many, and when the last of them is to go."""
        now, today, found = self._clock.monotonic(), self._clock.now(), []
        for place, state in self._mailboxes.items():
            if length := state.lines.length(now):
                cause = (
                    f"it may send {state.lines.limit} a minute"
                    if state.lines.limit
                    else "it sends as fast as Exchange takes it"
                )
                found.append(
                    MailboxState(
                        mailbox=place.address,
                        profile=place.profile,
                        state="waiting",
                        cause=cause,
                        next_at=rfc3339(today + timedelta(seconds=state.lines.ends_at - now)),
                        waiting=length,
                    )
                )
        return tuple(found)

    def _of(self, place: WorkingMailbox) -> _Mailbox:
        if place not in self._mailboxes and len(self._mailboxes) >= MOST:
            now = self._clock.monotonic()
            self._mailboxes = {key: each for key, each in self._mailboxes.items() if not each.quiet(now)}
        return self._mailboxes.setdefault(place, _Mailbox())

    def _spacing(self, state: _Mailbox, place: WorkingMailbox) -> float:
        """As if all that take mail had as many to place: the broker deals it out evenly."""
        if not state.lines.limit:
            return state.seconds_a_mail
        part = max(self._peers.share(state.lines.limit, place), state.lines.limit / self._peers.takers)
        return max(SLACK * WINDOW_SECONDS / part, state.seconds_a_mail)

    def _opens_in(self, state: _Mailbox, now: float) -> float:
        """When this worker may send from the mailbox again."""
        if state.share is not None and state.sent and state.used(now) >= state.share:
            return max(0.0, state.sent[0] + WINDOW_SECONDS - now)
        return max(ELSEWHERE_SECONDS, self._peers.settles_in)
