"""One mail per request at full size, while something dies: counts, speed, CPU and memory of the workers.

    python -m benchmarks.exactly_once                     every mode, 10,000 events each
    python -m benchmarks.exactly_once -m killed -n 2000   one of them, smaller

Each mode starts a broker of its own, the sandbox Exchange and two workers on this machine, publishes varied events and
waits until each e-mail is accepted. Then the sandbox is asked what left, and the two are compared.
"""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from scripts.fleet import Fleet
from scripts.samples import event

LIMIT_SECONDS = 1800


@dataclass(frozen=True)
class Mode:
    text: str
    sandbox_arguments: tuple[str, ...] = ()
    copies: int = 1
    trouble: Callable[[Fleet], Awaitable[None]] | None = None


async def kill_workers(fleet: Fleet) -> None:
    """SIGKILL one of the workers every second, and start another in its place."""
    draw = random.Random(1)
    while True:
        await asyncio.sleep(1)
        number = draw.randrange(fleet.workers)
        await fleet.kill_worker(number)
        await fleet.start_worker(number)


async def kill_broker(fleet: Fleet, times: int = 5, every_seconds: float = 6) -> None:
    """SIGKILL RabbitMQ while mail is under way, start it again with its data; so many times."""
    assert fleet.broker is not None
    for _ in range(times):
        await asyncio.sleep(every_seconds)
        await asyncio.to_thread(fleet.broker.kill)
        await asyncio.to_thread(fleet.broker.restart)


MODES = {
    "calm": Mode("nothing goes wrong"),
    "killed": Mode("a worker is killed every second", ("--dwell-outbox", "0.5"), trouble=kill_workers),
    "lost": Mode("5 % of the answers of each operation are lost after the work", ("--fault", "lost=0.05")),
    "broker": Mode("RabbitMQ is killed and restarted with its data, five times", trouble=kill_broker),
    "twice": Mode("every event is published twice", copies=2),
}


@dataclass
class Result:
    mode: str
    events: int
    mails: int
    missing: int
    doubled: int
    accepted_once: int
    other_final: int
    seconds: float
    mails_per_second: float
    cpu_ms_per_mail: float
    rss_mb: list[float]

    @property
    def good(self) -> bool:
        return self.missing == self.doubled == self.other_final == 0 and self.accepted_once == self.events


class Watch:
    """CPU time of all workers that ever ran, and the memory of those that run."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._spent: dict[int, float] = {}
        self.rss_mb: list[float] = []

    def sample(self) -> None:
        for worker in self._fleet.running.values():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(worker.process.pid)
                self._spent[process.pid] = sum(process.cpu_times()[:2])
                self.rss_mb.append(round(process.memory_info().rss / 2**20, 1))

    @property
    def cpu_seconds(self) -> float:
        return sum(self._spent.values())


async def measure(name: str, count: int, progress: Progress) -> Result:
    mode = MODES[name]
    bar = progress.add_task(f"{name}: {mode.text}", total=count)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet = await stack.enter_async_context(Fleet(directory, sandbox_arguments=mode.sandbox_arguments))
        await stack.enter_async_context(fleet.listening())
        began = time.monotonic()
        tasks = [asyncio.create_task(fleet.publish((event(number) for number in range(count)), copies=mode.copies))]
        if mode.trouble:
            tasks.append(asyncio.create_task(mode.trouble(fleet)))  # type: ignore[arg-type]
        watch = Watch(fleet)
        samples: list[float] = []
        while fleet.reached["accepted"] < count and time.monotonic() - began < LIMIT_SECONDS:
            with suppress(TimeoutError):
                await fleet.until(lambda: fleet.reached["accepted"] >= count, 1)
            watch.sample()
            samples.append(max(watch.rss_mb[-2:], default=0))
            progress.update(bar, completed=fleet.reached["accepted"])
            for task in tasks:
                if task.done():
                    task.result()
        seconds = time.monotonic() - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stats = await fleet.arrived()
        states = [list(each.values()) for each in fleet.states.values()]
        return Result(
            name,
            count,
            stats["mails"],
            missing=count - stats["stamps"],
            doubled=len(stats["doubled"]),
            accepted_once=sum(each.count("accepted") == 1 for each in states),
            other_final=sum("failed" in each or "unresolved" in each for each in states),
            seconds=round(seconds, 1),
            mails_per_second=round(count / seconds, 1),
            cpu_ms_per_mail=round(watch.cpu_seconds / count * 1000, 2),
            rss_mb=[samples[int(part * (len(samples) - 1))] for part in (0.1, 0.25, 0.5, 0.75, 1.0)],
        )


@click.command(help=__doc__)
@click.option("-n", "--count", default=10_000, show_default=True, help="Events of each mode.")
@click.option("-m", "--mode", "names", multiple=True, type=click.Choice(list(MODES)), help="Only these modes.")
@click.option("--json", "as_json", is_flag=True, help="The results as JSON.")
def main(count: int, names: tuple[str, ...], *, as_json: bool) -> None:
    with Progress(console=Console(stderr=True)) as progress:
        results = [asyncio.run(measure(name, count, progress)) for name in names or MODES]
    if as_json:
        click.echo(json.dumps([asdict(result) for result in results]))
    else:
        table = Table("mode", "events", "mails", "missing", "doubled", "accepted once", "failed or unresolved", "s",
                      "mails/s", "worker CPU ms/mail", "RSS MB at 10, 25, 50, 75, 100 %")  # fmt: skip
        for result in results:
            table.add_row(*(str(value) for value in asdict(result).values()), style=None if result.good else "red")
        Console().print(table)
    sys.exit(0 if all(result.good for result in results) else 1)


if __name__ == "__main__":
    main()
