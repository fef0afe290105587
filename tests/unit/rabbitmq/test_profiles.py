"""Following what is published, in virtual time: a broker that answers nothing for a while costs that while only."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from aiormq.abc import GetResultType
from pamqp.commands import Basic

from tests.simulation import virtual_time
from worker.rabbitmq.profiles import AGAIN_SECONDS, follow
from worker.rabbitmq.session import CLOSE_SECONDS, OPEN_SECONDS, Session


@dataclass
class Node:
    """A session of a broker that keeps `kept`, and the one channel it opens. `opens`, `closes`: whether it answers."""

    kept: bytes = b"profiles"
    opens: bool = True
    closes: bool = True
    tries: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def channel(self) -> "Node":
        self.tries += 1
        if not self.opens:
            await asyncio.sleep(OPEN_SECONDS)
            raise TimeoutError
        return self

    async def get_underlay_channel(self) -> "Node":
        return self

    async def basic_get(self, _queue: str, **_options: Any) -> GetResultType:
        return cast("GetResultType", Got(self.kept))

    async def release(self, _channel: object) -> None:
        if not self.closes:
            await asyncio.sleep(CLOSE_SECONDS)
            raise TimeoutError


@dataclass
class Got:
    body: bytes
    delivery: Basic.GetOk = field(default_factory=Basic.GetOk)


def test_what_is_published_is_followed_again_once_the_broker_answers() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        node, announced, heard = Node(), asyncio.Event(), asyncio.Queue[bytes | None]()
        session = cast("Session", node)
        following = asyncio.create_task(follow(session, virtual_time.VirtualClock(), announced, heard.put))
        assert await heard.get() == b"profiles"

        node.opens = False  # as while it is short of memory
        await asyncio.sleep(10 * AGAIN_SECONDS)
        assert heard.empty()
        assert 4 <= node.tries <= 1 + 10 * AGAIN_SECONDS / OPEN_SECONDS, "nothing is tried, or too often"
        node.opens, node.closes = True, False
        await asyncio.sleep(5 * AGAIN_SECONDS)
        node.closes, node.kept = True, b"others"
        assert await heard.get() == b"others"

        began = loop.time()
        node.opens = False
        announced.set()
        await asyncio.sleep(1.0)
        node.opens, node.kept = True, b"and others"
        announced.set()
        assert await heard.get() == b"and others"
        assert loop.time() - began <= OPEN_SECONDS, "what is announced has waited"
        node.stopping.set()
        await following

    virtual_time.run(scenario())
