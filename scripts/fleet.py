"""The whole product on one machine, as processes: a broker, the sandbox Exchange, workers, and a CRM that publishes,
reads its status events and takes what comes in. The demo shows it, the scenario tests break it, the benchmarks measure
it.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aio_pika
import aiohttp
import orjson
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aio_pika.connection import make_url

from scripts.private_broker import PrivateBroker, free_ports
from worker.rabbitmq.lost import LOST, closing_told

STATUS_QUEUE = "crm.mail.status"
INBOUND_QUEUE = "crm.mail.inbound"
DEAD_QUEUE = "crm.mail.dead"
COMMAND = (sys.executable, "-m", "worker")
Event = dict[str, Any] | bytes | aio_pika.Message
"""What is published as it is, or in structured mode."""

_START_SECONDS = 30
_STOP_SECONDS = 30

PROFILES = """\
[[profile]]
name        = "Sandbox"
direction   = "outgoing"
server      = "exchange"
location    = "{url}"
username    = "router@contoso.example"
password    = "env:FLEET_PASSWORD"
user_type   = "administrator"
access      = "impersonation"

[[mailbox]]
address  = "*@contoso.example"
outgoing = "Sandbox"
"""

READING = """
[[profile]]
name         = "Inbox"
direction    = "incoming"
server       = "exchange"
location     = "{url}"
username     = "router@contoso.example"
password     = "env:FLEET_PASSWORD"
user_type    = "administrator"
access       = "impersonation"
"""

READ = """
[[mailbox]]
address  = "{address}"
kind     = "{kind}"
outgoing = "Sandbox"
incoming = "Inbox"
"""


def reading(addresses: Iterable[str], *, kind: str = "user", **keys: str | float) -> str:
    """The usual profiles, with these mailboxes read besides; `keys` are keys of the incoming profile."""
    profile = READING + "".join(f"{key} = {orjson.dumps(value).decode()}\n" for key, value in keys.items())
    return PROFILES + profile + "".join(READ.format(address=each, kind=kind) for each in addresses)


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
class Fleet:
    """Use as an asynchronous context. `directory` takes profiles and logs. No `broker_url`: a private broker."""

    directory: Path
    workers: int = 2
    broker_url: str = ""
    sandbox_arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    profiles: str = PROFILES
    broker: PrivateBroker | None = None
    sandbox: Process | None = None
    running: dict[int, Process] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, dict[str, str]] = field(default_factory=dict)
    """For each e-mail the ids of its status events and their states; repeats fall away, as with any consumer."""
    reached: Counter[str] = field(default_factory=Counter)
    """How many e-mails have reached each state."""
    received: list[dict[str, Any]] = field(default_factory=list)
    """What came in, as it was published, repeats and all."""
    inbound: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What came in, by event id: repeats fall away."""
    url: str = ""
    witness: str = ""
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    _heard: asyncio.Condition = field(default_factory=asyncio.Condition)

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

    async def publish(self, events: Iterable[Event], *, key: str = "email.send", copies: int = 1) -> int:
        """As a CRM does: confirmed, and again whatever the broker did not confirm. How many events."""
        count = 0
        waiting = list(events)
        while waiting:
            with contextlib.suppress(*LOST), closing_told():
                async with connected(self.broker_url) as connection:
                    channel = await connection.channel(on_return_raises=True)
                    exchange = await channel.get_exchange("crm.mail")
                    while waiting:
                        batch = waiting[:200]
                        await asyncio.gather(
                            *(exchange.publish(message(each), key, timeout=30) for each in batch for _ in range(copies))
                        )
                        del waiting[: len(batch)]
                        count += len(batch)
            await asyncio.sleep(0.2 if waiting else 0)
        return count

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take the status events and what came in as a CRM does, through every loss of the connection."""
        listeners = [asyncio.create_task(self._listen(each)) for each in (STATUS_QUEUE, INBOUND_QUEUE)]
        try:
            yield
        finally:
            ended = [each for each in listeners if not each.cancel()]
            await asyncio.gather(*listeners, return_exceptions=True)
            if ended:
                raise RuntimeError(f"nobody listened any more: {ended}")

    async def _listen(self, name: str) -> None:
        while True:
            with contextlib.suppress(*LOST), closing_told():
                async with connected(self.broker_url) as connection:
                    channel = await connection.channel()
                    await channel.set_qos(500)
                    queue = await channel.get_queue(name)
                    async with queue.iterator() as messages:
                        async for each in messages:
                            await self._take(each)
            await asyncio.sleep(0.2)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        event = orjson.loads(message.body)
        event["_heard_at"] = time.monotonic()
        event["_heard_wall"] = time.time()
        self._note(event)  # before the ack, which may be taken although its connection is lost
        await message.ack()
        async with self._heard:
            self._heard.notify_all()

    def _note(self, event: dict[str, Any]) -> None:
        if event["type"] == "crm.email.received.v1":
            self.received.append(event)
            self.inbound.setdefault(event["id"], event)
            return
        self.statuses.append(event)
        state = event["type"].split(".")[2]
        known = self.states.setdefault(event["data"]["email_id"], {})
        self.reached[state] += state not in known.values()
        known[event["id"]] = state

    def about(self, email_id: str) -> list[dict[str, Any]]:
        """The status events about an e-mail, in order, repeats dropped."""
        found: dict[str, dict[str, Any]] = {}
        for each in self.statuses:
            if each["data"]["email_id"] == email_id:
                found.setdefault(each["id"], each)
        return list(found.values())

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition on what the CRM got holds. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self._heard:
            await self._heard.wait_for(condition)

    async def mails(self) -> list[dict[str, Any]]:
        """Every mail that left the sandbox."""
        async with self.http.get(f"{self.witness}/mails") as answer:
            return [orjson.loads(line) for line in (await answer.read()).splitlines()]

    async def stats(self) -> dict[str, Any]:
        async with self.http.get(f"{self.witness}/stats") as answer:
            found: dict[str, Any] = orjson.loads(await answer.read())
            return found

    async def arrive(self, mailbox: str, source: bytes, received: str = "") -> str:
        """A mail comes into a mailbox from outside, now or at the time given; its item id."""
        where = {"mailbox": mailbox, "received": received}
        async with self.http.post(f"{self.witness}/arrivals", params=where, data=source) as answer:
            answer.raise_for_status()
            item_id: str = (await answer.json())["id"]
            return item_id

    async def answer(self, **asked: str) -> None:
        """Somebody outside answers a mail that left: `kind`, `to` or `message_id`, as the witness has them."""
        await self.order("replies", **asked)

    async def inbox(self, mailbox: str, folder: str = "inbox") -> list[dict[str, Any]]:
        """What lies in the Inbox of a mailbox, or in another of its folders."""
        async with self.http.get(f"{self.witness}/inbox", params={"mailbox": mailbox, "folder": folder}) as answer:
            answer.raise_for_status()
            return [orjson.loads(line) for line in (await answer.read()).splitlines()]

    async def arrived(self, seconds: float = 30) -> dict[str, Any]:
        """The sandbox's statistics once no mail is on its way through Drafts and Outbox any more."""

        async def none_in_transit() -> bool:
            return not (await self.stats())["in_transit"]

        await eventually(none_in_transit, seconds)
        return await self.stats()

    async def order(self, what: str, **parts: Any) -> None:  # noqa: ANN401 - JSON
        """An order to the sandbox, as its witness has them: `faults`, `options`, `rights`, `moves` and so on."""
        async with self.http.post(f"{self.witness}/{what}", json=parts) as answer:
            answer.raise_for_status()

    async def first_syncs(self, mailboxes: Iterable[str], limit_seconds: float) -> None:
        """Wait until each mailbox was looked at: what comes from now on is owed."""

        async def noted() -> bool:
            answers = []
            for each in mailboxes:
                async with self.http.get(f"{self.witness}/configurations", params={"mailbox": each}) as answer:
                    answers.append(await answer.read())
            return all(answers)

        await eventually(noted, limit_seconds)

    async def clear_faults(self) -> None:
        """Take back every order of faults."""
        async with self.http.delete(f"{self.witness}/faults") as answer:
            answer.raise_for_status()

    async def take_dead_letters(self) -> list[AbstractIncomingMessage]:
        """All that are in the dead-letter queue, taken out of it."""
        letters: list[AbstractIncomingMessage] = []
        async with await aio_pika.connect(self.broker_url) as connection, connection.channel() as channel:
            queue = await channel.get_queue(DEAD_QUEUE)
            while (letter := await queue.get(no_ack=True, fail=False)) is not None:
                letters.append(letter)
        return letters

    async def queue_length(self, name: str) -> int:
        async with await aio_pika.connect(self.broker_url) as connection, connection.channel() as channel:
            queue = await channel.get_queue(name)
            return queue.declaration_result.message_count or 0

    async def until_queued(self, name: str, count: int, seconds: float) -> None:
        """Wait until so many messages are in a queue. Raises TimeoutError."""

        async def queued() -> bool:
            return await self.queue_length(name) == count

        await eventually(queued, seconds)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[AbstractConnection]:
    """A connection; closed in any case, also one that was never made: it would try that when it is collected."""
    connection = aio_pika.Connection(make_url(url))
    try:
        await connection.connect()
        yield connection
    finally:
        await connection.close()


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Ask until it holds: for what happens in another process, and is told by nobody. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.05)


def message(event: Event) -> aio_pika.Message:
    """As a CRM publishes it: structured mode, persistent; a message is published as it is."""
    if isinstance(event, aio_pika.Message):
        return event
    body = event if isinstance(event, bytes) else orjson.dumps(event)
    return aio_pika.Message(
        body,
        content_type="application/cloudevents+json",
        message_id=None if isinstance(event, bytes) else event.get("id"),
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
