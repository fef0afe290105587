"""Every mail comes to the CRM, at full size, while workers die, answers are lost and RabbitMQ is restarted.

    python -m benchmarks.every_mail                      5,000 mails over 100 mailboxes, every mode
    python -m benchmarks.every_mail -m calm -n 500       one mode, smaller

Each mode starts a broker of its own, the sandbox Exchange and three workers on this machine, lets varied mail arrive
and waits until the CRM has all of it. Then what arrived is compared with what the CRM got, and the cursors are looked
at.
"""

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.exactly_once import Watch, kill_broker, kill_workers
from scripts.arrivals import arrival
from scripts.fleet import Fleet
from scripts.fleet_profiles import reading

WORKERS = 3
LIMIT_SECONDS = 1800
REST_SECONDS = 20
"""After the last mail: for cursors to come to rest."""


@dataclass(frozen=True)
class Mode:
    text: str
    sandbox_arguments: tuple[str, ...] = ()
    trouble: tuple[Callable[[Fleet], Awaitable[None]], ...] = ()


LOST = ("--fault", "lost=0.05")
MODES = {
    "calm": Mode("nothing goes wrong"),
    "lost": Mode("5 % of the answers of each operation are lost after the work", LOST),
    "all": Mode(
        "a worker is killed every second, answers are lost, RabbitMQ is restarted",
        LOST,
        (kill_workers, partial(kill_broker, times=3, every_seconds=8)),
    ),
}


@dataclass
class Result:
    mode: str
    arrived: int
    published: int
    missing: int
    strange: int
    events: int
    ids: int
    quarantined: int
    cursors_behind: int
    seconds: float
    mails_per_second: float
    cpu_ms_per_mail: float
    rss_mb: float
    p50_seconds: float
    p95_seconds: float

    @property
    def good(self) -> bool:
        return (
            self.missing == self.strange == self.cursors_behind == self.quarantined == 0 and self.ids == self.published
        )


async def measure(name: str, count: int, mailboxes: int, progress: Progress) -> Result:
    mode = MODES[name]
    bar = progress.add_task(f"{name}: {mode.text}", total=count)
    addresses = [f"user{number:03d}@contoso.example" for number in range(mailboxes)]
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet = await stack.enter_async_context(
            Fleet(
                directory,
                workers=WORKERS,
                sandbox_arguments=mode.sandbox_arguments,
                profiles=reading(addresses, poll_seconds=5, start="all"),
            )
        )
        await stack.enter_async_context(fleet.listening())
        began = time.monotonic()
        draw = random.Random(2)
        homes = {f"<arrival-{number:06d}@customer.example>": draw.choice(addresses) for number in range(count)}
        tasks = [asyncio.create_task(_arrive(fleet, homes))]
        tasks += [asyncio.create_task(trouble(fleet)) for trouble in mode.trouble]  # type: ignore[arg-type]
        watch = Watch(fleet)
        while len(fleet.inbound) < count and time.monotonic() - began < LIMIT_SECONDS:
            with suppress(TimeoutError):
                await fleet.until(lambda: len(fleet.inbound) >= count, 1)
            watch.sample()
            progress.update(bar, completed=len(fleet.inbound))
            for task in tasks:
                if task.done():
                    task.result()
        seconds = time.monotonic() - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(fleet.ready(number) for number in range(WORKERS)))
        behind = await _behind(fleet, addresses)
        got = {each["data"]["message_id"]: each["data"]["mailbox"] for each in fleet.inbound.values()}
        steps = statistics.quantiles(map(_seconds, fleet.inbound.values()), n=20)
        return Result(
            name,
            count,
            len(got),
            missing=len(homes.keys() - got.keys()),
            strange=sum(homes.get(each) != mailbox for each, mailbox in got.items()),
            events=len(fleet.received),
            ids=len(fleet.inbound),
            quarantined=len(await fleet.take_dead_letters()),
            cursors_behind=behind,
            seconds=round(seconds, 1),
            mails_per_second=round(count / seconds, 1),
            cpu_ms_per_mail=round(watch.cpu_seconds / count * 1000, 2),
            rss_mb=max(watch.rss_mb),
            p50_seconds=round(steps[9], 2),
            p95_seconds=round(steps[18], 2),
        )


async def _arrive(fleet: Fleet, homes: dict[str, str]) -> None:
    for number, mailbox in enumerate(homes.values()):
        await fleet.arrive(mailbox, arrival(number, mailbox))


def _seconds(event: dict[str, object]) -> float:
    """From Exchange receiving the mail, by the sandbox's clock, which is ours, until the CRM had it."""
    data = event["data"]
    assert isinstance(data, dict)
    heard_at = event["_heard_wall"]
    assert isinstance(heard_at, float)
    return heard_at - datetime.fromisoformat(data["received_at"]).timestamp()


async def _behind(fleet: Fleet, addresses: list[str]) -> int:
    """How many cursors are not at the end: what such a mailbox is read from would be published again."""
    before = len(fleet.received)
    for number in range(WORKERS):
        await fleet.kill_worker(number)
        await fleet.start_worker(number)
    await asyncio.gather(*(fleet.ready(number) for number in range(WORKERS)))
    await asyncio.sleep(REST_SECONDS)  # several intervals, in which nothing should come
    again = {each["data"]["mailbox"] for each in fleet.received[before:]}
    return len(again & set(addresses))


@click.command(help=__doc__)
@click.option("-n", "--count", default=5000, show_default=True, help="Mails of each mode.")
@click.option("--mailboxes", default=100, show_default=True, help="Mailboxes they come into.")
@click.option("-m", "--mode", "names", multiple=True, type=click.Choice(list(MODES)), help="Only these modes.")
@click.option("--json", "as_json", is_flag=True, help="The results as JSON.")
def main(count: int, mailboxes: int, names: tuple[str, ...], *, as_json: bool) -> None:
    with Progress(console=Console(stderr=True)) as progress:
        results = [asyncio.run(measure(name, count, mailboxes, progress)) for name in names or MODES]
    if as_json:
        click.echo(json.dumps([asdict(result) for result in results]))
    else:
        table = Table(*(field.replace("_", " ") for field in asdict(results[0])))
        for result in results:
            table.add_row(*(str(value) for value in asdict(result).values()), style=None if result.good else "red")
        Console().print(table)
    sys.exit(0 if all(result.good for result in results) else 1)


if __name__ == "__main__":
    main()
