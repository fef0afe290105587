"""The whole product on one machine, as processes: a broker, the sandbox Exchange, workers, and a CRM that publishes,
reads its status events and takes what comes in. The demo shows it, the scenario tests break it, the benchmarks measure
it.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import orjson

from scripts.crm_side import CrmSide
from scripts.fleet_profiles import PROFILES
from scripts.private_broker import PrivateBroker, free_ports
from scripts.queues import Queues
from scripts.witness import Witness

COMMAND = (sys.executable, "-m", "worker")

_START_SECONDS = 30
_STOP_SECONDS = 30


@dataclass
class Process:
    """One of ours. `log` is the file its output goes to."""

    process: asyncio.subprocess.Process
    log: Path
    http: str = ""

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait; a process that does not go is killed. Its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(how)
        try:
            return await asyncio.wait_for(self.process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()


@dataclass
class Fleet(CrmSide, Queues, Witness):
    """Use as an asynchronous context. `directory` takes profiles and logs. No `broker_url`: a private broker.

    Its processes are here; publishing, listening, queues and the witness come with the bases.
    """

    directory: Path
    workers: int = 2
    sandbox_arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    profiles: str = PROFILES
    broker: PrivateBroker | None = None
    sandbox: Process | None = None
    running: dict[int, Process] = field(default_factory=dict)
    url: str = ""
    witness: str = ""
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            if not self.broker_url:
                self.broker = PrivateBroker()
                stack.callback(self.broker.stop)
                await asyncio.to_thread(self.broker.start)
                self.broker_url = self.broker.url
            stack.push_async_callback(self._stop_processes)
            await self.start_sandbox()
            self.http = await stack.enter_async_context(aiohttp.ClientSession())
            text = self.profiles.format(url=self.url, directory=self.directory)
            (self.directory / "profiles.toml").write_text(text)
            for number in range(self.workers):
                await self.start_worker(number)
            await asyncio.gather(*(self.ready(number) for number in range(self.workers)))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _stop_processes(self) -> None:
        await asyncio.gather(*(each.end() for each in self.running.values()))
        if self.sandbox:
            await self.sandbox.end()

    async def start_sandbox(self) -> None:
        """Start it; one that ended begins anew where it was, without a memory."""
        listen = urlsplit(self.url).netloc or "127.0.0.1:0"
        arguments = ["sandbox", "--listen", listen, "--json", *self.sandbox_arguments]
        log = self.directory / "sandbox.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "worker", *arguments, stdout=asyncio.subprocess.PIPE, stderr=errors, limit=2**24
            )
        self.sandbox = Process(process, log)
        assert process.stdout is not None
        told = orjson.loads(await asyncio.wait_for(process.stdout.readline(), _START_SECONDS))
        self.url, self.witness = told["url"], told["witness"]
        self.password = next(user["password"] for user in told["users"] if user["address"].startswith("router@"))

    def settings(self) -> dict[str, str]:
        """The environment of every command of this fleet."""
        return {
            **os.environ,
            "MAILROUTER_AMQP_URL": self.broker_url,
            "MAILROUTER_PROFILES": str(self.directory / "profiles.toml"),
            "MAILROUTER_ATTACHMENT_STORE": str(self.directory / "attachments"),
            "MAILROUTER_LOG_FORMAT": "json",
            "MAILROUTER_CORRELATION_KEY": "env:FLEET_KEY",
            "FLEET_KEY": "a key for this machine only",
            "FLEET_PASSWORD": self.password,
            **self.environment,
        }

    async def start_worker(self, number: int, **environment: str) -> None:
        """`environment` goes before the fleet's own, for this worker."""
        log = self.directory / f"worker-{number}.log"
        (port,) = free_ports(1)
        environment = {**self.settings(), "MAILROUTER_HTTP": f"127.0.0.1:{port}", **environment}
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *COMMAND, "run", env=environment, stdout=output, stderr=output
            )
        self.running[number] = Process(process, log, f"http://127.0.0.1:{port}")

    async def ready(self, number: int, seconds: float = _START_SECONDS) -> None:
        """Wait until a worker says that it can do its work; it is asked again as fast as it answers."""
        worker = self.running[number]
        async with asyncio.timeout(seconds):
            while worker.process.returncode is None:
                with contextlib.suppress(aiohttp.ClientError):
                    async with self.http.get(f"{worker.http}/readyz") as answer:
                        if answer.status == 200:  # noqa: PLR2004
                            return
                await asyncio.sleep(0.02)
        raise RuntimeError(f"worker {number} ended: {worker.log.read_text()[-2000:]}")

    async def kill_worker(self, number: int, how: signal.Signals = signal.SIGKILL) -> int:
        return await self.running[number].end(how)

    async def metrics(self, number: int) -> str:
        async with self.http.get(f"{self.running[number].http}/metrics") as answer:
            return await answer.text()
