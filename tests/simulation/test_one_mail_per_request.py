"""One mail leaves per request, whatever dies when: whole pipelines against a faulty world, by seed.

MAILROUTER_SIMULATION_SEEDS=0:100000 pytest tests/simulation      runs more of them
"""

import os

import pytest

from tests.simulation.virtual_time import run
from tests.simulation.world import Plan, World, check

FIRST, LAST = (int(each) for each in os.environ.get("MAILROUTER_SIMULATION_SEEDS", "0:200").split(":"))


@pytest.mark.parametrize("start", range(FIRST, LAST, 25))
def test_swarm_of_faults(start: int) -> None:
    for seed in range(start, min(start + 25, LAST)):
        world = World(Plan.swarm(seed))
        try:
            run(world.run())
            check(world)
        except (AssertionError, TimeoutError) as error:
            pytest.fail(f"seed {seed}: {error!r}\n{Plan.swarm(seed)}")


@pytest.mark.parametrize("start", range(FIRST // 3, LAST // 3, 25))
def test_profiles_change_meanwhile(start: int) -> None:
    for seed in range(start, min(start + 25, LAST // 3)):
        world = World(Plan.changing(seed))
        try:
            run(world.run())
            check(world)
        except (AssertionError, TimeoutError) as error:
            pytest.fail(f"seed {seed}: {error!r}\n{Plan.changing(seed)}")


def test_two_copies_two_workers_no_fault() -> None:
    """The race without any fault that breaks 'oldest draft wins': two copies at once, taken by two workers."""
    for seed in range(200):
        world = World(Plan(seed, requests=3, mailboxes=3, workers=2, copies=2, racing=True, faulty_seconds=5))
        run(world.run())
        check(world)
