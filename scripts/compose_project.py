"""docker-compose.yml brought up beside whatever else runs: a project of its own, with ports, volumes and settings that
nobody else uses. What finds Docker (DOCKER_HOST and so on), or names further files for Compose (COMPOSE_FILE), is left
as it is.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Self

from scripts.private_broker import free_ports

ROOT = Path(__file__).parents[1]
PORTS = ("RABBITMQ_PORT", "RABBITMQ_MANAGEMENT_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")


class ComposeError(Exception):
    """What Docker said."""


@dataclass
class Stop:
    """A container that ended: its exit status, and how long after it was told to; None where nobody did."""

    exit_status: int
    seconds: float | None


@dataclass
class Project:
    """Use as a context: in the end containers and volumes are gone."""

    name: str
    profiles: Sequence[str]
    without: Sequence[str] = ()
    ports: dict[str, int] = field(default_factory=lambda: dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))

    def __enter__(self) -> Self:
        self.remove()  # of a run that was interrupted
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans")

    def compose(self, *arguments: str, **environment: str) -> str:
        """What it prints. Raises ComposeError. The defaults hold: of .env nothing is taken."""
        options = ["--project-name", self.name, "--project-directory", str(ROOT), "--env-file", os.devnull]
        options += [f"--profile={each}" for each in self.profiles]
        ports = {name: str(port) for name, port in self.ports.items()}
        return run(["docker", "compose", *options, *arguments], os.environ | ports | environment)

    def services(self) -> list[str]:
        return sorted(set(self.compose("config", "--services").split()) - set(self.without))

    def up(self, *services: str, **environment: str) -> None:
        """Start these and what they wait for; all but `without` where none is named."""
        self.compose("up", "--detach", "--no-recreate", *(services or self.services()), **environment)

    def scale(self, service: str, count: int) -> None:
        self.compose("up", "--detach", "--no-recreate", "--no-deps", f"--scale={service}={count}", service)

    def inside(self, service: str, *command: str, index: int = 1) -> str:
        return self.compose("exec", "-T", f"--index={index}", service, *command)

    def logs(self, service: str, tail: str = "all") -> str:
        """What the newest container of a service printed: by Docker, since Compose adds control characters."""
        (newest, *_) = sorted(self.containers(service), key=lambda each: str(each["Created"]), reverse=True)
        return run(["docker", "logs", f"--tail={tail}", newest["Id"]])

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """What `docker inspect` tells of each, also of those that have ended."""
        ids = self.compose("ps", "--all", "--quiet", *([service] if service else [])).split()
        found: list[dict[str, Any]] = json.loads(run(["docker", "inspect", *ids])) if ids else []
        return found

    def unhealthy(self, service: str = "") -> list[str]:
        """Those that do not run, save for one-shot ones that are done; that have been started anew; and that a health
        check has not said to be healthy, or not yet.
        """
        return [each["Name"] for each in self.containers(service) if not well(each)]

    @contextmanager
    def stops(self, service: str) -> Iterator[Callable[[], list[Stop]]]:
        """The containers of a service that end from now on, as Docker tells of them."""
        labels = {"com.docker.compose.project": self.name, "com.docker.compose.service": service}
        command = ["docker", "events", "--format", "{{json .}}", "--filter=event=kill", "--filter=event=die"]
        command += [f"--filter=label={name}={value}" for name, value in labels.items()]
        with TemporaryFile() as told, subprocess.Popen(command, stdout=told) as events:
            try:
                yield lambda: ended(os.pread(told.fileno(), 2**24, 0))
            finally:
                events.terminate()


def well(container: dict[str, Any]) -> bool:
    state = container["State"]
    if container["HostConfig"]["RestartPolicy"]["Name"] in ("", "no"):
        return (state["Status"], state["ExitCode"]) == ("exited", 0)
    healthy = "Health" not in state or state["Health"]["Status"] == "healthy"
    return healthy and (state["Status"], container["RestartCount"]) == ("running", 0)


def ended(events: bytes) -> list[Stop]:
    """Out of a line of JSON for each event."""
    told_at: dict[str, int] = {}
    stops = []
    for event in map(json.loads, events.splitlines()):
        container, at = event["Actor"]["ID"], event["timeNano"]
        if event["Action"] == "kill":
            told_at.setdefault(container, at)
        else:
            since = told_at.pop(container, None)
            seconds = None if since is None else round((at - since) / 1e9, 2)
            stops.append(Stop(int(event["Actor"]["Attributes"]["exitCode"]), seconds))
    return stops


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ComposeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def until(holds: Callable[[], bool], what: str, seconds: float, every_seconds: float = 1) -> float:
    """Ask until it holds; how long that took. Raises ComposeError."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise ComposeError(f"not within {seconds} s: {what}")
        time.sleep(every_seconds)
    return time.monotonic() - began
