"""A page as its reader follows it: shell blocks typed one after the other into terminals, and what has to appear."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from tests.unit.docs import ROOT, page

_BLOCK = re.compile(r"^(?:<!-- terminal: (\d) -->\n)?```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """Something to type, or what is to appear after it."""

    terminal: str
    kind: Literal["sh", "text"]
    text: str


def steps(name: str) -> Iterator[Step]:
    terminal = ""
    for named, kind, text in _BLOCK.findall(page(name)):
        assert named or kind == "text", f"{name}: a block without a terminal: {text}"
        terminal = named or terminal
        yield Step(terminal, kind, text)


@dataclass
class Terminal:
    shell: asyncio.subprocess.Process
    shown: list[str] = field(default_factory=list)
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def type(self, text: str) -> None:
        assert self.shell.stdin is not None
        self.shell.stdin.write(text.encode())
        await self.shell.stdin.drain()

    async def read(self) -> None:
        assert self.shell.stdout is not None
        async for line in self.shell.stdout:
            async with self._more:
                self.shown.append(line.decode().rstrip())
                self._more.notify_all()

    async def until(self, lines: list[str], seconds: float) -> None:
        """Until these have appeared, each on a line of its own."""
        try:
            async with asyncio.timeout(seconds), self._more:
                await self._more.wait_for(lambda: set(lines) <= set(self.shown))
        except TimeoutError:
            raise AssertionError(f"{lines} did not appear in:\n" + "\n".join(self.shown)) from None


@asynccontextmanager
async def terminal(environment: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """A shell that ends, with all it started, as if interrupted. `sh -e`: a command that fails ends it."""
    shell = await asyncio.create_subprocess_exec(
        *("sh", "-e"),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    made = Terminal(shell)
    reading = asyncio.create_task(made.read())
    try:
        yield made
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGINT)
        assert shell.stdin is not None
        shell.stdin.close()
        await shell.wait()
        await reading
