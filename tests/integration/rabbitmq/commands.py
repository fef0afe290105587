"""The command, as a process."""

import asyncio
import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass

from tests.integration.rabbitmq.watching import SECONDS


@dataclass(frozen=True)
class Run:
    status: int
    out: str
    err: str


class Command:
    """`mailrouter` with this broker; never more than one line of anything Python says in it."""

    def __init__(self, url: str) -> None:
        self._environment = {**os.environ, "MAILROUTER_AMQP_URL": url, "COLUMNS": "200", "TERM": "xterm"}

    async def start(self, *arguments: str, stderr: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "worker",
            *arguments,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )

    async def most_memory(self, *arguments: str) -> int:
        """The most that it had while it ran to its end, in bytes."""
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(  # noqa: ASYNC220 - waited for by its rusage, in a thread
            [sys.executable, "-m", "worker", *arguments], env=self._environment, stdout=quiet, stderr=quiet
        )
        _, status, used = await asyncio.to_thread(os.wait4, process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return used.ru_maxrss * 1024

    async def __call__(self, *arguments: str, given: bytes = b"") -> Run:
        process = await self.start(*arguments)
        try:
            async with asyncio.timeout(SECONDS):
                out, err = await process.communicate(given)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        assert b"Traceback" not in err, err.decode()
        assert process.returncode is not None
        return Run(process.returncode, out.decode(), err.decode())
