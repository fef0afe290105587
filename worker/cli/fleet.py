"""What the workers of a fleet answered, put together and made readable for `mailrouter status`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from worker.clock import rfc3339
from worker.events.fleet import MailboxState, WorkerState
from worker.rabbitmq.fleet import WAIT_SECONDS, FleetState
from worker.rabbitmq.topology import POLLS


@dataclass(frozen=True, slots=True)
class Listed:
    direction: str
    mailbox: MailboxState


FEW: Final = 50
"""So many mailboxes are listed whether or not they are in trouble."""


class Status:
    """What the workers answered, put together."""

    def __init__(self, fleet: FleetState, now: datetime, *, everything: bool = False) -> None:
        self._everything = everything
        self.workers = fleet.workers
        self.queues = fleet.queues
        self.silent = fleet.silent
        self.now = now
        schedulers = [each.inbound for each in fleet.workers if each.inbound and each.inbound.scheduler]
        self._inbound = schedulers[0] if schedulers else None

    @property
    def scheduled(self) -> bool:
        """Whether somebody says when mailboxes are read, where that is wanted."""
        wanted = any(each.name == POLLS and each.consumers for each in self.queues)
        return self._inbound is not None or not wanted

    @property
    def counts(self) -> dict[str, int]:
        return dict(self._inbound.mailboxes) if self._inbound else {}

    @property
    def paused(self) -> int:
        listed = sum(each.mailbox.state == "paused" for each in self.mailboxes if each.direction == "in")
        return max(self.counts.get("paused", 0), listed) + sum(each.state == "paused" for each in self._senders)

    @property
    def fine(self) -> bool:
        return bool(self.workers) and self.scheduled and self.agreed and not self.paused

    @property
    def mailboxes(self) -> list[Listed]:
        """Those in trouble; all that are read where these are few, or that was asked for."""
        read: tuple[MailboxState, ...] = ()
        if self._inbound:
            every = self._everything or len(self._inbound.all) <= FEW
            read = (self._inbound.all if every else ()) or self._inbound.trouble
        return [Listed("in", each) for each in read] + [Listed("out", each) for each in self._senders]

    @property
    def _senders(self) -> list[MailboxState]:
        """What several workers tell of one counts once, since it was first found; what waits adds up."""
        found: dict[tuple[str, ...], MailboxState] = {}
        for outbound in (worker.outbound for worker in self.workers if worker.outbound):
            for each in (*outbound.paused, *outbound.waiting):
                key = each.state, each.mailbox, each.profile, each.server
                found[key] = _together(found[key], each) if key in found else each
        return [found[key] for key in sorted(found)]

    @property
    def agreed(self) -> bool:
        """Whether all workers work by the same profiles, and by what they were given last."""
        return len({each.revision for each in self.workers}) <= 1 and not any(each.fault for each in self.workers)

    def complaints(self) -> Iterator[str]:
        """What is not fine and stands in no row; cause and remedy."""
        if self.silent:
            yield (
                f"no answer from {self.silent} of the workers that are connected, within {WAIT_SECONDS:.0f} s. "
                "Remedy: one that stays so is stuck, or of an older version: restart it."
            )
        if not self.workers:
            yield "no worker answers. Remedy: start one with 'mailrouter run', on the same broker and vhost."
        elif not self.scheduled:
            yield (
                "no worker says when mailboxes are read. Remedy: one is elected within seconds; "
                "if that does not happen, see the workers' logs."
            )
        for each in self.workers:
            if each.fault:
                yield f"{each.worker} does not work by the profiles it was given last: {each.fault}"
        if len({each.revision for each in self.workers}) > 1:
            yield (
                "the workers work by different profiles. Remedy: give all the same file, or publish it "
                "('mailrouter profiles publish') and run all with MAILROUTER_PROFILES=broker."
            )
        if (unlisted := self.paused - sum(each.mailbox.state == "paused" for each in self.mailboxes)) > 0:
            yield f"{unlisted} more mailboxes are paused than are listed. Remedy: put right those listed first."


def _together(one: MailboxState, other: MailboxState) -> MailboxState:
    first = min(one, other, key=lambda each: each.since or "~")
    return first.model_copy(update={"tries": max(one.tries, other.tries), "waiting": one.waiting + other.waiting})


def worker_rows(status: Status) -> list[tuple[str, ...]]:
    return [
        (
            each.worker,
            each.version,
            _roles(each),
            lasted(each.started_at, status.now),
            f"{each.profiles} ({each.revision})" if each.revision else str(each.profiles),
            str(each.outbound.in_progress) if each.outbound else "-",
            str(each.inbound.polling) if each.inbound else "-",
        )
        for each in status.workers
    ]


def mailbox_rows(status: Status) -> list[tuple[str, ...]]:
    return [
        (
            each.mailbox.mailbox or each.mailbox.server or "(all of the profile)",
            each.direction,
            each.mailbox.profile,
            each.mailbox.state,
            lasted(each.mailbox.since, status.now),
            lasted(each.mailbox.last_sync_at, status.now),
            lasted(each.mailbox.next_at, status.now),
            str(each.mailbox.tries or ""),
            str(each.mailbox.waiting or ""),
            f"{each.mailbox.code}: {each.mailbox.cause}" if each.mailbox.code else each.mailbox.cause,
            each.mailbox.remedy,
        )
        for each in status.mailboxes
    ]


def queue_rows(status: Status) -> list[tuple[str, ...]]:
    """Delay tiers are left out while they are empty."""
    return [
        (each.name, str(each.waiting), str(each.consumers), each.use)
        for each in status.queues
        if each.waiting or not each.name.startswith("crm.mail.retry.")
    ]


def as_data(status: Status) -> dict[str, object]:
    return {
        "at": rfc3339(status.now),
        "fine": status.fine,
        "silent_workers": status.silent,
        "workers": [_worker_data(each) for each in status.workers],
        "mailbox_counts": status.counts,
        "mailboxes": [{"direction": each.direction, **each.mailbox.model_dump()} for each in status.mailboxes],
        "queues": [asdict(each) for each in status.queues],
    }


def lasted(moment: str, now: datetime) -> str:
    """How long ago that was, or how long it is until then; "" for no time."""
    try:
        seconds = (now - datetime.fromisoformat(moment)).total_seconds()
    except (ValueError, TypeError):
        return ""
    count, unit = abs(seconds), "s"
    for size, larger in ((60, "min"), (60, "h"), (24, "d")):
        if count < 2 * size:
            break
        count, unit = count / size, larger
    return f"{'in ' if seconds < 0 else ''}{count:.0f} {unit}"


def _roles(worker: WorkerState) -> str:
    scheduler = ["scheduler"] if worker.inbound and worker.inbound.scheduler else []
    return ", ".join([*worker.roles, *scheduler])


def _worker_data(worker: WorkerState) -> dict[str, object]:
    """Without the mailboxes, which stand beside it."""
    data = worker.model_dump(exclude={"outbound": {"paused", "waiting"}, "inbound": {"mailboxes", "trouble", "all"}})
    return {name: value for name, value in data.items() if value is not None}
