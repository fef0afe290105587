"""What the scheduler knows of the fleet's mailboxes, for whoever asks."""

from collections import Counter
from datetime import datetime, timedelta

from worker.clock import rfc3339
from worker.events.fleet import InboundState, MailboxState
from worker.inbound.schedule import Schedule, Trouble, Watch


def overview(schedule: Schedule | None, polling: int, *, now: datetime, monotonic: float) -> InboundState:
    """`schedule` is None where this worker is not the scheduler."""
    if schedule is None:
        return InboundState(polling=polling)

    def at(seconds: float | None) -> str:
        return "" if seconds is None else rfc3339(now + timedelta(seconds=seconds - monotonic))

    def state(watch: Watch) -> MailboxState:
        working = watch.route.working
        trouble = watch.trouble or schedule.lanes[working.profile].trouble
        told = MailboxState(
            mailbox=working.address,
            profile=working.profile,
            state=_name(watch, trouble),
            last_sync_at=at(watch.polled_at),
        )
        return told.model_copy(update=_why(trouble, at(trouble.since), at(trouble.until))) if trouble else told

    states = tuple(state(watch) for watch in schedule.watches.values())
    return InboundState(
        scheduler=True,
        polling=polling,
        mailboxes=dict(Counter(each.state for each in states)),
        trouble=tuple(each for each in states if each.state == "paused"),
        all=states,
    )


def _name(watch: Watch, trouble: Trouble | None) -> str:
    if trouble is not None:
        return "paused"
    if watch.out_since is not None:
        return "polling"
    return "new" if watch.polled_at is None else "ok"


def _why(trouble: Trouble, since: str, next_at: str) -> dict[str, str]:
    reason = trouble.reason
    return {"since": since, "code": reason.code, "cause": reason.message, "remedy": reason.remedy, "next_at": next_at}
