"""Every mail comes to the CRM, repeats under one id only, whatever dies when: whole fleets, by seed.

MAILROUTER_SIMULATION_SEEDS=0:100000 pytest tests/simulation      runs more of them
"""

import os

import pytest

from tests.simulation.inbound_world import Plan, World, check
from tests.simulation.virtual_time import run

FIRST, LAST = (int(each) for each in os.environ.get("MAILROUTER_SIMULATION_SEEDS", "0:50").split(":"))


@pytest.mark.parametrize("start", range(FIRST, LAST, 25))
def test_swarm_of_faults(start: int) -> None:
    for seed in range(start, min(start + 25, LAST)):
        world = World(Plan.swarm(seed))
        try:
            run(world.run())
            check(world)
        except (AssertionError, TimeoutError) as error:
            pytest.fail(f"seed {seed}: {error!r}\n{Plan.swarm(seed)}")
