"""From profiles.toml to a checked `Directory`, or to all that is wrong with it at once."""

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from worker.mail.address import same_mailbox
from worker.profiles import local, relations
from worker.profiles.directory import Directory
from worker.profiles.model import Mailbox, Profile
from worker.profiles.table import Entry, Fault, Table, entry, shown, suggestion
from worker.settings import ConfigurationError

MOST_BYTES: Final = 16 * 2**20
"""A hundred thousand mailboxes."""

MOST_FAULTS: Final = 1000
"""More of them are counted only."""

_TABLES: Final = ("profile", "mailbox")


def load(path: Path) -> Directory:
    """Raises ConfigurationError with one line for each fault: file, table, key, what is wrong."""
    return parse(tables(read_text(path), str(path)), str(path))


def read_text(path: Path) -> str:
    """Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigurationError(
            f"{path}: cannot be read: {cause}; MAILROUTER_PROFILES or --profiles names the profiles file"
        ) from None
    if len(content) > MOST_BYTES:
        raise ConfigurationError(f"{path}: is larger than {MOST_BYTES // 2**20} MiB: that is no profiles file")
    return text


def tables(text: str, place: str) -> dict[str, Any]:
    """Raises ConfigurationError with the line that is no TOML."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(_not_toml(error, text, place)) from None


def _not_toml(error: Exception, text: str, place: str) -> str:
    if not isinstance(error, tomllib.TOMLDecodeError):
        return f"{place}: not TOML: {'nested too deep' if isinstance(error, RecursionError) else 'a number too long'}"
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error), re.DOTALL)
    cause = found[1] if found else str(error)
    line = int(found[2]) if found and found[2] else max(1, len(text.splitlines()))
    if cause.startswith("Unescaped '\\'"):
        cause += r'; write \\ for a backslash: "CONTOSO\\anna"'
    elif cause == "Cannot overwrite a value":
        cause = "the key stands there twice"
    return f"{place}: line {line}: not TOML: {shown(cause)}"


def parse(data: dict[str, Any], place: str, *, here: bool = True) -> Directory:
    """As `load`, from what was read. `place` is what faults name as the file. Not `here`: secrets and files are not
    looked for, since it is another machine that needs them.
    """
    faults = [
        f"{shown(key)}: unknown table{suggestion(key, _TABLES) or '; [[profile]] and [[mailbox]] are known'}"
        for key in data
        if key not in _TABLES
    ]
    profiles = _entries(data, Profile, "name", faults)
    mailboxes = _entries(data, Mailbox, "address", faults)
    if not data.get("profile") and not faults:
        faults.append("no [[profile]] table: nothing could be sent")
    for profile, told in zip(profiles, _doubled(profiles, "name", str), strict=True):
        faults += profile.told((*profile.faults, *told, *relations.of_profile(profile)))
        faults += profile.told(local.of_profile(profile)) if here else []
    named = {each.table.name: each for each in reversed(profiles) if each.knows("name")}
    for mailbox, told in zip(mailboxes, _doubled(mailboxes, "address", same_mailbox), strict=True):
        faults += mailbox.told((*mailbox.faults, *told, *relations.of_mailbox(mailbox, named)))
        faults += mailbox.told(local.of_mailbox(mailbox)) if here else []
    if faults:
        raise ConfigurationError(*_bounded(place, faults))
    return Directory([each.table for each in profiles], [each.table for each in mailboxes])


def _entries(data: dict[str, Any], model: type[Table], title: str, faults: list[str]) -> list[Entry[Table]]:
    """The `[[profile]]` or `[[mailbox]]` tables, whatever else stands in their place."""
    kind = model.__name__.lower()
    written = data.get(kind, [])
    tables = written if isinstance(written, list) else [written]
    if not isinstance(written, list) or not all(isinstance(each, dict) for each in tables):
        faults.append(f"{kind}: must be written as [[{kind}]] tables")
    return [entry(model, each, kind, number, title) for number, each in enumerate(tables, 1) if isinstance(each, dict)]


def _doubled(entries: Sequence[Entry[Table]], title: str, same: Callable[[str], str]) -> Iterator[list[Fault]]:
    """For each entry, whether another one of the same title stands before it."""
    first: dict[str, Entry[Table]] = {}
    for each in entries:
        written = getattr(each.table, title)
        other = first.setdefault(same(written), each) if each.knows(title) else each
        case = "" if other is each or written == getattr(other.table, title) else "; case makes no difference"
        yield [] if other is each else [Fault(title, f"stands already at {other.place}{case}")]


def _bounded(place: str, lines: Sequence[str]) -> tuple[str, ...]:
    more = [f"and {len(lines) - MOST_FAULTS} more"] if len(lines) > MOST_FAULTS else []
    return tuple(f"{place}: {line}" for line in (*lines[:MOST_FAULTS], *more))
