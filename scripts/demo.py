"""The demo: a broker, the sandbox Exchange and two workers on this machine; 200 sample events go through them, and what
is answered comes back.

./scripts/demo          shows them delivered, then stops everything
./scripts/demo --keep   leaves it all running until it is interrupted
"""

import asyncio
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from scripts.fleet import Fleet
from scripts.fleet_profiles import reading
from scripts.given_broker import queue_in_use, remove_topology
from scripts.samples import DOMAIN, event

EVENTS = 200
ENVIRONMENT = "demo.env"
LIMIT_SECONDS = 120
HANDFUL = 5
STATES = {"accepted": "", "deferred": " on their way", "failed": "", "unresolved": ""}

TROUBLES = {
    20: ("busy-once", "Exchange is busy once: deferred, then accepted"),
    60: ("lost-send-once", "the line is cut after the mail left: looked for, found, accepted"),
    100: ("cut-create-once", "the line is cut before the draft is made: looked for, made again, accepted"),
    140: ("badrecipients", "Exchange refuses the recipients: failed, with the cause"),
}
"""What is ordered from the sandbox for single mails, by a word in their sender's address."""

READ = "desk@contoso.example"
ANSWERED = {
    30: ("reply", "the customer answers"),
    70: ("ooo", "the customer is away"),
    110: ("bounce", "there is no such customer: bounced, with the failed recipient and a remedy"),
}
"""What the sandbox's outside world does with mails of a mailbox that is read, by a word in the recipient's address."""

MALFORMED = 180
"""The number of the event that lacks its subject: a dead letter, and a failed status that names the field."""


def sample(number: int) -> dict[str, Any]:
    made = event(number, seed=1)
    if number in TROUBLES:
        made["data"]["from"]["address"] = f"user{number}+{TROUBLES[number][0]}@{DOMAIN}"
    if number in ANSWERED:
        made["data"] |= {"from": {"address": READ}, "cc": [], "bcc": [], "reply_to": []}
        made["data"]["to"] = [{"address": f"customer{number}+{ANSWERED[number][0]}@customer.example"}]
    if number == MALFORMED:
        del made["data"]["subject"]
    return made


class Show:
    """The live view, and what the summary is made of."""

    def __init__(self, fleet: Fleet, console: Console) -> None:
        self._fleet = fleet
        self._progress = Progress(
            TextColumn("{task.description:<12}"), BarColumn(40), MofNCompleteColumn(), console=console
        )
        self._bars = {state: self._progress.add_task(state, total=EVENTS) for state in STATES}
        self.published_at: dict[str, float] = {}

    async def run(self, console: Console) -> None:
        """Publish, and show the states until every mail has come to an end. Raises TimeoutError."""
        events = [sample(number) for number in range(EVENTS)]
        with Live(self._progress, console=console, refresh_per_second=10):
            publishing = asyncio.create_task(self._publish(events))
            await self._fleet.until(self._ended, LIMIT_SECONDS)
            await publishing
            await self._fleet.until(lambda: len(self._fleet.inbound) >= len(ANSWERED), LIMIT_SECONDS)
        console.print()

    async def _publish(self, events: list[dict[str, Any]]) -> None:
        """Some forty a second: a lively CRM, and slow enough to watch."""
        for start in range(0, len(events), HANDFUL):
            handful = events[start : start + HANDFUL]
            self.published_at.update({each["data"]["email_id"]: time.monotonic() for each in handful})
            await self._fleet.publish(handful)
            await asyncio.sleep(HANDFUL / 40)

    def _ended(self) -> bool:
        for state, bar in self._bars.items():
            self._progress.update(bar, completed=self._fleet.reached[state])
        return sum(self._fleet.reached[state] for state in STATES if state != "deferred") >= EVENTS

    def latencies(self) -> list[float]:
        """Seconds from the publish to the accepted status in the CRM's hands."""
        return [
            each["_heard_at"] - self.published_at[each["data"]["email_id"]]
            for each in self._fleet.statuses
            if each["type"] == "crm.email.accepted.v1"
        ]


async def summary(fleet: Fleet, show: Show, console: Console) -> bool:
    """Print what happened; whether it is what should have."""
    stats = await fleet.arrived()
    steps = quantiles(show.latencies(), n=20)
    table = Table(title="What happened", show_header=False, title_justify="left")
    table.add_row("events published", str(EVENTS))
    table.add_row(
        "mails that left Exchange", f"{stats['mails']}, none of them twice" if not stats["doubled"] else "DOUBLED"
    )
    for state, text in STATES.items():
        table.add_row(f"e-mails {state}{text}", str(fleet.reached[state]))
    table.add_row("mails that came in", str(len(fleet.inbound)))
    table.add_row("from publish to accepted", f"p50 {steps[9]:.2f} s, p95 {steps[18]:.2f} s")
    console.print(table)
    console.print("Ordered trouble, and what became of it:")
    for number, (_, text) in TROUBLES.items():
        console.print(f"  mail-{number:06d}  {_course(fleet, number):<22} {text}", soft_wrap=True)
    text = "the event has no subject: failed, and kept as a dead letter"
    console.print(f"  mail-{MALFORMED:06d}  {_course(fleet, MALFORMED):<22} {text}", soft_wrap=True)
    console.print(f"What came back into {READ}, as the CRM was told:")
    answered = [_answered(fleet, number) for number in ANSWERED]
    for number, told in zip(ANSWERED, answered, strict=True):
        console.print(f"  mail-{number:06d}  {told:<44} {ANSWERED[number][1]}", soft_wrap=True)
    expected = EVENTS - 2
    good = stats["mails"] == expected == fleet.reached["accepted"] and not stats["doubled"]
    return bool(good and all(answered) and fleet.reached["bounced"] == 1)


def _answered(fleet: Fleet, number: int) -> str:
    """What came in for an e-mail, "" if nothing did that is proven to belong to it."""
    for told in (each["data"] for each in fleet.inbound.values()):
        correlation = told["correlation"]
        if correlation.get("email_id") == f"mail-{number:06d}" and correlation["verified"]:
            return f"{told['kind']}, by {correlation['method']}, verified"
    return ""


def _course(fleet: Fleet, number: int) -> str:
    return " → ".join(fleet.states.get(f"mail-{number:06d}", {}).values())


def where(fleet: Fleet) -> Table:
    table = Table(title="Where everything listens", show_header=False, title_justify="left")
    table.add_row("RabbitMQ", fleet.broker_url)
    table.add_row("sandbox Exchange", fleet.url)
    table.add_row("mails that left", f"{fleet.witness}/mails")
    for number, worker in fleet.running.items():
        table.add_row(f"worker {number}", f"{worker.http}/metrics")
    table.add_row("profiles and logs", str(fleet.directory))
    return table


async def demo(*, keep: bool) -> bool:
    console = Console()
    given = os.environ.get("MAILROUTER_AMQP_URL", "")
    async with AsyncExitStack() as stack:
        if given:
            if used := await queue_in_use(given):
                raise click.UsageError(f"MAILROUTER_AMQP_URL: {used} is in use; give the demo a vhost of its own.")
            stack.push_async_callback(remove_topology, given)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailrouter-demo-")))
        console.print("Starting RabbitMQ, the sandbox Exchange and two workers …")
        fleet = await stack.enter_async_context(Fleet(directory, broker_url=given, profiles=reading([READ])))
        show = Show(fleet, console)
        console.print(f"Publishing {EVENTS} events, as a CRM would.\n")
        async with fleet.listening():
            await show.run(console)
            good = await summary(fleet, show, console)
        console.print("Next: docs/quick-start.md, and what docs/index.md names.")
        if keep:
            console.print(where(fleet))
            with environment_file(fleet):
                console.print(f"In another terminal, in this directory:  . ./{ENVIRONMENT}", soft_wrap=True)
                console.print("and for example:  .venv/bin/mailrouter dead list", soft_wrap=True)
                console.print("Running until you press Ctrl-C.")
                await _interrupted()
    return good


@contextmanager
def environment_file(fleet: Fleet) -> Iterator[None]:
    """A file of what a shell needs to use this fleet; it goes when the fleet does."""
    file = Path(ENVIRONMENT)
    names = {name: value for name, value in fleet.settings().items() if name.startswith(("MAILROUTER_", "FLEET_"))}
    del names["MAILROUTER_LOG_FORMAT"]
    names["SANDBOX"] = fleet.witness
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in names.items()))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


async def _interrupted() -> None:
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    await stop.wait()


@click.command(help=__doc__)
@click.option("--keep", is_flag=True, help="Leave everything running, and say where it listens.")
def main(*, keep: bool) -> None:
    sys.exit(0 if asyncio.run(demo(keep=keep)) else 1)


if __name__ == "__main__":
    main()
