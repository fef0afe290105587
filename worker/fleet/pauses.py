"""Which mailboxes, profiles and servers are in trouble just now, so that nobody keeps asking one that said no.

A failure that speaks about more than its message pauses what it speaks about. What arrives meanwhile is given back to
the broker at once, to come back behind the pause, one after the other. Then one mail goes as the *probe*, in one
worker; it ends the pause or begins the next. One lost answer proves nothing about a mailbox, so those pause from the
second in a row on; and when several mailboxes of one server are silent in a row, the server is taken to be.

The workers tell each other (`worker.fleet.accord`). Held in memory, safe to lose: it costs refused requests.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from worker import retry
from worker.clock import Clock, rfc3339
from worker.events.fleet import MailboxState
from worker.fleet.line import Line
from worker.mail.outcome import NO_ANSWER, Deferred, Reason, Scope
from worker.mail.transport import WorkingMailbox

MOST: Final = 10_000
"""So many are kept before those that have run out are forgotten."""

SPACING: Final = 0.02
"""Seconds between the mails that come back behind a pause: of one scope, a worker gets no more than 50 a second."""

PROBE_SECONDS: Final = 2.0
"""When a mail asks again that came while the probe was under way."""

SILENT_MAILBOXES: Final = 3
"""So many mailboxes of one server whose answers were lost, with none answered between, are the server's trouble."""

OVER_SECONDS: Final = 60.0
"""So long is remembered that a pause has ended, for those who have not heard of it."""

STALE_SECONDS: Final = 600.0
"""A pause that nobody has come to probe for so long is forgotten: no mail of its scope waits any more."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is paused: a mailbox in its profile, a whole profile (`mailbox` is ""), a server (it alone is named), or a
    mailbox of a server in whatever profile: what Exchange allows a mailbox to use is the same for all that use it.
    """

    profile: str = ""
    mailbox: str = ""
    server: str = ""

    @property
    def scope(self) -> Scope:
        return Scope.MAILBOX if self.mailbox else Scope.SERVER if self.server else Scope.PROFILE


@dataclass(slots=True)
class Pause:
    """`since`: when the first of the failures was; `probed_until`: how long a probe may take that is under way. These
    are of the monotonic clock; `changed_at` (seconds since 1970) orders what several workers say.
    """

    since: float
    until: float
    failures: int
    reason: Reason
    changed_at: float
    probed_until: float = 0.0
    over: bool = False
    line: Line = field(default_factory=Line)

    def stands(self, now: float) -> bool:
        """One that had no length is only a failure to be remembered."""
        return not self.over and not self.stale(now) and self.until > self.since

    def stale(self, now: float) -> bool:
        return now > max(self.until, self.probed_until) + STALE_SECONDS


class Pauses:
    """`server_of`: the server that a mailbox is on, as far as it is known. `probe_seconds`: how long a probe may take.
    `rank`: this worker's place among all, so that not all probe at once.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        server_of: Callable[[WorkingMailbox], str] = lambda mailbox: f"server of {mailbox.profile}",
        probe_seconds: float = 60.0,
        rank: Callable[[], int] = lambda: 0,
        changed: Callable[[Key], None] = lambda _key: None,
    ) -> None:
        self._clock = clock
        self._server_of = server_of
        self._probe_seconds = probe_seconds
        self._rank = rank
        self._changed = changed
        self._pauses: dict[Key, Pause] = {}
        self._silent: defaultdict[str, set[Key]] = defaultdict(set)
        self._forgotten_at = 0.0

    def of(self, mailbox: WorkingMailbox, *, looking: bool = False) -> Deferred | None:
        """Why nothing may be asked for this mailbox, and when the next mail of it is to come back; None if it may.

        `looking`: nothing is to be sent, only looked for. A right that its sender lacks is in the way of sending; a
        time that the server has named is in the way of everything.
        """
        if (standing := self._standing(mailbox, looking=looking)) is None:
            return None
        pause, ends_at = standing
        return Deferred(pause.reason, pause.line.place(ends_at, SPACING) - self._clock.monotonic())

    def closed(self, mailbox: WorkingMailbox) -> Deferred | None:
        """The same, for reading, which comes back by itself and has no place among the mails."""
        if (standing := self._standing(mailbox)) is None:
            return None
        pause, ends_at = standing
        return Deferred(pause.reason, ends_at - self._clock.monotonic())

    def claim(self, mailbox: WorkingMailbox, *, reading: bool = False, looking: bool = False) -> Deferred | None:
        """The same, for a mail or a reading that goes now unless there is a reason. Behind a pause it is the probe."""
        if (paused := self.closed(mailbox) if reading else self.of(mailbox, looking=looking)) is not None:
            return paused
        now = self._clock.monotonic()
        keys = self._in_the_way(mailbox, looking=looking)
        due = [(key, self._pauses[key]) for key in keys if key in self._pauses]
        due = [(key, pause) for key, pause in due if pause.stands(now)]
        for _, pause in due:
            if now < (turn := pause.until + 0.3 * self._rank()):
                return Deferred(pause.reason, turn - now)  # another worker's, if it has a mail for it
        for key, pause in due:
            pause.probed_until = now + self._probe_seconds
            self._note(key, pause)
        return None

    def failed(self, mailbox: WorkingMailbox, failure: Deferred) -> None:
        """Take note of a failure; one with scope message says nothing about anybody else.

        `mailbox` is the sender's. Where an account sends for many from its own, a trouble with that one has the scope
        of the profile.
        """
        if not failure.reason.scope.beyond_message:
            return self.undecided(mailbox)
        own, busy, profile, server = self._keys(mailbox)
        of_mailbox = own if failure.retry_after_seconds is None else busy
        key = {Scope.MAILBOX: of_mailbox, Scope.PROFILE: profile}.get(failure.reason.scope, server)
        self._fail(key, failure)
        if failure.reason.code.startswith(NO_ANSWER):
            silent = self._silent[server.server]
            silent.add(own)
            if len(silent) >= SILENT_MAILBOXES and key != server:
                self._fail(server, replace(failure, reason=replace(failure.reason, scope=Scope.SERVER)), proven=True)
        for each in (own, busy, profile, server):
            if each != key and (pause := self._pauses.get(each)):
                pause.probed_until = 0.0
        return None

    def succeeded(self, mailbox: WorkingMailbox) -> None:
        """A mail went out: neither the mailbox nor its profile nor its server is in trouble any more."""
        self._silent.pop(self._server_of(mailbox), None)
        for key in self._keys(mailbox):
            if (pause := self._pauses.get(key)) is not None and not pause.over:
                pause.over = True
                self._note(key, pause)

    def undecided(self, mailbox: WorkingMailbox) -> None:
        """A mail ended that says nothing of a trouble: if it was the probe, the next one is."""
        for key in self._keys(mailbox):
            if (pause := self._pauses.get(key)) is not None:
                pause.probed_until = 0.0

    def forget(self) -> None:
        """The profiles have changed, perhaps for this very reason: everything may be tried at once."""
        self._pauses.clear()
        self._silent.clear()
        self._forgotten_at = self._clock.now().timestamp()

    def heard(self, key: Key, told: Pause) -> None:
        """What another worker says: it counts if it is newer."""
        known = self._pauses.get(key)
        if known is not None and known.changed_at >= told.changed_at:
            return
        if told.changed_at <= self._forgotten_at:
            return
        self._make_room()
        self._pauses[key] = replace(told, line=known.line if known else Line())

    def all(self) -> Iterator[tuple[Key, Pause]]:
        """Those that stand, and those that have ended a short while ago; for the other workers."""
        now, recent = self._clock.monotonic(), self._clock.now().timestamp() - OVER_SECONDS
        return (
            (key, pause)
            for key, pause in self._pauses.items()
            if (pause.changed_at > recent if pause.over else not pause.stale(now))
        )

    def states(self) -> tuple[MailboxState, ...]:
        """Those that stand, for whoever asks: since when, why, what was tried, when next, how much waits."""
        now, today = self._clock.monotonic(), self._clock.now()
        return tuple(
            MailboxState(
                mailbox=key.mailbox,
                profile=key.profile,
                server=key.server,
                state="paused",
                since=rfc3339(today - timedelta(seconds=now - pause.since)),
                code=pause.reason.code,
                cause=pause.reason.message,
                remedy=pause.reason.remedy,
                next_at=rfc3339(today + timedelta(seconds=max(0.0, pause.until - now))),
                tries=pause.failures,
                waiting=pause.line.length(now),
            )
            for key, pause in self._pauses.items()
            if pause.stands(now)
        )

    def longest_seconds(self, scope: Scope) -> float:
        """For how many seconds the longest pause of a scope has gone on."""
        now = self._clock.monotonic()
        standing = (each for key, each in self._pauses.items() if key.scope is scope and each.stands(now))
        return max((now - each.since for each in standing), default=0.0)

    @property
    def mailboxes(self) -> int:
        """How many single mailboxes are paused."""
        now = self._clock.monotonic()
        return sum(pause.stands(now) and bool(key.mailbox) for key, pause in self._pauses.items())

    def _fail(self, key: Key, failure: Deferred, *, proven: bool = False) -> None:
        known, now = self._pauses.get(key), self._clock.monotonic()
        before = None if known is None or known.over else known
        if before and before.until >= now + (failure.retry_after_seconds or 0.0) and before.until > now:
            return  # it was under way already when the trouble was found: no other probe has failed
        failures = before.failures + 1 if before else 1
        grown = retry.after_wait(failures - 1) * (0.75 + 0.5 * self._clock.jitter())
        seconds = failure.retry_after_seconds or grown
        if failure.reason.code.startswith(NO_ANSWER) and failures == 1 and not proven:
            seconds = 0.0
        self._make_room()
        told_at = known.changed_at if known else 0.0
        pause = Pause(before.since if before else now, now + seconds, failures, failure.reason, told_at)
        if before:
            pause.line = before.line
        self._pauses[key] = pause
        self._note(key, pause)

    def _standing(self, mailbox: WorkingMailbox, *, looking: bool = False) -> tuple[Pause, float] | None:
        """The pause that closes a mailbox, and until when."""
        now = self._clock.monotonic()
        for key in self._in_the_way(mailbox, looking=looking):
            pause = self._pauses.get(key)
            if pause is not None and pause.stands(now) and max(pause.until, pause.probed_until) > now:
                return pause, pause.until if pause.until > now else now + PROBE_SECONDS
        return None

    def _in_the_way(self, mailbox: WorkingMailbox, *, looking: bool) -> tuple[Key, ...]:
        own, *others = self._keys(mailbox)
        return tuple(others) if looking else (own, *others)

    def _keys(self, mailbox: WorkingMailbox) -> tuple[Key, Key, Key, Key]:
        """Itself, itself in any profile, its profile, its server."""
        server = self._server_of(mailbox)
        return (
            Key(mailbox.profile, mailbox.address),
            Key(mailbox=mailbox.address, server=server),
            Key(mailbox.profile),
            Key(server=server),
        )

    def _note(self, key: Key, pause: Pause) -> None:
        pause.changed_at = max(self._clock.now().timestamp(), pause.changed_at + 1e-6)
        self._changed(key)

    def _make_room(self) -> None:
        if len(self._pauses) >= MOST:
            now = self._clock.monotonic()
            self._pauses = {key: pause for key, pause in self._pauses.items() if not pause.over and pause.until > now}
