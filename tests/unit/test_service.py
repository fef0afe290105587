"""A service stops within a bound, whatever its work does about being cancelled."""

import asyncio

import pytest

from tests.simulation import virtual_time
from worker.service import END_SECONDS, serve


class Work:
    """`ends_in`: how long it takes once it is told to stop; `cancelled_in`: once it is cancelled."""

    def __init__(self, ends_in: float, cancelled_in: float = 0.0) -> None:
        self._ends_in = ends_in
        self._cancelled_in = cancelled_in
        self.stopping = asyncio.Event()
        self.ended = ""

    async def __call__(self) -> None:
        try:
            await self.stopping.wait()
            await asyncio.sleep(self._ends_in)
            self.ended = "in order"
        except asyncio.CancelledError:
            await asyncio.sleep(self._cancelled_in)
            self.ended = "cancelled"
            raise


@pytest.mark.parametrize(
    ("ends_in", "cancelled_in", "seconds", "ended"),
    [(3.0, 0.0, 3.0, "in order"), (600.0, 2.0, 22.0, "cancelled"), (600.0, 600.0, 20.0 + END_SECONDS, "")],
)
def test_it_stops_within_a_bound(ends_in: float, cancelled_in: float, seconds: float, ended: str) -> None:
    async def scenario() -> None:
        work, stopping = Work(ends_in, cancelled_in), asyncio.Event()
        stopping.set()
        await serve(work(), work.stopping.set, stopping=stopping, shutdown_seconds=20.0)
        assert asyncio.get_running_loop().time() == seconds
        assert work.ended == ended

    virtual_time.run(scenario())


def test_what_the_work_raises_comes_out() -> None:
    async def work() -> None:
        raise LookupError("a defect")

    async def scenario() -> None:
        with pytest.raises(LookupError, match="a defect"):
            await serve(work(), lambda: None, stopping=asyncio.Event(), shutdown_seconds=20.0)

    virtual_time.run(scenario())
