"""`mailrouter dead`: look through the dead-letter queue, put messages back, discard them."""

import base64
import json
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Final

import click

from worker.cli.options import flag, with_settings
from worker.cli.output import progress_bar, show_rows
from worker.cli.session import over_broker
from worker.inbound.ticket import PollTicket, read
from worker.rabbitmq.dead_letters import DeadLetter, DeadLetters, Tally
from worker.rabbitmq.session import Session
from worker.rabbitmq.topology import ITEMS
from worker.settings import Settings

Summary = dict[str, str | int]

_COLUMNS: Final = {
    "ID": "id",
    "Reason": "reason",
    "Detail": "detail",
    "Remedy": "remedy",
    "Attempts": "attempts",
    "First seen": "first_seen_at",
}
_json_option = flag("dead", "--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("dead")
def command() -> None:
    """What could not be processed, with reason and remedy: list it, show it, put it back, discard it.

    An interrupted command loses nothing: what it was not done with stays in the dead-letter queue.
    """


@command.command("list")
@flag("dead", "--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="The most to list.")
@_json_option
@with_settings("amqp_url")
def list_letters(settings: Settings, limit: int, *, as_json: bool) -> None:
    """The dead letters, oldest first."""

    async def work(session: Session) -> tuple[list[Summary], int]:
        dead = DeadLetters(session)
        count = await dead.count()
        found: list[Summary] = []
        with progress_bar("reading", min(limit, count)) as step:
            async for letter in dead.letters():
                found.append(_summary(letter))
                step()
                if len(found) == limit:
                    break
        return found, count

    found, count = over_broker(settings, work)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show_rows(tuple(_COLUMNS), [_row(each) for each in found])
    if count > len(found):
        click.echo(f"{count - len(found)} more: raise --limit to see them", err=True)
    if not count:
        click.echo("no dead letters", err=True)


@command.command("show")
@click.argument("letter_id", metavar="ID")
@_json_option
@with_settings("amqp_url")
def show(settings: Settings, letter_id: str, *, as_json: bool) -> None:
    """One dead letter, all of it: why it is here, its headers and its body."""

    async def work(session: Session) -> DeadLetter | None:
        async for letter in DeadLetters(session).letters():
            if letter.id == letter_id:
                return letter
        return None

    letter = over_broker(settings, work)
    if letter is None:
        _tell_missing({letter_id})
        raise click.exceptions.Exit(1)
    if as_json:
        click.echo(json.dumps(_whole(letter), indent=2, default=_plain))
        return
    for name, value in _summary(letter).items():
        click.echo(f"{name}: {value}")
    for name, header in letter.headers.items():
        click.echo(f"header {name}: {header}")
    click.echo("")
    click.echo(_readable(letter.body))


@command.command("replay")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@with_settings("amqp_url")
def replay(settings: Settings, ids: tuple[str, ...]) -> None:
    """Put dead letters back into the queue they came from: these, or all. Their attempts count anew."""

    async def work(dead: DeadLetters, step: Callable[[], None]) -> Tally:
        return await dead.replay(set(ids) or None, step)

    tally = _with_progress(settings, "replaying", work)
    click.echo(f"{tally.done} put back")
    if tally.unreplayable:
        click.echo(
            f"mailrouter: {tally.unreplayable} stay: where they came from is not known (no x-queue header). "
            "Remedy: publish them again, or drop them.",
            err=True,
        )
    _tell_missing(tally.missing)
    raise click.exceptions.Exit(1 if tally.unreplayable or tally.missing else 0)


@command.command("drop")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@with_settings("amqp_url")
def drop(settings: Settings, ids: tuple[str, ...]) -> None:
    """Discard dead letters. They are gone then."""

    async def work(dead: DeadLetters, step: Callable[[], None]) -> Tally:
        return await dead.drop(set(ids), step)

    tally = _with_progress(settings, "dropping", work)
    click.echo(f"{tally.done} dropped")
    _tell_missing(tally.missing)
    raise click.exceptions.Exit(1 if tally.missing else 0)


def _with_progress(
    settings: Settings, label: str, work: Callable[[DeadLetters, Callable[[], None]], Awaitable[Tally]]
) -> Tally:
    async def run(session: Session) -> Tally:
        dead = DeadLetters(session)
        with progress_bar(label, await dead.count()) as step:
            return await work(dead, step)

    return over_broker(settings, run)


def _tell_missing(ids: set[str]) -> None:
    for each in sorted(ids):
        click.echo(
            f"mailrouter: no dead letter has the id {each}. Remedy: 'mailrouter dead list' shows them.", err=True
        )


def _row(told: Summary) -> list[str]:
    whose = f"{told['mailbox']}: " if "mailbox" in told else ""
    shown = {**told, "detail": f"{whose}{told['detail']}"}
    return [str(shown[name]) for name in _COLUMNS.values()]


def _summary(letter: DeadLetter) -> Summary:
    """Without the body. Of a mail that could not be read the body is the ticket for it, which names it."""
    ticket = read(letter.body, PollTicket) if letter.queue == ITEMS else None
    where = {"mailbox": ticket.mailbox, "item": ticket.item} if ticket else {}
    return {
        "id": letter.id,
        **where,
        "reason": letter.reason,
        "detail": letter.detail,
        "remedy": letter.remedy,
        "attempts": letter.attempts,
        "first_seen_at": letter.first_seen_at,
        "queue": letter.queue,
        "content_type": letter.content_type,
        "size": len(letter.body),
    }


def _whole(letter: DeadLetter) -> dict[str, object]:
    try:
        body = {"body": letter.body.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(letter.body).decode()}
    return {**_summary(letter), "headers": dict(letter.headers), **body}


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body.decode(errors="backslashreplace")


def _plain(value: object) -> str:
    """Header values that JSON has no form for: times, bytes."""
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)
