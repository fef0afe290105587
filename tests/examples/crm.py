"""The example CRM as a process of its own, as whoever copies it starts it."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from scripts.eventually import eventually
from tests.unit.docs import ROOT

COMMAND = (sys.executable, "-m", "examples.crm")
SECONDS = 30


@dataclass(frozen=True, slots=True)
class Crm:
    database: Path
    url: str

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(*COMMAND, "run", env=self._environment(), cwd=ROOT)
        try:
            yield process
        finally:
            await kill(process)

    async def send(self, sender: str, recipient: str) -> str:
        """The email_id."""
        command = (*COMMAND, "send", sender, recipient, "Good morning", "How are you?")
        process = await asyncio.create_subprocess_exec(
            *command, env=self._environment(), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return output.decode().strip()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute(query).fetchall()

    async def until(self, query: str, rows: list[tuple[object, ...]]) -> None:
        """Until the database answers so."""

        async def so() -> bool:
            return self.rows(query) == rows

        try:
            await eventually(so, SECONDS)
        except TimeoutError:
            assert self.rows(query) == rows  # tells the difference

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "MAILROUTER_AMQP_URL": self.url, "CRM_DATABASE": str(self.database)}


async def kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.wait()
