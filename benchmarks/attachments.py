"""What a large attachment costs: seconds, and by how much the memory of the workers grows.

    python -m benchmarks.attachments                40 MB out from the store and over https, 100 MB in
    python -m benchmarks.attachments -c store       one of them

A worker sends, another reads; broker, sandbox Exchange, the host of the files and the CRM are other processes. What is
sent goes to a mailbox of the sandbox and comes in again, so that sent and received files are compared to the byte.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from scripts.file_host import FileHost, file_host, random_file
from scripts.fleet import Fleet
from scripts.fleet_profiles import reading
from scripts.samples import event

BEA = "bea@contoso.example"
OUT_BYTES, IN_BYTES = 40 * 2**20, 100 * 2**20
MOST_GROWTH_MB = 32
LIMIT_SECONDS = 300

Row = dict[str, Any]


async def store(fleet: Fleet, _host: FileHost, size: int) -> Row:
    """Out, from the attachment store."""
    path = fleet.directory / "attachments" / "given" / "1-a.bin"
    return await _sent(fleet, path.as_uri(), random_file(path, size))


async def https(fleet: Fleet, host: FileHost, size: int) -> Row:
    """Out, over https."""
    return await _sent(fleet, host.url("a.bin"), random_file(host.files / "a.bin", size))


async def arrival(fleet: Fleet, _host: FileHost, size: int) -> Row:
    """In, from outside, into the attachment store."""
    source, told = await asyncio.to_thread(_mail, fleet.directory / "arriving.bin", size)
    known = len(fleet.inbound)
    began = time.monotonic()
    await fleet.arrive(BEA, source)
    await fleet.until(lambda: len(fleet.inbound) > known, LIMIT_SECONDS)
    return {"seconds": round(time.monotonic() - began, 2), "whole": _received(fleet) == told}


CASES: dict[str, tuple[Callable[[Fleet, FileHost, int], Awaitable[Row]], int]] = {
    "store": (store, OUT_BYTES),
    "https": (https, OUT_BYTES),
    "in": (arrival, IN_BYTES),
}


async def _sent(fleet: Fleet, url: str, told: Row) -> Row:
    request = event(len(fleet.states))
    request["data"] |= {
        "email_id": f"mail-{len(fleet.states)}",
        "to": [{"address": BEA}],
        "attachments": [{"name": "a.bin", "url": url, **told}],
    }
    known, accepted = len(fleet.inbound), fleet.reached["accepted"]
    began = time.monotonic()
    await fleet.publish([request])
    await fleet.until(lambda: fleet.reached["accepted"] > accepted, LIMIT_SECONDS)
    seconds = time.monotonic() - began
    await fleet.until(lambda: len(fleet.inbound) > known, LIMIT_SECONDS)
    return {"seconds": round(seconds, 2), "whole": _received(fleet) == told}


def _received(fleet: Fleet) -> Row:
    """What the CRM was told of the last file that came in."""
    (file,) = list(fleet.inbound.values())[-1]["data"]["attachments"]
    return {"size": file["size"], "sha256": file["sha256"]}


def _mail(path: Path, size: int) -> tuple[bytes, Row]:
    told = random_file(path, size)
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "x@customer.example", BEA, "The drawings"
    mail["Message-ID"] = f"<{told['sha256'][:16]}@customer.example>"
    mail.set_content("As agreed.")
    mail.add_attachment(path.read_bytes(), maintype="application", subtype="octet-stream", filename="a.bin")
    return mail.as_bytes(), told


class Growth:
    """By how many MB each worker's memory has grown at its highest since this began."""

    def __init__(self, fleet: Fleet) -> None:
        self._workers = {number: psutil.Process(each.process.pid) for number, each in fleet.running.items()}
        self._before = self._now()
        self._highest = dict(self._before)

    def _now(self) -> dict[int, float]:
        return {number: process.memory_info().rss / 2**20 for number, process in self._workers.items()}

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            self._highest = {number: max(self._highest[number], rss) for number, rss in self._now().items()}
            await asyncio.sleep(0.01)

    @property
    def mb(self) -> dict[int, float]:
        return {number: round(self._highest[number] - self._before[number], 1) for number in self._before}


@asynccontextmanager
async def _fleet_and_host() -> AsyncIterator[tuple[Fleet, FileHost]]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "host").mkdir()
        host = await stack.enter_async_context(file_host(directory / "host"))
        profiles = reading([BEA], poll_seconds=1, start="all")
        fleet = await stack.enter_async_context(
            Fleet(directory, workers=0, profiles=profiles, environment=host.environment)
        )
        await stack.enter_async_context(fleet.listening())
        for number, role in enumerate(("outbound", "inbound")):
            await fleet.start_worker(number, MAILROUTER_ROLES=role)
            await fleet.ready(number)
        await fleet.order("options", max_message_bytes=2**28)
        for case, _ in CASES.values():  # once small, so that what is loaded at the first use is loaded
            await case(fleet, host, 2**20)
        yield fleet, host


async def measure(name: str, progress: Progress) -> Row:
    case, size = CASES[name]
    bar = progress.add_task(f"{name}: {case.__doc__}", total=1)
    async with _fleet_and_host() as (fleet, host):
        growth = Growth(fleet)
        watching = asyncio.create_task(growth.watch())
        told = await case(fleet, host, size)
        watching.cancel()
    progress.update(bar, completed=1)
    good = told["whole"] and max(growth.mb.values()) < MOST_GROWTH_MB
    grown = {"sender_growth_mb": growth.mb[0], "reader_growth_mb": growth.mb[1]}
    return {"case": name, "mb": round(size / 2**20), **told, **grown, "good": good}


@click.command(help=__doc__)
@click.option("-c", "--case", "names", multiple=True, type=click.Choice(list(CASES)), help="Only these.")
@click.option("--json", "as_json", is_flag=True, help="The results as JSON.")
def main(names: tuple[str, ...], *, as_json: bool) -> None:
    with Progress(console=Console(stderr=True)) as progress:
        rows = [asyncio.run(measure(name, progress)) for name in names or CASES]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        table = Table(*rows[0])
        for row in rows:
            table.add_row(*map(str, row.values()), style=None if row["good"] else "red")
        Console().print(table)
    sys.exit(0 if all(row["good"] for row in rows) else 1)


if __name__ == "__main__":
    main()
