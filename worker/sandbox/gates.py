"""Gates: a test holds the next request of an operation at a point, and lets it go on when it likes."""

import asyncio
from dataclasses import dataclass, field
from typing import Literal

Point = Literal["before", "after"]
"""Before any work, or after the work and before the answer."""


@dataclass(slots=True)
class Gate:
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)


class Gates:
    def __init__(self) -> None:
        self._waiting: dict[tuple[str, Point], list[Gate]] = {}
        self._all: list[Gate] = []

    def close(self, operation: str, point: Point) -> Gate:
        """Hold the next request of this operation there: wait for `reached`, set `opened` to let it go on."""
        gate = Gate()
        self._waiting.setdefault((operation, point), []).append(gate)
        self._all.append(gate)
        return gate

    async def pass_by(self, operation: str, point: Point) -> None:
        gates = self._waiting.get((operation, point))
        if gates:
            gate = gates.pop(0)
            gate.reached.set()
            await gate.opened.wait()

    def open_all(self) -> None:
        self._waiting.clear()
        for gate in self._all:
            gate.opened.set()
