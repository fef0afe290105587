"""docker-compose.yml with its demo, as it stands: comes up, delivers, scales, and its alert fires and clears.

    python -m benchmarks.compose                       needs a Docker Engine; takes some ten minutes
    python -m benchmarks.compose --without grafana     where an image cannot be had
    python -m benchmarks.compose --no-build            by the image that is there

The demo's CRM publishes at a steady pace while the workers are scaled from 2 to 4 and back. Then all workers stop and a
few mails are published. Prometheus, by the rules as they stand, must fire MailRouterNoWorker, and Alertmanager hear
of it; the workers start again, and it must clear, and the mails that waited must go. It is a project of its own: what
runs of this file besides is left alone.
"""

import ast
import json
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from scripts.compose_project import ComposeError, Project, Stop, until

ALERT: Final = "MailRouterNoWorker"
WAITING: Final = 50
"""Mails published while no worker runs."""
STATES: Final = ("accepted", "deferred", "failed", "unresolved", "bounced")
LIMIT_SECONDS: Final = 600
GRACE_SECONDS: Final = 30

STATS: Final = """
import ssl, urllib.request
url = "https://127.0.0.1:8480/sandbox/stats"
print(urllib.request.urlopen(url, context=ssl._create_unverified_context()).read().decode())
"""
CONFINED: Final = """
import errno, os
try:
    open("/opt/mailrouter/probe", "w")
except OSError as error:
    print("read-only" if error.errno == errno.EROFS else error)
status = dict(line.split(":\\t", 1) for line in open("/proc/1/status").read().splitlines())
print("user", os.getuid(), *(f"{name} {status[name].strip()}" for name in ("CapEff", "CapBnd", "NoNewPrivs")))
"""
AS_TOLD: Final = "read-only\nuser 10001 CapEff 0000000000000000 CapBnd 0000000000000000 NoNewPrivs 1\n"


@dataclass
class Result:
    healthy_after_seconds: float = 0
    services: list[str] = field(default_factory=list)
    workers_confined: int = 0
    mails_published: int = 0
    left: int = 0
    doubled: int = 0
    accepted_once: int = 0
    other_statuses: int = 0
    answers_owed: int = 0
    answers_received: int = 0
    left_in_queues: dict[str, int] = field(default_factory=dict)
    scaled_up_after_seconds: float = 0
    scaled_down_after_seconds: float = 0
    published_when_scaled: list[int] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    alert_fired_after_seconds: float = 0
    firing_besides: list[str] = field(default_factory=list)
    alertmanager_tells: list[str] = field(default_factory=list)
    alert_cleared_after_seconds: float = 0
    waiting_published: int = 0
    waiting_accepted_once: int = 0

    @property
    def faults(self) -> list[str]:
        wrong = {
            "workers_confined": self.workers_confined != 2,
            "left": self.left != self.mails_published + self.waiting_published,
            "doubled": self.doubled,
            "accepted_once": self.accepted_once != self.mails_published,
            "other_statuses": self.other_statuses,
            "answers_received": self.answers_received != self.answers_owed,
            "left_in_queues": self.left_in_queues,
            "published_when_scaled": self.published_when_scaled[-1:] >= [self.mails_published],
            "stops": [each for each in self.stops if each.exit_status or each.seconds is None]
            or max(each.seconds or 0 for each in self.stops) > GRACE_SECONDS,
            "firing_besides": self.firing_besides,
            "waiting_accepted_once": self.waiting_accepted_once != self.waiting_published,
        }
        return [name for name, is_wrong in wrong.items() if is_wrong]


class Demo:
    """What the parts of the demo say."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def counts(self) -> Counter[str]:
        """What the CRM has counted so far."""
        last = self._project.logs("crm", tail="1").strip()
        return Counter(ast.literal_eval(last[last.rindex("{") :]) if "{" in last else {})

    def states(self) -> dict[str, list[str]]:
        """What the CRM was told of each e-mail that it published, in order; repeats of an event fell away."""
        found: dict[str, list[str]] = {}
        for line in self._project.logs("crm").splitlines():
            what, email_id, *_ = [*line.split(maxsplit=2), "", ""]
            if what in ("published", *STATES):  # an answer may be printed before what it answers
                told = found.setdefault(email_id, [])
                told += [what] if what in STATES else []
        return found

    def stats(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._project.inside("sandbox", "python", "-c", STATS))
        return told

    def queues(self) -> dict[str, int]:
        """Those with mail, events or dead letters in them."""
        command = ("rabbitmqctl", "--quiet", "list_queues", "-p", "crm", "name", "messages", "--formatter", "json")
        told = json.loads(self._project.inside("rabbitmq", *command))
        not_mail = ("crm.mail.profiles", "crm.mail.fleet.", "crm.mail.inbound.")
        return {
            each["name"]: each["messages"]
            for each in told
            if each["messages"] and not each["name"].startswith(not_mail)
        }

    def firing(self) -> list[str]:
        alerts = self._ask("PROMETHEUS_PORT", "/api/v1/alerts")["data"]["alerts"]
        return sorted(each["labels"]["alertname"] for each in alerts if each["state"] == "firing")

    def told(self) -> list[str]:
        """Whom Alertmanager tells of the alert. Nobody where it is left out."""
        if "alertmanager" in self._project.without:
            return []
        alerts = self._ask("ALERTMANAGER_PORT", "/api/v2/alerts")
        return [to["name"] for each in alerts if each["labels"]["alertname"] == ALERT for to in each["receivers"]]

    def _ask(self, port: str, path: str) -> Any:  # noqa: ANN401 - JSON
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._project.ports[port]}{path}", timeout=10) as answer:
                return json.load(answer)
        except OSError as error:
            raise ComposeError(f"{port}{path}: {error}") from None


class Show:
    """A line for each step, with how long it takes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """Gives what says how far it is."""
        line = self._progress.add_task(text, total=1)
        yield lambda more: self._progress.update(line, description=f"{text}: {more}")
        self._progress.update(line, completed=1)


def bring_up(project: Project, show: Show, result: Result, demo: dict[str, str]) -> None:
    with show.step("up"):
        began = time.monotonic()
        project.up(**demo)
        until(lambda: not project.unhealthy(), "every service healthy", LIMIT_SECONDS)
        result.healthy_after_seconds = round(time.monotonic() - began, 1)
    names = [each["Config"]["Labels"]["com.docker.compose.service"] for each in project.containers()]
    result.services = [f"{names.count(each)} {each}" for each in sorted(set(names))]
    workers = [project.inside("worker", "python", "-c", CONFINED, index=number) for number in (1, 2)]
    result.workers_confined = workers.count(AS_TOLD)


def under_load(project: Project, show: Show, result: Result, count: int) -> None:
    """Scale while the CRM publishes; wait until all is accepted, and every answer received."""
    demo = Demo(project)
    result.answers_owed = -(-count // 10)
    with show.step(f"{count} mails, 2 workers to 4 and back") as say:

        def reached(part: float) -> Callable[[], bool]:
            def holds() -> bool:
                counts = demo.counts()
                say(str(dict(counts)))
                return counts["accepted"] >= count * part

            return holds

        until(reached(0.1), "a tenth accepted", LIMIT_SECONDS)
        began = time.monotonic()
        project.scale("worker", 4)
        until(lambda: len(project.containers("worker")) == 4 and not project.unhealthy("worker"), "4 healthy", 120)
        result.scaled_up_after_seconds = round(time.monotonic() - began, 1)
        result.published_when_scaled.append(demo.counts()["published"])
        until(reached(0.6), "six tenths accepted", LIMIT_SECONDS)
        began = time.monotonic()
        project.scale("worker", 2)
        result.scaled_down_after_seconds = round(time.monotonic() - began, 1)
        result.published_when_scaled.append(demo.counts()["published"])
        until(reached(1), "all accepted", LIMIT_SECONDS)
        until(lambda: demo.counts()["received"] >= result.answers_owed, "every answer received", LIMIT_SECONDS)
    states = demo.states()
    result.mails_published = len(states)
    result.accepted_once = sum(each == ["accepted"] for each in states.values())
    result.other_statuses = sum(state != "accepted" for each in states.values() for state in each)
    result.answers_received = demo.counts()["received"]


def without_workers(project: Project, show: Show, result: Result, demo_settings: dict[str, str]) -> None:
    """Stop all workers, and see the alert; start them, and see it gone."""
    demo = Demo(project)
    with show.step("no worker: the alert has to fire"):
        result.firing_besides = demo.firing()
        project.compose("stop", "worker")
        began = time.monotonic()
        project.compose("up", "--detach", "--no-deps", "--force-recreate", "crm", **demo_settings)
        until(lambda: ALERT in demo.firing(), f"{ALERT} fires", LIMIT_SECONDS)
        result.alert_fired_after_seconds = round(time.monotonic() - began, 1)
        result.firing_besides += [each for each in demo.firing() if each != ALERT]
        if "alertmanager" not in project.without:
            until(lambda: bool(demo.told()), "Alertmanager has it", 60)
        result.alertmanager_tells = demo.told()
        result.waiting_published = demo.counts()["published"]
    with show.step("workers: it has to clear, and what waited has to go"):
        project.compose("start", "worker")
        began = time.monotonic()
        until(lambda: ALERT not in demo.firing(), f"{ALERT} clears", LIMIT_SECONDS)
        result.alert_cleared_after_seconds = round(time.monotonic() - began, 1)
        until(lambda: demo.counts()["accepted"] >= WAITING, "what waited is accepted", LIMIT_SECONDS)
        until(lambda: not demo.queues(), "empty queues", 60)
        until(lambda: not project.unhealthy(), "every service healthy, none started anew", 120)
    result.waiting_accepted_once = sum(each == ["accepted"] for each in demo.states().values())


def prove(project: Project, show: Show, count: int, rate: float) -> Result:
    result = Result()
    with project.stops("worker") as stops:
        bring_up(project, show, result, {"DEMO_MAILS": str(count), "DEMO_PER_SECOND": str(rate)})
        under_load(project, show, result, count)
        without_workers(project, show, result, {"DEMO_MAILS": str(WAITING), "DEMO_PER_SECOND": "10"})
        result.stops = stops()
    stats = Demo(project).stats()
    result.left, result.doubled = stats["mails"], len(stats["doubled"])
    result.left_in_queues = Demo(project).queues()
    return result


@click.command(help=__doc__)
@click.option("-n", "--count", default=3000, show_default=True, type=click.IntRange(100, 20_000), help="Mails.")
@click.option("-r", "--rate", default=20.0, show_default=True, help="Mails a second.")
@click.option("--without", multiple=True, metavar="SERVICE", help="Leave out a service, such as grafana.")
@click.option("--build/--no-build", default=True, show_default=True, help="Build the image first.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def main(count: int, rate: float, without: tuple[str, ...], *, build: bool, as_json: bool) -> None:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with (
            Project("mailrouter-proof", ("demo", "alerting"), without) as project,
            Progress(*columns, console=Console(stderr=True)) as progress,
        ):
            if build:
                with Show(progress).step("build"):
                    project.compose("build", "worker")
            result = prove(project, Show(progress), count, rate)
    except ComposeError as error:
        raise click.ClickException(str(error)) from None
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
