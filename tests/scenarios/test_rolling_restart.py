"""Workers are replaced one by one while mail flows, and nobody notices.

The same at full size: `python -m benchmarks.rolling`.
"""

import pytest

from benchmarks.rolling import PROFILES, SANDBOX, counted, roll
from tests.scenarios.conftest import StartFleet, assert_each_once


@pytest.mark.timeout(300)
async def test_each_worker_replaced_twice_under_load(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(profiles=PROFILES, sandbox_arguments=SANDBOX)
    load, restarts = await roll(fleet, rounds=2, per_second=10)
    result = await counted(fleet, load, restarts, seconds=1)
    assert result.faults == []
    assert (result.restarts, result.shutdown_bound_seconds) == (4, 20)
    assert result.least_in_hand > 0
    assert load.arrived > 0
    await assert_each_once(fleet, len(load.published_at))
    assert set(fleet.reached) == {"accepted"}
