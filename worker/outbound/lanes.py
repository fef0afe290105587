"""Lanes: each working mailbox has one, and in it goes one batch at a time while the next collects.

A batch is whatever waits when the one before is through. A quiet mailbox gets low latency that way, a busy one cheap
batches. Campaign mail rides in batches and slots of its own, so that it never stands before other mail.

A worker has so many mails in hand at once, and no mailbox or profile may take up all of that. So a lane takes in two
batches, no more; what comes beyond that, what may not go yet, and what is in trouble, is given back to the broker
before it joins (`hold`). So is what waits behind requests that Exchange does not answer.
"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from worker.clock import Clock, rfc3339
from worker.fleet.pace import DUE_SECONDS, Pace
from worker.fleet.pauses import SPACING, Pauses
from worker.fleet.quota import LATER_SECONDS, Quota
from worker.mail.address import same_mailbox
from worker.mail.files import LinkedFiles
from worker.mail.outcome import Deferred, Delivered, Reason, Scope, Unresolved
from worker.mail.transport import Transport, WorkingMailbox
from worker.outbound import rules
from worker.outbound.deliver import deliver, outcome_of
from worker.outbound.entry import Create, Done, Entry, Fetch, LookFor, Move, Outcome, Waiting
from worker.outbound.fetching import Fetching
from worker.outbound.lane import BATCH_MAILS, LANE_MAILS, Lane
from worker.outbound.settle import BUG
from worker.outbound.slots import STALLED_SECONDS, Gate, Slots

IDLE_LANES: Final = 200
"""Quiet lanes kept for what their mailbox object remembers of Sent Items; dropping one costs a longer look."""

_STUCK: Final = Reason(
    "mailbox-slow",
    Scope.MAILBOX,
    "Exchange takes long over an earlier mail of this mailbox, or of others of its profile",
    "nothing to do: it is tried again; if it goes on, see whether Exchange answers for this mailbox at all",
)

_log = structlog.get_logger("lanes")

Settle = Callable[[Entry, Outcome], Coroutine[None, None, None]]


class Lanes:
    """All lanes of one session with the broker. When the session ends, its task group takes them along.

    `batch_mails`: so many mails are in one request at most, which bounds how many a profile has under way.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a lane works with, once
        self,
        transport: Transport,
        pauses: Pauses,
        pace: Pace,
        quota: Quota,
        clock: Clock,
        settle: Settle,
        tasks: asyncio.TaskGroup,
        *,
        files: LinkedFiles,
        concurrency: int,
        patience_seconds: float,
        batch_mails: int = BATCH_MAILS,
    ) -> None:
        self._transport = transport
        self._fetching = Fetching(files)
        self._pauses = pauses
        self._pace = pace
        self._quota = quota
        self._clock = clock
        self._settle = settle
        self._tasks = tasks
        self._patience_seconds = patience_seconds
        self._most = min(BATCH_MAILS, batch_mails)
        self._under_way: set[asyncio.Task[None]] = set()
        self._fetches: set[asyncio.Task[None]] = set()
        self._lanes: OrderedDict[WorkingMailbox, Lane] = OrderedDict()
        self._concurrency = concurrency
        self._gates: defaultdict[str, Gate] = defaultdict(Gate)
        self._slots: dict[tuple[str, bool], Slots] = {}

    def hold(self, entry: Entry) -> Deferred | Waiting | None:
        """Why a mail does not join its lane now, and for how long; None where it may, and counts as admitted then."""
        lane = self._lanes.get(entry.working)
        if lane is not None and lane.knows(entry.stamp):
            return None  # it joins the one that is there
        if paused := self._paused(entry):
            return paused
        if _only_looked_for(entry, self._clock.now()):
            return None
        now = self._clock.monotonic()
        slots = self._slots_of(entry.working.profile, bulk=entry.bulk)
        if self._most:
            slots.gate.resize(self._quota.at_once(entry.working.profile, entry.allowed))
        if slots.stalled(now):
            delay = slots.line.place(now + STALLED_SECONDS, SPACING) - now
            return Waiting(delay, "its profile does not move", entry.history.empty_looks)
        return self._full(entry, admitted=False) or self._turn(entry, lane)

    def _full(self, entry: Entry, *, admitted: bool) -> Waiting | None:
        """Whether its profile has used up what it may use of its server. A mail that is only looked for goes on.
        `admitted`: it has come as far as a batch, but others were there first.
        """
        now, profile, allowed = self._clock.now(), entry.working.profile, entry.allowed
        if _only_looked_for(entry, now):
            return None
        why, empty_looks = "its profile may make no more requests for now", entry.history.empty_looks
        if self._quota.at_once(profile, allowed) == 0:
            return Waiting(LATER_SECONDS, why, empty_looks)
        room_in = entry.history.room_in(now)
        if room_in is not None and room_in > DUE_SECONDS and allowed.per_minute and not admitted:
            return Waiting(room_in, why, empty_looks)
        due = admitted or room_in is not None or entry.unlooked or entry.doubt
        delay = self._quota.wait(profile, allowed, bulk=entry.bulk, due=due)
        return None if delay is None else Waiting(delay, why, empty_looks, room_at=_in(delay, now))

    def _slots_of(self, profile: str, *, bulk: bool) -> Slots:
        if (slots := self._slots.get((profile, bulk))) is None:
            slots = Slots(self._concurrency, self._gates[profile], self._clock.monotonic())
            self._slots[profile, bulk] = slots
        return slots

    def _turn(self, entry: Entry, lane: Lane | None) -> Waiting | None:
        """Whether it is its turn among the mail of its mailbox."""
        now = self._clock.now()
        due_in = entry.history.due_in(now)
        if due_in is not None and due_in > DUE_SECONDS and entry.pacing.per_minute:
            return Waiting(due_in, "its turn comes later", entry.history.empty_looks)
        delay = self._pace.wait(
            entry.place,
            entry.pacing,
            bulk=entry.bulk,
            due=due_in is not None or entry.unlooked or entry.doubt,  # of these the CRM may wait to hear
            room=lane is None or len(lane.waiting[entry.bulk]) < LANE_MAILS,
            seconds_a_mail=lane.seconds_a_mail if lane else 0.0,
        )
        entry.admitted = delay is None
        if delay is None:
            return None
        return Waiting(delay, "its mailbox has sent enough for now", entry.history.empty_looks, due_at=_in(delay, now))

    def submit(self, entry: Entry) -> None:
        """Into the lane of the place it is in."""
        working = entry.working
        lane = self._lanes.get(working)
        if lane is None:
            lane = self._lanes[working] = Lane(working, self._transport.outgoing(working))
            self._forget_idle()
        self._lanes.move_to_end(working)
        if isinstance(entry.step, Create):
            entry.step = rules.before_create(entry, self._clock.now())
        self._place(lane, entry)

    @property
    def active(self) -> int:
        return sum(any(lane.running.values()) for lane in self._lanes.values())

    async def drain(self) -> None:
        """Begin no other batch; return when those under way are settled. What still waits is the broker's again, and so
        is what waits for its files.
        """
        self._most = 0
        for gate in self._gates.values():
            gate.resize(None)
        for fetch in self._fetches:
            fetch.cancel()
        while self._under_way:
            await asyncio.wait(self._under_way)

    def close(self) -> None:
        """Nothing of what was not settled is needed any more."""
        self._pace.forget_admitted()
        for lane in self._lanes.values():
            for entries in (lane.under_way, *lane.waiting.values()):
                for entry in entries.values():
                    entry.release()

    def _place(self, lane: Lane, entry: Entry) -> None:
        """Where it has to be for its next step: in line for the lane, or among those whose files are fetched."""
        if lane.add(entry) and isinstance(entry.step, Fetch) and self._most:
            fetch = self._tasks.create_task(self._fetch(lane, entry))
            self._fetches.add(fetch)
            fetch.add_done_callback(self._fetches.discard)
        if lane.stuck:
            self._give_back(lane)
        for bulk in (False, True):
            if lane.waiting[bulk] and not lane.running[bulk]:
                lane.running[bulk] = True
                self._spawn(self._run(lane, bulk=bulk))

    async def _fetch(self, lane: Lane, entry: Entry) -> None:
        """Outside of the lane's turns: a slow download delays no other mail of the sender."""
        if paused := self._paused(entry):
            entry.step = Done(paused)
        else:
            try:
                entry.step = rules.after_fetch(entry, await self._fetching.fetch(entry.links))
            except Exception:  # noqa: BLE001 - a bug must cost its own request, not the lane
                _log.exception("a bug stopped a request", mailbox=lane.working.address, event_id=entry.event_id)
                entry.step = Done(Unresolved(BUG) if entry.last_attempt else Deferred(BUG))
        del lane.fetching[entry.stamp]
        if isinstance(entry.step, Done):
            self._end(entry, entry.step.outcome)
        else:
            self._place(lane, entry)

    def _move(self, entry: Entry) -> None:
        """On in the next place, where another delivery of it may have been before."""
        entry.places = entry.places[1:]
        entry.step = LookFor()
        if held := self.hold(entry):
            self._end(entry, held)
            return
        try:
            self.submit(entry)
        except Exception:  # noqa: BLE001 - the place may be gone, by profiles that changed meanwhile
            _log.exception("a bug stopped a request", mailbox=entry.working.address, event_id=entry.event_id)
            self._end(entry, Unresolved(BUG) if entry.last_attempt else Deferred(BUG))

    def _end(self, entry: Entry, outcome: Outcome) -> None:
        entry.release()
        if entry.admitted:
            self._pace.left(entry.place)
        self._spawn(self._settle(entry, outcome))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._tasks.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _run(self, lane: Lane, *, bulk: bool) -> None:
        while lane.waiting[bulk] and self._most:
            watch = self._tasks.create_task(self._watch(lane))
            slots, began = self._slots_of(lane.working.profile, bulk=bulk), self._clock.monotonic()
            try:
                # The turn comes last: a campaign that is not let in must not keep it from other mail of its mailbox.
                async with slots.free, slots.gate.inside(bulk=bulk), lane.turn:
                    slots.moved_at = self._clock.monotonic()
                    batch = lane.take(bulk=bulk, most=self._most)
                    await self._deliver(lane, batch)
            finally:
                watch.cancel()
                slots.moved_at = self._clock.monotonic()
            lane.stuck = False
            lane.timed(batch, slots.moved_at - began)
            for entry in batch:
                del lane.under_way[entry.stamp]
                match entry.step:
                    case Fetch():
                        self._place(lane, entry)
                    case Move():
                        self._move(entry)
                    case _:
                        self._end(entry, outcome_of(entry))
        lane.running[bulk] = False

    async def _watch(self, lane: Lane) -> None:
        """For one turn of a lane, until it is cancelled."""
        await self._clock.sleep(self._patience_seconds)
        lane.stuck = True
        self._give_back(lane)

    def _give_back(self, lane: Lane) -> None:
        for entries in lane.waiting.values():
            for entry in entries.values():
                self._end(entry, Deferred(_STUCK))
            entries.clear()

    async def _deliver(self, lane: Lane, batch: list[Entry]) -> None:
        asked = []
        for entry in batch:
            if held := self._full(entry, admitted=True) or self._paused(entry, claim=True):
                entry.step = Done(held)
            else:
                asked.append(entry)
                if entry.admitted:
                    entry.admitted = False
                    self._pace.began(entry.place)
        if not asked:
            return
        self._quota.begin(lane.working.profile)
        try:
            await deliver(asked, lane.mailbox, self._clock)
        except Exception:  # noqa: BLE001 - a bug must cost its own request, not the lane
            _log.exception("a bug stopped a batch", mailbox=lane.working.address, mails=len(asked))
            await self._one_by_one(lane, asked)
        finally:
            self._quota.end(lane.working.profile, len(asked))
        self._note(asked)

    def _paused(self, entry: Entry, *, claim: bool = False) -> Deferred | None:
        """A mail that is to end may be looked for although its sender may not send. `claim`: it goes now otherwise."""
        looking = _only_looked_for(entry, self._clock.now())
        ask = self._pauses.claim if claim else self._pauses.of
        return ask(_sender(entry), looking=looking)

    def _note(self, batch: list[Entry]) -> None:
        """What a batch tells of the senders and of the profile; what several mails met is one failure."""
        failures: dict[tuple[WorkingMailbox | None, Scope], tuple[WorkingMailbox, Deferred]] = {}
        for entry in batch:
            sender = _sender(entry)
            match entry.step:
                case Done(Delivered()):
                    self._pauses.succeeded(sender)
                case Done(Deferred(reason) as failure):
                    failures[sender if reason.scope is Scope.MAILBOX else None, reason.scope] = sender, failure
                case _:
                    self._pauses.undecided(sender)
        for sender, failure in failures.values():
            self._pauses.failed(sender, failure)

    async def _one_by_one(self, lane: Lane, batch: list[Entry]) -> None:
        """Find the request that the batch stumbled over: it alone shall pay for it, with an attempt."""
        for entry in batch:
            if not isinstance(entry.step, Done):
                entry.step = LookFor()
            try:
                await deliver([entry], lane.mailbox, self._clock)
            except Exception:  # noqa: BLE001 - likewise
                _log.exception("a bug stopped a request", mailbox=lane.working.address, event_id=entry.event_id)
                entry.step = Done(Unresolved(BUG) if entry.last_attempt else Deferred(BUG))

    def _forget_idle(self) -> None:
        idle = [working for working, lane in self._lanes.items() if lane.idle]
        for working in idle[: max(0, len(idle) - IDLE_LANES)]:
            del self._lanes[working]


def _in(seconds: float, now: datetime) -> str:
    return rfc3339(now + timedelta(seconds=seconds))


def _only_looked_for(entry: Entry, now: datetime) -> bool:
    """It is to end, or to move on: no line holds it up."""
    return bool(entry.verdict) or entry.leaving or (entry.expires_at is not None and entry.expires_at <= now)


def _sender(entry: Entry) -> WorkingMailbox:
    """Whom a failure with scope mailbox is about, also where an account's mailbox holds the mail of many senders."""
    return replace(entry.working, address=same_mailbox(entry.mailbox))
