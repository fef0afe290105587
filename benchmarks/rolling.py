"""A rolling restart under load: each worker in turn is stopped by SIGTERM and a new one started, again and again.

    python -m benchmarks.rolling                           four workers, three times through
    python -m benchmarks.rolling -w 2 --rounds 1 -r 20     smaller

Mail goes out at a steady pace, and a quarter as much comes in, until the last worker was replaced. Nobody may notice:
each mail leaves once and is accepted once, none is deferred, failed or unresolved, what came in is told.
`tests/scenarios` runs the same, small.
"""

import asyncio
import contextlib
import itertools
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import orjson
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from scripts.arrivals import arrival
from scripts.eventually import eventually
from scripts.fleet import Fleet
from scripts.fleet_profiles import reading
from scripts.samples import event
from worker.settings import Settings

MAILBOXES: Final = [f"inbox{number}@contoso.example" for number in range(4)]
PROFILES: Final = reading(MAILBOXES, poll_seconds=5)
SANDBOX: Final = ("--dwell-outbox", "0.5")
LOOK_SECONDS: Final = 0.05
"""What Exchange takes for each folder that is looked into: so a worker always has mail in hand."""
LIMIT_SECONDS: Final = 600
OWED_SECONDS: Final = 120
"""How long is waited in the end for what has not been told yet."""
TICK_SECONDS: Final = 0.1


@dataclass
class Restart:
    """How long SIGTERM took, and the new worker until it was ready; what the old one had in hand."""

    stop_seconds: float
    ready_seconds: float
    in_hand: int


@dataclass
class Load:
    """What was published and came in; when, by e-mail."""

    published_at: dict[str, float] = field(default_factory=dict)
    arrived: int = 0

    async def run(self, fleet: Fleet, per_second: float) -> None:
        """At a steady pace until it is cancelled, between two mails."""
        began, numbers = time.monotonic(), itertools.count()
        while True:
            due = int((time.monotonic() - began) * per_second) + 1
            batch = [event(next(numbers)) for _ in range(due - len(self.published_at))]
            self.published_at |= dict.fromkeys((each["data"]["email_id"] for each in batch), time.monotonic())
            await asyncio.shield(self._give(fleet, batch))
            await asyncio.sleep(TICK_SECONDS)

    async def _give(self, fleet: Fleet, batch: list[dict[str, Any]]) -> None:
        await fleet.publish(batch)
        while self.arrived < len(self.published_at) // 4:
            home = MAILBOXES[self.arrived % len(MAILBOXES)]
            await fleet.arrive(home, arrival(self.arrived, home))
            self.arrived += 1


@contextlib.asynccontextmanager
async def under(load: Load, fleet: Fleet, per_second: float) -> AsyncIterator[None]:
    """While mail flows. When it is over, all that was begun to be published is."""
    task = asyncio.create_task(load.run(fleet, per_second))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def in_hand(fleet: Fleet, number: int) -> int:
    """Mails that a worker has begun."""
    (family,) = (
        each
        for each in text_string_to_metric_families(await fleet.metrics(number))
        if each.name == "mailrouter_outbound_in_progress"
    )
    return int(family.samples[0].value)


async def replace(fleet: Fleet, number: int) -> Restart:
    """Stop a worker while it has mail in hand, and start another in its place."""
    held = 0

    async def works() -> bool:
        nonlocal held
        held = await in_hand(fleet, number)
        return held > 0

    await eventually(works, LIMIT_SECONDS)
    began = time.monotonic()
    if status := await fleet.kill_worker(number, signal.SIGTERM):
        raise click.ClickException(f"worker {number} ended with {status}")
    stopped = time.monotonic()
    await fleet.start_worker(number)
    await fleet.ready(number, LIMIT_SECONDS)
    return Restart(stopped - began, time.monotonic() - stopped, held)


async def roll(
    fleet: Fleet, rounds: int, per_second: float, told: Callable[[Restart], object] = lambda _: None
) -> tuple[Load, list[Restart]]:
    """Replace each worker of the fleet so many times under load, and wait for what is owed."""
    load, restarts = Load(), list[Restart]()
    await fleet.first_syncs(MAILBOXES, LIMIT_SECONDS)
    await fleet.order("options", find_pause_seconds=LOOK_SECONDS)
    async with under(load, fleet, per_second):
        for number in (number for _ in range(rounds) for number in range(fleet.workers)):
            seen = fleet.reached["accepted"]
            await fleet.until(lambda seen=seen: fleet.reached["accepted"] >= seen + per_second, LIMIT_SECONDS)  # type: ignore[misc]
            restarts.append(await replace(fleet, number))
            told(restarts[-1])
    with contextlib.suppress(TimeoutError):  # what is missing then is counted
        await fleet.until(
            lambda: fleet.reached["accepted"] >= len(load.published_at) and len(fleet.inbound) >= load.arrived,
            OWED_SECONDS,
        )
    return load, restarts


@dataclass
class Result:
    workers: int
    restarts: int
    mails_published: int
    mails_per_second: float
    missing: int
    doubled: int
    accepted_once: int
    other_statuses: int
    came_in: int
    told: int
    log_errors: int
    cut_short: int
    dead_letters: int
    longest_stop_seconds: float
    median_stop_seconds: float
    shutdown_bound_seconds: float
    median_ready_seconds: float
    least_in_hand: int
    median_in_hand: float
    p50_seconds: float
    p99_seconds: float
    longest_seconds: float

    @property
    def faults(self) -> list[str]:
        wrong = {
            "missing": self.missing,
            "doubled": self.doubled,
            "accepted_once": self.accepted_once != self.mails_published,
            "other_statuses": self.other_statuses,
            "told": self.told != self.came_in,
            "log_errors": self.log_errors,
            "cut_short": self.cut_short,
            "dead_letters": self.dead_letters,
            "longest_stop_seconds": self.longest_stop_seconds > self.shutdown_bound_seconds,
        }
        return [name for name, is_wrong in wrong.items() if is_wrong]


async def counted(fleet: Fleet, load: Load, restarts: list[Restart], seconds: float) -> Result:
    stats = await fleet.arrived()
    states = [list(each.values()) for each in fleet.states.values()]
    waited = [
        each["_heard_at"] - load.published_at[each["data"]["email_id"]]
        for each in fleet.statuses
        if each["type"] == "crm.email.accepted.v1"
    ]
    stops = [each.stop_seconds for each in restarts]
    held = [each.in_hand for each in restarts]
    lines = list(log_lines(fleet))
    return Result(
        fleet.workers,
        len(restarts),
        count := len(load.published_at),
        round(count / seconds, 1),
        missing=count - stats["stamps"],
        doubled=stats["mails"] - stats["stamps"],
        accepted_once=sum(each == ["accepted"] for each in states),
        other_statuses=sum(state != "accepted" for each in states for state in each),
        came_in=load.arrived,
        told=len(fleet.inbound),
        log_errors=sum(line["level"] == "error" for line in lines),
        cut_short=sum(line["event"].startswith("stopped before") for line in lines),
        dead_letters=len(await fleet.take_dead_letters()),
        longest_stop_seconds=round(max(stops), 2),
        median_stop_seconds=round(statistics.median(stops), 2),
        shutdown_bound_seconds=Settings.model_fields["shutdown_seconds"].default,
        median_ready_seconds=round(statistics.median(each.ready_seconds for each in restarts), 2),
        least_in_hand=min(held),
        median_in_hand=statistics.median(held),
        p50_seconds=round(statistics.median(waited), 2),
        p99_seconds=round(statistics.quantiles(waited, n=100)[-1], 2),
        longest_seconds=round(max(waited), 2),
    )


def log_lines(fleet: Fleet) -> Iterator[dict[str, Any]]:
    for number in range(fleet.workers):
        yield from map(orjson.loads, fleet.running[number].log.read_bytes().splitlines())


async def measure(workers: int, rounds: int, per_second: float, progress: Progress) -> Result:
    bar = progress.add_task(f"{workers} workers, {rounds} times through", total=workers * rounds)
    with tempfile.TemporaryDirectory() as directory:
        made = Fleet(Path(directory), workers=workers, sandbox_arguments=SANDBOX, profiles=PROFILES)
        async with made as fleet, fleet.listening():
            began = time.monotonic()
            load, restarts = await roll(fleet, rounds, per_second, lambda _: progress.advance(bar))
            return await counted(fleet, load, restarts, time.monotonic() - began)


@click.command(help=__doc__)
@click.option("-w", "--workers", default=4, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often each is replaced.")
@click.option("-r", "--rate", default=25.0, show_default=True, help="Mails a second.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def main(workers: int, rounds: int, rate: float, *, as_json: bool) -> None:
    with Progress(console=Console(stderr=True)) as progress:
        result = asyncio.run(measure(workers, rounds, rate, progress))
    if as_json:
        click.echo(json.dumps({**asdict(result), "faults": result.faults}))
    else:
        table = Table(show_header=False)
        for name, value in asdict(result).items():
            table.add_row(name.replace("_", " "), str(value), style="red" if name in result.faults else None)
        Console().print(table)
    sys.exit(1 if result.faults else 0)


if __name__ == "__main__":
    main()
