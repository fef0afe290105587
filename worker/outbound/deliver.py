"""One batch of requests through draft, look, send, in one working mailbox: who calls what, in which order.

Every request has its own step and its own outcome; requests at the same step share one call. What the steps mean
stands in `rules.py`; here is only the going round. A round creates, looks, retires and sends once at most, so that a
batch without trouble is done in one round of three calls.
"""

from collections.abc import Sequence
from typing import Final

from worker.clock import Clock
from worker.mail.outcome import Deferred, Delivered, Reason, Scope
from worker.mail.trace import MailSpan, steps
from worker.mail.transport import Draft, OutgoingMailbox
from worker.outbound import rules
from worker.outbound.entry import Create, Done, Entry, Fetch, LookFor, Move, Outcome, Retire, Send

MAX_ROUNDS: Final = 6

_ENDS: Final = (Done, Fetch, Move)


async def deliver(batch: Sequence[Entry], mailbox: OutgoingMailbox, clock: Clock) -> None:
    """Bring every entry of the batch to `Done`, or to what is not done here. They are of different stamps."""
    for _ in range(MAX_ROUNDS):
        await _create([entry for entry in batch if isinstance(entry.step, Create)], mailbox, clock)
        await _look([entry for entry in batch if isinstance(entry.step, LookFor)], mailbox, clock)
        await _retire([entry for entry in batch if isinstance(entry.step, Retire)], mailbox)
        await _send([entry for entry in batch if isinstance(entry.step, Send)], mailbox)
        if all(isinstance(entry.step, _ENDS) for entry in batch):
            return
    for entry in batch:
        if not isinstance(entry.step, _ENDS):
            entry.step = Done(Deferred(_NO_END))


def outcome_of(entry: Entry) -> Outcome:
    assert isinstance(entry.step, Done), entry.step
    return entry.step.outcome


async def _create(entries: list[Entry], mailbox: OutgoingMailbox, clock: Clock) -> None:
    for entry in entries:
        entry.step = rules.before_create(entry, clock.now())
    entries = [entry for entry in entries if isinstance(entry.step, Create)]
    if entries:
        with steps("draft", _spans(entries)) as told:
            outcomes = await mailbox.draft([entry.message for entry in entries])
            told(outcomes)
        for entry, outcome in zip(entries, outcomes, strict=True):
            entry.step = rules.after_create(entry, outcome)


async def _look(entries: list[Entry], mailbox: OutgoingMailbox, clock: Clock) -> None:
    if not entries:
        return
    began_at = clock.now()
    with steps("look", _spans(entries)) as told:
        look = await mailbox.look({entry.stamp: entry.floor for entry in entries})
        told([look if isinstance(look, Deferred) else look.of(entry.stamp) for entry in entries])
    if isinstance(look, Deferred):
        for entry in entries:
            entry.step = Done(Delivered(entry.drafted_as) if entry.sent else look)
        return
    left_over: list[Draft] = list(look.strays)
    for entry in entries:
        sight = look.of(entry.stamp)
        entry.unlooked = False
        entry.step = rules.after_look(entry, sight, began_at, clock.now())
        if sight.has_left:
            left_over += sight.live
    if left_over:
        await mailbox.retire(left_over)


async def _retire(entries: list[Entry], mailbox: OutgoingMailbox) -> None:
    retired = [(entry, entry.step) for entry in entries if isinstance(entry.step, Retire)]
    if retired:
        with steps("retire", _spans([entry for entry, _ in retired])):
            await mailbox.retire([draft for _, step in retired for draft in step.drafts])
    for entry, step in retired:
        if step.all_of_them and not entry.leaving:
            entry.doubt = False
        entry.step = LookFor()


async def _send(entries: list[Entry], mailbox: OutgoingMailbox) -> None:
    drafts = [(entry, entry.step.draft) for entry in entries if isinstance(entry.step, Send)]
    if not drafts:
        return
    for entry, _ in drafts:
        entry.begin()
    with steps("send", _spans([entry for entry, _ in drafts])) as told:
        outcomes = await mailbox.send([draft for _, draft in drafts])
        told(outcomes)
    for (entry, _), outcome in zip(drafts, outcomes, strict=True):
        entry.step = rules.after_send(entry, outcome)


def _spans(entries: Sequence[Entry]) -> list[MailSpan]:
    return [entry.span for entry in entries]


_NO_END = Reason(
    "no-end",
    Scope.MESSAGE,
    f"after {MAX_ROUNDS} rounds of looking and sending it is still not decided what became of the mail",
    "nothing to do: it is tried again; if it stays so, see whether another program works on the drafts of this mailbox",
)
