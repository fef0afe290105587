"""One lane: the mail of a working mailbox that a worker has in hand, and how fast it goes of late."""

import asyncio
from typing import Final

from worker.mail.outcome import Delivered
from worker.mail.stamp import Stamp
from worker.mail.transport import OutgoingMailbox, WorkingMailbox
from worker.outbound.entry import Done, Entry, Fetch

BATCH_MAILS: Final = 10
"""Exchange advises at most 10 items a request; one lost answer then leaves at most 10 mails to be looked for."""

BATCH_BYTES: Final = 4 * 2**20

LANE_MAILS: Final = 2 * BATCH_MAILS
"""So many wait in a lane, of campaigns and of other mail each."""

MOST_SECONDS_A_MAIL: Final = 2.0
"""A lane that is slower counts as so fast: soon it may be faster, and its mail would come back late for hours."""


class Lane:
    """`turn`: of the one batch that is under way. `stuck`: Exchange does not answer the one that has it."""

    def __init__(self, working: WorkingMailbox, mailbox: OutgoingMailbox) -> None:
        self.working = working
        self.mailbox = mailbox
        self.turn = asyncio.Lock()
        self.waiting: dict[bool, dict[Stamp, Entry]] = {False: {}, True: {}}
        self.running = {False: False, True: False}
        self.stuck = False
        self.under_way: dict[Stamp, Entry] = {}
        self.fetching: dict[Stamp, Entry] = {}
        self.seconds_a_mail = 0.05

    def knows(self, stamp: Stamp) -> bool:
        return any(stamp in each for each in (self.under_way, self.fetching, *self.waiting.values()))

    def timed(self, batch: list[Entry], seconds: float) -> None:
        """How fast it is, of late: what nobody has answered tells nothing of that."""
        if any(isinstance(entry.step, Done) and isinstance(entry.step.outcome, Delivered) for entry in batch):
            a_mail = min(MOST_SECONDS_A_MAIL, seconds / len(batch))
            self.seconds_a_mail += 0.3 * (a_mail - self.seconds_a_mail)

    def add(self, entry: Entry) -> bool:
        """Join the entry with one for the same request, if there is one: the other mail's place is the better one.
        Whether it has now a place of its own.
        """
        for entries in (self.under_way, self.fetching, self.waiting[False], self.waiting[True]):
            if (known := entries.get(entry.stamp)) is not None:
                known.merge(entry)
                if not known.bulk and entry.stamp in self.waiting[True]:
                    self.waiting[False][entry.stamp] = self.waiting[True].pop(entry.stamp)
                return False
        place = self.fetching if isinstance(entry.step, Fetch) else self.waiting[entry.bulk]
        place[entry.stamp] = entry
        return True

    @property
    def idle(self) -> bool:
        return not self.fetching and not any(self.running.values())

    def take(self, *, bulk: bool, most: int) -> list[Entry]:
        """The next batch, of a few megabytes at most; empty where the mails went another way meanwhile."""
        batch: list[Entry] = []
        size = 0
        for entry in self.waiting[bulk].values():
            size += entry.message.size
            if len(batch) == most or (batch and size > BATCH_BYTES):
                break
            batch.append(entry)
        for entry in batch:
            del self.waiting[bulk][entry.stamp]
            self.under_way[entry.stamp] = entry
        return batch
