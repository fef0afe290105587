"""An upgrade under load: workers of an older revision and of this one side by side on one broker, each mail once.

    python -m benchmarks.upgrade v1.0.0            what the next release is to be upgraded from
    python -m benchmarks.upgrade 9c34fe9 -n 1000   any revision, smaller

Two older workers send and read while answers get lost. One is replaced by this version's, then the other; then one goes
back. The older revision is checked out beside this one and runs with the same installed packages.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from scripts.arrivals import arrival
from scripts.fleet import Fleet
from scripts.fleet_profiles import reading
from scripts.samples import event

ROOT = Path(__file__).parents[1]
MAILBOXES = [f"inbox{number}@contoso.example" for number in range(8)]
LIMIT_SECONDS = 600
PER_SECOND = 40


@contextmanager
def checked_out(revision: str, directory: Path) -> Iterator[Path]:
    """The older revision in a directory of its own."""
    place = directory / "older"
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", place, revision], cwd=ROOT, check=True)
    try:
        yield place
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", place], cwd=ROOT, check=True)


def code_of(place: Path) -> dict[str, str]:
    """What makes Python take the code from there: with the safe path the current directory does not go first."""
    environment = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(place)}
    command = [sys.executable, "-c", "import worker; print(worker.__file__)"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    if not Path(done.stdout.strip()).is_relative_to(place):
        raise click.ClickException(f"{done.stdout.strip()} would run in place of {place}")
    return environment


@dataclass
class Upgrade:
    """Workers by number; `older` is where the older ones are."""

    fleet: Fleet
    older: Path
    stops: list[float]

    async def start(self, number: int, *, older: bool) -> None:
        await self.fleet.start_worker(number, **code_of(self.older if older else ROOT))
        await self.fleet.ready(number)

    async def replace(self, number: int, *, older: bool) -> None:
        began = time.monotonic()
        if status := await self.fleet.kill_worker(number, signal.SIGTERM):
            raise click.ClickException(f"worker {number} ended with {status}")
        self.stops.append(time.monotonic() - began)
        await self.start(number, older=older)


async def load(fleet: Fleet, count: int) -> None:
    """Mails to send at a steady pace, and a quarter as many that come in."""
    for number in range(count):
        await fleet.publish([event(number)])
        if number % 4 == 0:
            home = MAILBOXES[number // 4 % len(MAILBOXES)]
            await fleet.arrive(home, arrival(number // 4, home))
        await asyncio.sleep(1 / PER_SECOND)


async def measure(revision: str, count: int, console: Console) -> dict[str, object]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        older = stack.enter_context(checked_out(revision, directory))
        arguments = ("--seed", "1", "--fault", "lost=0.02")
        profiles = reading(MAILBOXES, poll_seconds=10)
        made = Fleet(directory, workers=0, sandbox_arguments=arguments, profiles=profiles)
        fleet = await stack.enter_async_context(made)
        upgrade = Upgrade(fleet, older, [])
        console.print("two older workers")
        for number in (0, 1):
            await upgrade.start(number, older=True)
        await fleet.first_syncs(MAILBOXES, LIMIT_SECONDS)
        await stack.enter_async_context(fleet.listening())
        began = time.monotonic()
        loading = asyncio.create_task(load(fleet, count))
        stack.callback(loading.cancel)
        steps = {"one is replaced": (0, False), "the other, too": (1, False), "one goes back": (0, True)}
        for part, (text, (number, back)) in enumerate(steps.items(), 1):
            await fleet.until(lambda part=part: fleet.reached["accepted"] >= count * part // 4, LIMIT_SECONDS)  # type: ignore[misc]
            console.print(f"{text}, after {fleet.reached['accepted']} mails")
            await upgrade.replace(number, older=back)
        await loading
        arrived = (count + 3) // 4
        await fleet.until(lambda: fleet.reached["accepted"] >= count and len(fleet.inbound) >= arrived, LIMIT_SECONDS)
        seconds = time.monotonic() - began
        stats = await fleet.arrived()
        return {
            "events": count,
            "mails": stats["mails"],
            "missing": count - stats["stamps"],
            "doubled": len(stats["doubled"]),
            "failed or unresolved": fleet.reached["failed"] + fleet.reached["unresolved"],
            "mails that came in": arrived,
            "of them told": len(fleet.inbound),
            "dead letters": len(await fleet.take_dead_letters()),
            "seconds": round(seconds, 1),
            "longest stop, s": round(max(upgrade.stops), 2),
        }


@click.command(help=__doc__)
@click.argument("revision")
@click.option("-n", "--count", default=4000, show_default=True, help="Mails to send.")
def main(revision: str, count: int) -> None:
    console = Console()
    result = asyncio.run(measure(revision, count, console))
    table = Table(show_header=False)
    for name, value in result.items():
        table.add_row(name, str(value))
    console.print(table)
    bad = [name for name in ("missing", "doubled", "failed or unresolved", "dead letters") if result[name]]
    sys.exit(1 if bad or result["mails that came in"] != result["of them told"] else 0)


if __name__ == "__main__":
    main()
