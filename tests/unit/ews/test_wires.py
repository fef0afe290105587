"""Connections by URL: kept while they are used, and not too many of them."""

from worker.clock import SystemClock
from worker.ews.transport import Wire
from worker.ews.wires import MOST_IDLE, Wires


def url(number: int) -> str:
    return f"http://host{number}.example/"


async def test_a_url_has_one_wire_and_idle_ones_are_bounded() -> None:
    made: list[str] = []

    def make(to: str, connections: int) -> Wire:
        made.append(to)
        return Wire(to, None, 5, SystemClock())

    wires = Wires(make, bound=False)
    async with wires.to(url(0)) as held:
        for number in range(1, MOST_IDLE + 3):
            async with wires.to(url(number)):
                pass
        async with wires.to(url(0)) as same:
            assert same is held
        async with wires.to(url(MOST_IDLE + 2)):
            pass
    assert len(made) == MOST_IDLE + 3
    async with wires.to(url(1)):
        assert made[-1] == url(1)  # the one used longest ago had to go
    await wires.close()
