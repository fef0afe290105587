"""How many dead letters there are, by a broker that is too busy to say."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from worker.rabbitmq.dead_letters import DeadLetters
from worker.rabbitmq.session import Session


@dataclass
class Busy:
    """A session and its channel; `counts` is what the broker says, one after another."""

    counts: list[int]
    asked: list[str] = field(default_factory=list)

    async def channel(self) -> "Busy":
        return self

    async def declare_queue(self, name: str, *, passive: bool) -> SimpleNamespace:
        assert passive
        self.asked.append(name)
        return SimpleNamespace(declaration_result=SimpleNamespace(message_count=self.counts.pop(0)))


@pytest.mark.parametrize(("counts", "count", "questions"), [([3], 3, 1), ([0, 3], 3, 2), ([0, 0], 0, 2)])
async def test_none_is_believed_when_it_is_said_twice(counts: list[int], count: int, questions: int) -> None:
    busy = Busy(counts)
    assert await DeadLetters(cast("Session", busy)).count() == count
    assert busy.asked == ["crm.mail.dead"] * questions
