"""How quick and how cheap reading is: many idle mailboxes, one huge one among others, with notifications and without.

    python -m benchmarks.reading                 every case, about ten minutes
    python -m benchmarks.reading -c idle         one of them

Broker, sandbox Exchange, worker and CRM all run on this machine.
"""

import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from scripts.arrivals import arrival
from scripts.eventually import eventually
from scripts.fleet import Fleet
from scripts.fleet_profiles import reading

Row = dict[str, Any]


def addresses(count: int) -> list[str]:
    return [f"user{number:04d}@contoso.example" for number in range(count)]


async def idle(stack: AsyncExitStack) -> Row:
    """2,000 idle mailboxes, polled every minute and listened to, one worker: CPU and memory over three minutes."""
    fleet = await _fleet(stack, reading(addresses(2000), poll_seconds=60, start="now"))
    process = psutil.Process(fleet.running[0].process.pid)
    await _polled(fleet, 2000)
    before, began = sum(process.cpu_times()[:2]), await _polls(fleet)
    await asyncio.sleep(180)  # what is measured is this time
    spent, polls = sum(process.cpu_times()[:2]) - before, await _polls(fleet) - began
    cpu, memory = round(spent / 1.8, 1), round(process.memory_info().rss / 2**20)
    told = {
        "cpu_percent_of_a_core": cpu,
        "cpu_ms_per_poll": round(spent / polls * 1000, 2),
        "polls": polls,
        "rss_mb": memory,
    }
    return {**told, "good": cpu < 15 and memory < 300}


async def backlog(stack: AsyncExitStack) -> Row:
    """20,000 mails wait in one mailbox when the worker starts; each of 99 others gets one: how long those take."""
    homes = addresses(100)
    fleet = await _fleet(stack, reading(homes, poll_seconds=10, start="all"), workers=0)
    for number in range(20_000):
        await fleet.arrive(homes[0], arrival(0, homes[0]).replace(b"arrival-000000", b"backlog-%06d" % number))
    await fleet.start_worker(0)
    await fleet.until(lambda: len(fleet.inbound) >= 500, 60)
    for number in range(1, 100):
        await fleet.arrive(homes[number], arrival(number, homes[number]))
    others: list[Row] = []

    def all_there() -> bool:
        others[:] = [each for each in fleet.inbound.values() if each["data"]["mailbox"] != homes[0]]
        return len(others) == 99

    await fleet.until(all_there, 60)
    waited = [_seconds(each) for each in others]
    left = 20_000 - (len(fleet.inbound) - 99)
    return {
        "p95_seconds": _p95(waited),
        "most_seconds": round(max(waited), 2),
        "backlog_left_then": left,
        "good": max(waited) < 11 and left > 0,
    }


async def notified(stack: AsyncExitStack) -> Row:
    """poll_seconds = 30, with notifications: 200 mails into 20 mailboxes, one after another."""
    fleet = await _fleet(stack, reading(addresses(20), poll_seconds=30))
    await _polled(fleet, 20)

    async def listened_to() -> bool:
        return bool((await fleet.stats())["connections"])

    await eventually(listened_to, 30)
    return await _arrivals(fleet, 200, 0.1) | await _judged(fleet, 2)


async def refused(stack: AsyncExitStack) -> Row:
    """poll_seconds = 30, and no notifications: likewise, 100 mails."""
    fleet = await _fleet(stack, reading(addresses(20), poll_seconds=30), MAILROUTER_NOTIFICATIONS="off")
    await _polled(fleet, 20)
    return await _arrivals(fleet, 100, 0.5) | await _judged(fleet, 31)


CASES: dict[str, Callable[[AsyncExitStack], Awaitable[Row]]] = {
    "idle": idle,
    "backlog": backlog,
    "notified": notified,
    "refused": refused,
}


async def _fleet(stack: AsyncExitStack, profiles: str, workers: int = 1, **environment: str) -> Fleet:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    fleet = await stack.enter_async_context(
        Fleet(directory, workers=workers, profiles=profiles, environment=environment)
    )
    await stack.enter_async_context(fleet.listening())
    return fleet


async def _polls(fleet: Fleet) -> int:
    return int((await fleet.stats())["requests"].get("SyncFolderItems", 0))


async def _polled(fleet: Fleet, mailboxes: int) -> None:
    """Until each mailbox was polled once."""

    async def all_polled() -> bool:
        return await _polls(fleet) >= mailboxes

    await eventually(all_polled, 120)


async def _arrivals(fleet: Fleet, count: int, every_seconds: float) -> Row:
    homes = addresses(20)
    for number in range(count):
        await fleet.arrive(homes[number % 20], arrival(number, homes[number % 20]))
        await asyncio.sleep(every_seconds)  # the pace of the load
    await fleet.until(lambda: len(fleet.inbound) >= count, 90)
    return {"mails": len(fleet.inbound)}


async def _judged(fleet: Fleet, limit_seconds: float) -> Row:
    waited = [_seconds(each) for each in fleet.inbound.values()]
    return {
        "p50_seconds": round(statistics.median(waited), 2),
        "p95_seconds": _p95(waited),
        "good": _p95(waited) < limit_seconds,
    }


def _seconds(event: Row) -> float:
    """From Exchange receiving the mail (the sandbox's clock is ours) until the CRM had it."""
    received_at: str = event["data"]["received_at"]
    heard_at: float = event["_heard_wall"]
    return heard_at - datetime.fromisoformat(received_at).timestamp()


def _p95(seconds: list[float]) -> float:
    return round(statistics.quantiles(seconds, n=20)[18], 2)


async def measure(name: str, progress: Progress) -> Row:
    bar = progress.add_task((CASES[name].__doc__ or name).partition("\n")[0], total=None)
    async with AsyncExitStack() as stack:
        row = await CASES[name](stack)
    progress.update(bar, total=1, completed=1)
    return {"case": name, **row}


@click.command(help=__doc__)
@click.option("-c", "--case", "names", multiple=True, type=click.Choice(list(CASES)), help="Only these cases.")
@click.option("--json", "as_json", is_flag=True, help="The results as JSON.")
def main(names: tuple[str, ...], *, as_json: bool) -> None:
    with Progress(console=Console(stderr=True)) as progress:
        rows = [asyncio.run(measure(name, progress)) for name in names or CASES]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        table = Table("case", "measured", show_lines=True)
        for row in rows:
            told = "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in row.items() if name != "case")
            table.add_row(row["case"], told, style=None if row["good"] else "red")
        Console().print(table)
    sys.exit(0 if all(row["good"] for row in rows) else 1)


if __name__ == "__main__":
    main()
