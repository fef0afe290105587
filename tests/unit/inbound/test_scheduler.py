"""Terms of office that follow each other in one worker."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from tests.simulation.virtual_time import VirtualClock, run
from worker.events.broker import Fleet
from worker.inbound.scheduler import Scheduler
from worker.metrics import REGISTRY


class Recalling:
    """A broker that is slow to take tickets back, as far as the fleet is concerned; `answers` ends that."""

    def __init__(self) -> None:
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def recall(self) -> int:
        self.asked.set()
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            await self.answers.wait()
            raise
        return 0


async def no_reports() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


def told(scheduler: Scheduler) -> tuple[bool, float | None]:
    return scheduler.schedule is not None, REGISTRY.get_sample_value("mailrouter_scheduler")


def test_a_term_that_ends_late_leaves_the_next_one_alone() -> None:
    async def scenario() -> None:
        scheduler = Scheduler((), VirtualClock(), capacity=1, notifications=False)
        terms = []
        for _ in range(2):
            fleet = Recalling()
            terms.append((fleet, asyncio.create_task(scheduler.serve(cast("Fleet", fleet), no_reports()))))
            await fleet.asked.wait()
            terms[0][1].cancel()  # which it does not heed at once
        (slow, first), (fleet, second) = terms
        slow.answers.set()
        await asyncio.wait({first})
        assert told(scheduler) == (True, 1.0)
        second.cancel()
        fleet.answers.set()
        await asyncio.wait({second})
        assert told(scheduler) == (False, 0.0)

    run(scenario())
