"""Nobody waits for another, at full size: a campaign, a server that is down, a million events in the queue.

    python -m benchmarks.fairness                        all of them
    python -m benchmarks.fairness -p outage              one
    python -m benchmarks.fairness -p queue -n 100000     smaller

Each starts a broker of its own, the sandbox Exchange and two workers on this machine. The tests run the same, small.
"""

import asyncio
import contextlib
import functools
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import click
import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from scripts.fleet import Fleet
from scripts.fleet_profiles import PROFILES
from scripts.gate import Gate, Mode
from scripts.samples import request

CAMPAIGN: Final = "campaign@contoso.example"
LIMIT: Final = 30

PROFILE: Final = """
[[profile]]
name        = "{name}"
direction   = "outgoing"
server      = "exchange"
location    = "{location}"
username    = "router@contoso.example"
password    = "env:FLEET_PASSWORD"
user_type   = "administrator"
access      = "impersonation"
{keys}
"""
MAILBOX: Final = """
[[mailbox]]
address  = "{address}"
outgoing = "{name}"
"""
CHUNK: Final = 10_000
"""So many events are made and published at once."""

ROUNDS: Final = 3

PROOFS: Final = ("campaign", "limit", "outage", "queue")
DOWN: Final = tuple(f"down{number}@contoso.example" for number in range(50))

LIMITED: Final = (
    PROFILES
    + PROFILE.format(name="Limited", location="{url}", keys=f"messages_per_minute = {LIMIT}")
    + MAILBOX.format(address=CAMPAIGN, name="Limited")
)
_numbers = itertools.count()


@dataclass
class Result:
    """`faults`: what should not be, in words."""

    proof: str
    numbers: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def must(self, what: str, *, hold: bool) -> None:
        if not hold:
            self.faults.append(what)


async def others_seconds(fleet: Fleet, count: int, key: str = "email.send", limit_seconds: float = 120) -> list[float]:
    """Publish a mail of each of so many mailboxes, and wait: how long each took, from its publication on."""
    run = next(_numbers)
    events = [request(f"other-{run}-{number}", f"user{number}@contoso.example") for number in range(count)]
    began = time.time()
    await fleet.publish(events, key=key)
    ids = {each["data"]["email_id"] for each in events}
    await fleet.until(lambda: all("accepted" in fleet.states.get(each, {}).values() for each in ids), limit_seconds)
    heard = {
        each["data"]["email_id"]: each["_heard_wall"] - began
        for each in fleet.statuses
        if each["data"]["email_id"] in ids and each["type"] == "crm.email.accepted.v1"
    }
    return [heard[each] for each in ids]


def p95(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]


async def p95_alone(fleet: Fleet, count: int) -> float:
    """In an empty system, of several rounds together: what a single one takes varies by half."""
    await others_seconds(fleet, count)  # connections are made, profiles read
    return p95([each for _ in range(ROUNDS) for each in await others_seconds(fleet, count)])


async def campaign(fleet: Fleet, mails: int, others: int, key: str) -> Result:
    """One mailbox sends far more than it may; the mail of the others is as quick as ever."""
    result = Result(f"campaign on {key}")
    alone = await p95_alone(fleet, others)
    run = next(_numbers)
    began = time.monotonic()
    await fleet.publish((request(f"campaign-{run}-{number}", CAMPAIGN) for number in range(mails)), key=key)
    result.numbers["campaign_published_seconds"] = time.monotonic() - began
    beside = p95(await others_seconds(fleet, others))
    sent = sum(each["mailbox"] == CAMPAIGN for each in await fleet.mails())
    minutes = 1 + (time.monotonic() - began) / 60
    result.numbers |= {"p95_alone_seconds": alone, "p95_beside_seconds": beside, "campaign_sent": sent}
    result.must("the others' p95 is more than twice that of an empty system", hold=beside <= 2 * alone)
    result.must(f"the campaign sent {sent} in {minutes:.1f} minutes", hold=sent <= LIMIT * minutes * 1.1)
    return result


async def limit(fleet: Fleet, mails: int, seconds: float) -> Result:
    """A mailbox that may send so much a minute, from several workers: the most it sent in any minute."""
    result = Result("limit")
    run = next(_numbers)
    await fleet.publish(request(f"limited-{run}-{number}", CAMPAIGN) for number in range(mails))
    await asyncio.sleep(seconds)
    accepted = sorted(
        each["_heard_at"]
        for each in fleet.statuses
        if each["type"] == "crm.email.accepted.v1" and each["data"]["mailbox"] == CAMPAIGN
    )
    most = max(sum(at <= each < at + 60 for each in accepted) for at in accepted)
    result.numbers |= {"workers": fleet.workers, "sent": len(accepted), "most_in_a_minute": most}
    result.must("more than a tenth over the limit in a minute", hold=most <= 1.1 * LIMIT)
    result.must("the limit was not used", hold=len(accepted) >= min(mails, 0.8 * LIMIT * seconds / 60))
    return result


async def outage(fleet: Fleet, gate: Gate, down_seconds: float, mails: int, others: int) -> Result:
    """One server is down in three ways, one after the other; its mail waits, that of the other server does not."""
    result = Result("outage")
    alone = await p95_alone(fleet, others)
    run = next(_numbers)
    waiting = [request(f"down-{run}-{number}", DOWN[number % 50]) for number in range(mails)]
    beside: list[float] = []
    modes: tuple[Mode, ...] = ("refused", "busy", "hanging")
    for part, mode in enumerate(modes):
        await gate.turn(mode)
        until = time.monotonic() + down_seconds / len(modes)
        await fleet.publish(waiting[part :: len(modes)])
        while time.monotonic() < until:
            beside += await others_seconds(fleet, others)
            await asyncio.sleep(0.2)
    asked_down = len(gate.came)
    await gate.turn("through")
    began = time.monotonic()
    ids = [each["data"]["email_id"] for each in waiting]
    await fleet.until(lambda: all("accepted" in fleet.states.get(each, {}).values() for each in ids), 180)
    out_after = time.monotonic() - began
    first = sum(began <= each <= began + 10 for each in gate.came)
    stats = await fleet.arrived()
    attempts = {told["data"]["attempt"] for each in ids for told in fleet.about(each)}
    result.numbers |= {
        "p95_alone_seconds": alone,
        "p95_beside_seconds": p95(beside),
        "requests_while_down": asked_down,
        "out_after_seconds": out_after,
        "requests_in_first_10_seconds": first,
    }
    result.must("the others' p95 is more than twice that of an empty system", hold=p95(beside) <= 2 * alone)
    result.must("its mail was not out within two minutes", hold=out_after <= 120)
    result.must("attempts were used up", hold=attempts == {1})
    result.must("a mail failed", hold=not fleet.reached["failed"] and not fleet.reached["unresolved"])
    result.must("a mail left twice", hold=not stats["doubled"])
    result.must("the server was overrun when it was back", hold=first <= 3 * 50 * fleet.workers * 10)
    return result


async def queue(fleet: Fleet, events: int, seconds: float) -> Result:
    """So many events of a mailbox that may not send them: what a worker takes of memory while it parks them."""
    result = Result("queue")
    for number in list(fleet.running):
        await fleet.kill_worker(number)
    run, began = next(_numbers), time.monotonic()
    for begin in track(range(0, events, CHUNK), "publishing", console=Console(stderr=True)):
        numbers = range(begin, min(events, begin + CHUNK))
        await fleet.publish(request(f"queued-{run}-{number}", CAMPAIGN) for number in numbers)
    result.numbers["published_seconds"] = time.monotonic() - began
    await fleet.start_worker(0)
    await fleet.ready(0)
    process = psutil.Process(fleet.running[0].process.pid)
    began, left, most = time.monotonic(), events, 0
    cpu = process.cpu_times()
    while time.monotonic() - began < seconds and left:
        most = max(most, process.memory_info().rss)
        await asyncio.sleep(1)
        left = await fleet.queue_length("crm.mail.outbound")
    spent = time.monotonic() - began
    used = process.cpu_times()
    parked = events - left
    result.numbers |= {
        "events": events,
        "parked": parked,
        "parked_per_second": parked / spent,
        "cpu_ms_per_event": 1000 * (used.user + used.system - cpu.user - cpu.system) / max(1, parked),
        "worker_rss_mb": most / 2**20,
    }
    result.must("the worker took more than 200 MB", hold=most < 200 * 2**20)
    return result


async def _with_fleet(profiles: str, work: Callable[[Fleet], Awaitable[Result]], workers: int = 2) -> Result:
    with tempfile.TemporaryDirectory() as directory:
        async with Fleet(Path(directory), workers=workers, profiles=profiles) as fleet, fleet.listening():
            return await work(fleet)


@contextlib.asynccontextmanager
async def behind_a_gate(fleet: Fleet, workers: int, keys: str = "") -> AsyncIterator[Gate]:
    """Start workers of a fleet that has none, for which some mailboxes are on another server. `keys` are more keys of
    their profile.
    """
    async with Gate(fleet.url).open() as gate:
        down = PROFILE.format(name="Down", location=gate.url, keys=keys)
        down += "".join(MAILBOX.format(address=each, name="Down") for each in DOWN)
        (fleet.directory / "profiles.toml").write_text(PROFILES.format(url=fleet.url) + down)
        fleet.workers = workers
        for number in range(workers):
            await fleet.start_worker(number)
        await asyncio.gather(*(fleet.ready(number) for number in range(workers)))
        yield gate


async def _outage(down_seconds: float, mails: int) -> Result:
    with tempfile.TemporaryDirectory() as directory:
        fleet = Fleet(Path(directory), workers=0)
        async with fleet, fleet.listening(), behind_a_gate(fleet, 2) as gate:
            return await outage(fleet, gate, down_seconds, mails, 100)


@click.command()
@click.option("-p", "--proof", type=click.Choice(PROOFS), multiple=True)
@click.option("-n", "--count", type=int, default=0, help="Mails of the campaign, of the outage or in the queue.")
@click.option("--json", "as_json", is_flag=True)
def main(proof: tuple[str, ...], count: int, *, as_json: bool) -> None:
    """What one mailbox or server in trouble costs the others."""
    proofs = proof or PROOFS
    results = []
    if "campaign" in proofs:
        for key in ("email.send", "email.send.bulk"):
            work = functools.partial(campaign, mails=count or 10_000, others=200, key=key)
            results += [asyncio.run(_with_fleet(LIMITED, work))]
    if "limit" in proofs:
        work = functools.partial(limit, mails=count or 150, seconds=240)
        results += [asyncio.run(_with_fleet(LIMITED, work, workers=4))]
    if "outage" in proofs:
        results.append(asyncio.run(_outage(300, count or 1000)))
    if "queue" in proofs:
        results.append(asyncio.run(_with_fleet(LIMITED, lambda fleet: queue(fleet, count or 1_000_000, 180))))
    _show(results, as_json=as_json)
    sys.exit(any(each.faults for each in results))


def _show(results: list[Result], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(each) for each in results], indent=2))
        return
    table = Table("Proof", "What", "Number")
    for each in results:
        for name, number in each.numbers.items():
            table.add_row(each.proof, name.replace("_", " "), f"{number:,.3g}")
        table.add_row(each.proof, "verdict", "; ".join(each.faults) or "as it must be")
    Console().print(table)


if __name__ == "__main__":
    main()
