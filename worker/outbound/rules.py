"""The rules of delivery as pure decisions: what was answered, and so what to do next. Numbers are those of
docs/delivery-rules.md, where each says what it is for.

    step      answer                       next
    Fetch     the files                    Create
              Rejected                     LookFor, with a verdict (rule 8)
              Deferred                     Done; on the last attempt LookFor, with a verdict
    Create    Drafted                      LookFor, in doubt from now on
              Unknown                      LookFor
              Rejected                     LookFor, with a verdict (rule 8)
              Deferred                     Done; on the last attempt LookFor, with a verdict
    LookFor   something has left           Done(Delivered)                                    3a, 6
              leaving, live drafts, doubt  Done(Waiting), without doubt from now on           book
              leaving, live drafts         Retire(all of them), then LookFor                  book
              leaving, nothing, no doubt   Move to the next place                             book
              expired, too early to judge  Done(Waiting)                                      7
              verdict, live drafts         Retire(all of them), then LookFor                  7, 8
              verdict, none                Done(Rejected)                                     7, 8
              the place is closed          Done(Waiting) until the next one opens             book
              one live draft               Send(that one, whoever made it)                    3b
              several live drafts          Retire(all but the first), then LookFor            3c, 4
              nothing, no doubt            Create; Fetch where files by URL are to be had     3d
              nothing, doubt               Done(Waiting) twice, then Done(Unresolved)         3d
    Send      Delivered                    Done (LookFor, where only a look tells the Message-ID)
              Rejected                     LookFor, with a verdict (rule 8)
              Deferred                     Done; on the last attempt LookFor, with a verdict
              Unknown                      LookFor: never sent again without one             5

Create and Send are not done in a place that is closed. "book": `worker/profiles/book.py`, where mail is when profiles
change. The third act of one pass that gets no answer is given back (rule 9): `MAX_UNANSWERED`.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from worker.clock import rfc3339
from worker.mail.message import Spooled
from worker.mail.outcome import Deferred, Delivered, Reason, Rejected, Scope, Unknown, Unresolved
from worker.mail.transport import Drafted, DraftOutcome, SendOutcome, Sight
from worker.outbound.entry import (
    CLOCK_ALLOWANCE,
    Create,
    Done,
    Entry,
    Fetch,
    LookFor,
    Move,
    Retire,
    Send,
    Step,
    Waiting,
)

MAX_UNANSWERED: Final = 2
EMPTY_LOOKS: Final = 3
EMPTY_LOOK_PAUSE_SECONDS: Final = 30
_LEAVING_SECONDS: Final = 1


def before_create(entry: Entry, now: datetime) -> Step:
    """Rule 7: the clock is compared before each create. A draft is complete at once, so its files come before it."""
    if _expired(entry, now):
        entry.verdict = entry.verdict or expiry(entry)
    if entry.max_bytes is not None and entry.message.mail_bytes > entry.max_bytes:
        entry.verdict = entry.verdict or too_large(entry.message.mail_bytes, entry.max_bytes)
    if entry.verdict or entry.leaving:
        return LookFor()
    if (closed := _closed(entry, now)) is not None:
        return closed
    return Fetch() if entry.links else Create()


def after_fetch(entry: Entry, outcome: tuple[Spooled, ...] | Deferred | Rejected) -> Step:
    """Nothing was done in Exchange; but another delivery of the request may have done it, so a refusal needs a look."""
    match outcome:
        case Rejected(reason):
            entry.verdict = reason
            return LookFor()
        case Deferred():
            return _deferred(entry, outcome)
        case _:
            entry.take(outcome)
            return Create()


def after_create(entry: Entry, outcome: DraftOutcome) -> Step:
    match outcome:
        case Drafted():
            entry.begin()
            return LookFor()
        case Unknown(reason):
            return _unanswered(entry, reason)
        case Rejected(reason):
            entry.verdict = reason
            return LookFor()
        case Deferred():
            return _deferred(entry, outcome)


def after_look(entry: Entry, sight: Sight, began_at: datetime, now: datetime) -> Step:
    """`began_at` is when the look was begun: only a look begun after expiry may decide on it."""
    if sight.left_as is not None:
        return Done(Delivered(sight.left_as or entry.drafted_as))
    if entry.sent:
        return Done(Delivered(entry.drafted_as))
    if entry.leaving:
        return _leave(entry, sight)
    if (closed := _closed(entry, now)) is not None:
        return closed
    if entry.verdict is None and _expired(entry, now):
        entry.verdict = expiry(entry)
    if entry.verdict is not None:
        return _end(entry, entry.verdict, sight, began_at, now)
    return _go_on(entry, sight)


def after_send(entry: Entry, outcome: SendOutcome) -> Step:
    match outcome:
        case Delivered(message_id):
            entry.sent, entry.drafted_as = True, outcome.drafted_as
            return Done(outcome) if message_id else LookFor()
        case Rejected(reason):
            entry.verdict = reason
            return LookFor()
        case Unknown(reason):
            return _unanswered(entry, reason)
        case Deferred():
            return _deferred(entry, outcome)


def expiry(entry: Entry) -> Reason:
    assert entry.expires_at is not None
    return Reason(
        "expired",
        Scope.MESSAGE,
        f"the mail could not be delivered before its expires_at, {rfc3339(entry.expires_at)}",
        "send it again as a new event if it is still wanted; the deferrals before tell what held it up",
    )


def too_large(size: int, most: int) -> Reason:
    return Reason(
        "message-too-large",
        Scope.MESSAGE,
        f"the mail has about {size} bytes, and its profile takes no more than {most}",
        "send less with it; or raise max_message_bytes in the profile, if the server takes more",
    )


def _expired(entry: Entry, now: datetime) -> bool:
    return entry.expires_at is not None and now >= entry.expires_at


def _go_on(entry: Entry, sight: Sight) -> Step:
    match sight.live:
        case ():
            return _nothing(entry) if entry.doubt else Create()
        case (alone,):
            return Send(alone)
        case (_, *others):
            return Retire(tuple(others), all_of_them=False)
    raise AssertionError(sight)


def _leave(entry: Entry, sight: Sight) -> Step:
    """Something may still have left from a place further on, so not even a verdict ends it here.

    Before a draft of ours is retired the message itself says that there is no doubt any more: whoever takes it up after
    a worker that died over it finds neither draft nor doubt, and goes on.
    """
    if sight.live and entry.doubt_here:
        entry.doubt = False
        return Done(Waiting(_LEAVING_SECONDS, "the profiles have changed: it is taken out of a mailbox"))
    if sight.live:
        return Retire(sight.live, all_of_them=True)
    return _nothing(entry) if entry.doubt_here else Move()


def _closed(entry: Entry, now: datetime) -> Step | None:
    if entry.closes_at is None or entry.opens_at is None or now < entry.closes_at:
        return None
    wait = max(1.0, (entry.opens_at - now).total_seconds())
    return Done(Waiting(wait, "the profiles have changed: it goes on in another mailbox"))


def _end(entry: Entry, verdict: Reason, sight: Sight, began_at: datetime, now: datetime) -> Step:
    """Rules 7 and 8: failed only when a look shows that nothing has left and nothing live remains."""
    if sight.live:
        return Retire(sight.live, all_of_them=True)
    if verdict.code == "expired" and entry.expires_at is not None:
        judged_from = entry.expires_at + CLOCK_ALLOWANCE
        if began_at < judged_from:
            return Done(Waiting(max(1.0, (judged_from - now).total_seconds()), "expiry is decided a moment later"))
    return Done(Rejected(verdict))


def _nothing(entry: Entry) -> Step:
    """Rule 3d with doubt: look again with pauses, in the broker's time and not in the lane's; never create again."""
    looks = entry.history.empty_looks + 1
    if looks < EMPTY_LOOKS:
        return Done(Waiting(EMPTY_LOOK_PAUSE_SECONDS, "a confirmed draft is nowhere to be seen", looks))
    return Done(
        Unresolved(
            Reason(
                "draft-vanished",
                Scope.MESSAGE,
                f"a draft of this mail of {entry.mailbox} was made, and neither it nor a sent copy is there any more",
                "see in the mailbox (Deleted Items, Recoverable Items) and in the message trace whether it left; "
                "'mailrouter dead replay ID' sends it anew, 'mailrouter dead drop ID' gives it up",
            )
        )
    )


def _unanswered(entry: Entry, reason: Reason) -> Step:
    """The looks in between were answered: it is this message the server does not answer, whatever `reason` says."""
    entry.unanswered += 1
    if entry.unanswered > MAX_UNANSWERED:
        return _deferred(entry, Deferred(replace(reason, scope=Scope.MESSAGE)))
    return LookFor()


def _deferred(entry: Entry, outcome: Deferred) -> Step:
    if entry.last_attempt and not outcome.reason.scope.beyond_message:
        entry.verdict = outcome.reason
        return LookFor()
    return Done(outcome)
