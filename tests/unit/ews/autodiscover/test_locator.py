"""What is remembered of lookups, for how long, and when it is looked up again."""

import asyncio

import pytest

from worker.clock import SystemClock
from worker.ews.autodiscover.locator import AGAIN_SECONDS, GOOD_SECONDS, KEPT_SECONDS, Locator
from worker.ews.autodiscover.steps import Findings

ANNA = "anna@contoso.example"


class SetClock(SystemClock):
    seconds = 1_000_000.0

    def monotonic(self) -> float:
        return self.seconds


class World:
    """A locator, and lookups that find what `urls` holds."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.url = "https://one.example/"
        self.lookups: list[str] = []
        self.going = asyncio.Event()
        self.going.set()
        self.locator = Locator(self._find, self.clock)

    async def _find(self, address: str) -> Findings:
        self.lookups.append(address)
        await self.going.wait()
        return Findings(address, self.url, ())


async def test_an_answer_holds_for_a_day() -> None:
    world = World()
    assert await world.locator.locate(ANNA) == "https://one.example/"
    world.url = "https://two.example/"
    world.clock.seconds += GOOD_SECONDS - 1
    assert await world.locator.locate(ANNA) == "https://one.example/"
    world.clock.seconds += 2
    assert await world.locator.locate(ANNA) == "https://two.example/"
    assert len(world.lookups) == 2


async def test_a_failure_holds_for_a_minute() -> None:
    world = World()
    world.url = ""
    assert isinstance(await world.locator.locate(ANNA), Findings)
    world.url = "https://one.example/"
    world.clock.seconds += AGAIN_SECONDS - 1
    assert isinstance(await world.locator.locate(ANNA), Findings)
    assert len(world.lookups) == 1
    world.clock.seconds += 2
    assert await world.locator.locate(ANNA) == "https://one.example/"


async def test_doubt_looks_again_at_once_but_not_every_time() -> None:
    world = World()
    await world.locator.locate(ANNA)
    world.clock.seconds += AGAIN_SECONDS + 1
    for _ in range(5):
        world.locator.doubt(ANNA, "https://one.example/")
        await world.locator.locate(ANNA)
    assert len(world.lookups) == 2

    world.clock.seconds += AGAIN_SECONDS + 1
    world.url = "https://two.example/"
    assert await world.locator.locate(ANNA) == "https://two.example/"


async def test_doubt_about_an_old_url_is_no_doubt_about_the_new_one() -> None:
    world = World()
    await world.locator.locate(ANNA)
    world.clock.seconds += AGAIN_SECONDS + 1
    world.locator.doubt(ANNA, "https://zero.example/")
    await world.locator.locate(ANNA)
    assert len(world.lookups) == 1


async def test_the_old_url_stays_while_nothing_is_found() -> None:
    world = World()
    await world.locator.locate(ANNA)
    world.url = ""
    world.clock.seconds += GOOD_SECONDS + 1
    for _ in range(3):
        assert await world.locator.locate(ANNA) == "https://one.example/"
    assert len(world.lookups) == 2
    world.clock.seconds += KEPT_SECONDS + 1
    world.url = "https://two.example/"
    assert await world.locator.locate(ANNA) == "https://two.example/"


async def test_many_who_ask_at_once_wait_for_one_lookup() -> None:
    world = World()
    world.going.clear()
    asking = [asyncio.create_task(world.locator.locate(ANNA)) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    world.going.set()
    assert set(await asyncio.gather(*asking)) == {"https://one.example/"}
    assert world.lookups == [ANNA]


async def test_who_gives_up_leaves_the_others_waiting() -> None:
    world = World()
    world.going.clear()
    first, second = (asyncio.create_task(world.locator.locate(ANNA)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    world.going.set()
    assert await second == "https://one.example/"


async def test_not_too_much_is_remembered_or_asked_at_once() -> None:
    world = World()
    world.going.clear()
    addresses = [f"user{number}@contoso.example" for number in range(10_050)]
    asking = [asyncio.create_task(world.locator.locate(each)) for each in addresses]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(world.lookups) == 10
    world.going.set()
    await asyncio.gather(*asking)

    assert world.locator.last(addresses[0]) == ""
    assert world.locator.last(addresses[-1]) == "https://one.example/"
