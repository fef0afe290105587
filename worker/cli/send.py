"""`mailrouter send`: publish send requests from files."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from worker.cli.eml import UnusableMailError, event_of
from worker.cli.options import flag, with_settings
from worker.cli.output import progress_bar
from worker.cli.session import over_broker
from worker.clock import SystemClock
from worker.events.decode import Invalid, decode
from worker.rabbitmq.broker import CLOUDEVENTS_JSON, Publisher, RabbitBroker
from worker.rabbitmq.session import Session
from worker.settings import ConfigurationError, Settings

_MOST_ID_BYTES = 255
IN_FLIGHT = 100
"""Events published and not yet confirmed, at once."""

_FAULTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    body: bytes


@click.command("send")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@flag("send", "--bulk", is_flag=True, help="As a campaign: into the queue that never delays other mail.")
@flag("send", "--source", default="/mailrouter/send", show_default=True, help="CloudEvents source of .eml files.")
@flag("send", "--unchecked", is_flag=True, help="Publish invalid events, too; the worker will refuse them.")
@flag("send", "--json", "as_json", is_flag=True, help="Print JSON: how many, and their ids.")
@with_settings("amqp_url", "max_event_bytes", "horizon_days")
def command(  # noqa: PLR0913 - its flags
    settings: Settings, files: tuple[Path, ...], source: str, *, bulk: bool, unchecked: bool, as_json: bool
) -> None:
    """Publish send requests from files, each confirmed by the broker.

    A FILE holds one event, an array of events or an event on each line (JSON), or a mail (.eml); '-' is stdin, JSON.
    Nothing is published unless every event is valid.
    """
    events = _read(files, source)
    if not unchecked:
        _check(events, settings)
    key = "email.send.bulk" if bulk else "email.send"

    async def work(session: Session) -> None:
        broker = RabbitBroker(await Publisher.open(session))
        with progress_bar("publishing", len(events)) as step:
            await _publish(broker, key, [event for _, event in events], step)

    over_broker(settings, work)
    if as_json:
        click.echo(json.dumps({"published": len(events), "key": key, "ids": [event.id for _, event in events]}))
    else:
        click.echo(f"{len(events)} published with the key {key}")


async def _publish(broker: RabbitBroker, key: str, events: list[Event], step: Callable[[], None]) -> None:
    waiting = iter(events)

    async def publish() -> None:
        for event in waiting:
            await broker.publish(key, event.body, event.id)
            step()

    publishing = [asyncio.ensure_future(publish()) for _ in range(min(IN_FLIGHT, len(events)))]
    try:
        await asyncio.gather(*publishing)
    finally:
        for each in publishing:
            each.cancel()
        await asyncio.gather(*publishing, return_exceptions=True)


def _read(files: tuple[Path, ...], source: str) -> list[tuple[str, Event]]:
    """Each event and its place. Raises ConfigurationError."""
    events: list[tuple[str, Event]] = []
    for file in files:
        try:
            content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
        if file.suffix.lower() == ".eml":
            try:
                found: list[object] = [event_of(content, source, SystemClock().now())]
            except UnusableMailError as error:
                raise ConfigurationError(f"{file}: {error}") from error
        else:
            found = list(_json(file, content))
        events += [_event(f"{file}, event {number}", each) for number, each in enumerate(found, 1)]
    if not events:
        raise ConfigurationError("the files hold no events")
    return events


def _json(file: Path, content: bytes) -> Iterator[object]:
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError) as not_one:
        for number, line in enumerate(content.splitlines(), 1):
            if not line.strip():
                continue
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                # Of a file that is meant as one document its own error says more than that of its first line.
                fault = not_one if number == 1 else "not JSON"
                raise ConfigurationError(f"{file}, line {number}: {fault}") from None
    else:
        yield from whole if isinstance(whole, list) else [whole]


def _event(place: str, event: object) -> tuple[str, Event]:
    event_id = event.get("id") if isinstance(event, dict) else None
    if not isinstance(event_id, str) or not event_id:
        raise ConfigurationError(f"{place}: not a CloudEvent: it has no id")
    if len(event_id.encode("utf-8", "replace")) > _MOST_ID_BYTES:
        raise ConfigurationError(f"{place}: id: is longer than {_MOST_ID_BYTES} bytes, the most a message id can have")
    return place, Event(event_id, json.dumps(event, separators=(",", ":")).encode())


def _check(events: list[tuple[str, Event]], settings: Settings) -> None:
    now = SystemClock().now()
    faults = []
    for place, event in events:
        checked = decode(
            event.body,
            CLOUDEVENTS_JSON,
            {},
            now=now,
            max_bytes=settings.max_event_bytes,
            horizon_days=settings.horizon_days,
        )
        if isinstance(checked, Invalid):
            faults.append(f"{place}: {checked.field} {checked.message}".replace(":  ", ": "))
    if faults:
        more = [f"and {len(faults) - _FAULTS_SHOWN} more"] if len(faults) > _FAULTS_SHOWN else []
        raise ConfigurationError(*faults[:_FAULTS_SHOWN], *more, "nothing was published")
