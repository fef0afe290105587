"""Which mailboxes and profiles are in trouble just now, so that nobody keeps asking a server that said no.

A failure that speaks about more than its message pauses what it speaks about: what arrives meanwhile is given back to
the broker at once, and what comes after the pause is the probe. One lost answer proves nothing about a server, so
those pause from the second in a row on. Held in memory, safe to lose: it costs one more refused request.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from worker import retry
from worker.clock import Clock, rfc3339
from worker.events.fleet import MailboxState
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.transport import WorkingMailbox

MOST: Final = 10_000
"""So many are kept before those that have run out are forgotten."""

FRESH_SECONDS: Final = 120.0
"""So long after a pause its probe may take to come. Without one no mail waits any more, and nobody knows."""

_LOST: Final = "no-answer"


@dataclass(frozen=True, slots=True)
class Pause:
    """`since`: when the first of the failures was. Both times are of the monotonic clock."""

    since: float
    until: float
    failures: int
    reason: Reason


class Pauses:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pauses: dict[WorkingMailbox, Pause] = {}

    def failed(self, mailbox: WorkingMailbox, failure: Deferred) -> None:
        """Take note of a failure; one with scope message says nothing about anybody else.

        `mailbox` is the sender's. Where an account sends for many from its own, a trouble with that one has the scope
        of the profile.
        """
        if not failure.reason.scope.beyond_message:
            return
        key = mailbox if failure.reason.scope is Scope.MAILBOX else _profile(mailbox)
        before, now = self._pauses.get(key), self._clock.monotonic()
        if before and before.until >= now + (failure.retry_after_seconds or 0.0) and before.until > now:
            return  # it was under way already when the trouble was found: no other probe has failed
        failures = before.failures + 1 if before else 1
        seconds = failure.retry_after_seconds or float(retry.after_wait(failures - 1))
        if failure.reason.code.startswith(_LOST) and failures == 1:
            seconds = 0.0
        if len(self._pauses) >= MOST:
            self._pauses = {each: pause for each, pause in self._pauses.items() if pause.until > now}
        self._pauses[key] = Pause(before.since if before else now, now + seconds, failures, failure.reason)

    def succeeded(self, mailbox: WorkingMailbox) -> None:
        """A mail went out: neither the mailbox nor its profile is in trouble any more."""
        self._pauses.pop(mailbox, None)
        self._pauses.pop(_profile(mailbox), None)

    def forget(self) -> None:
        """The profiles have changed, perhaps for this very reason: everything may be tried at once."""
        self._pauses.clear()

    def of(self, mailbox: WorkingMailbox) -> Deferred | None:
        """Why and for how long nothing may be asked for this mailbox; None when it may."""
        now = self._clock.monotonic()
        for key in (mailbox, _profile(mailbox)):
            pause = self._pauses.get(key)
            if pause and pause.until > now:
                return Deferred(pause.reason, pause.until - now)
        return None

    def states(self) -> tuple[MailboxState, ...]:
        """Those that are paused now, for whoever asks; `mailbox` is "" where it is a whole profile."""
        now, today = self._clock.monotonic(), self._clock.now()
        return tuple(
            MailboxState(
                mailbox=key.address,
                profile=key.profile,
                state="paused",
                since=rfc3339(today - timedelta(seconds=now - pause.since)),
                code=pause.reason.code,
                cause=pause.reason.message,
                remedy=pause.reason.remedy,
                next_at=rfc3339(today + timedelta(seconds=pause.until - now)),
            )
            for key, pause in self._pauses.items()
            if pause.until > now
        )

    def longest_seconds(self, scope: Scope) -> float:
        """How long ago the oldest trouble of a scope began that holds up mail; 0 for none."""
        now = self._clock.monotonic()
        held_up = (each for each in self._pauses.values() if each.until + FRESH_SECONDS > now)
        return max((now - each.since for each in held_up if each.reason.scope is scope), default=0.0)

    @property
    def mailboxes(self) -> int:
        """How many single mailboxes are paused."""
        now = self._clock.monotonic()
        return sum(bool(key.address) and pause.until > now for key, pause in self._pauses.items())


def _profile(mailbox: WorkingMailbox) -> WorkingMailbox:
    """What stands for a whole profile."""
    return replace(mailbox, address="")
