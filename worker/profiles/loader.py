"""From profiles.toml to a checked `Directory`, or to all that is wrong with it at once."""

import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from worker.mail.address import same_mailbox
from worker.profiles import local, relations
from worker.profiles.directory import Directory
from worker.profiles.model import Mailbox, Profile
from worker.profiles.spoken import spoken
from worker.settings import ConfigurationError

Table = TypeVar("Table", bound=BaseModel)


MOST_BYTES: Final = 16 * 2**20


def load(path: Path) -> Directory:
    """Raises ConfigurationError with one line for each fault: file, table, key, what is wrong."""
    return parse(tables(read_text(path), str(path)), str(path))


def read_text(path: Path) -> str:
    """Raises ConfigurationError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigurationError(f"{path}: is larger than {MOST_BYTES // 2**20} MiB")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigurationError(
            f"{path}: cannot be read: {cause}; MAILROUTER_PROFILES or --profiles names the profiles file"
        ) from None


def tables(text: str, place: str) -> dict[str, Any]:
    """Raises ConfigurationError where it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{place}: not TOML: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"{place}: not TOML that can be read: it is nested too deeply") from None


def parse(data: dict[str, Any], place: str, *, here: bool = True) -> Directory:
    """As `load`, from what was read. `place` is what faults name as the file. Not `here`: secrets and files are not
    looked for, since it is another machine that needs them.
    """
    faults = [f"{place}: {key}: unknown table; [[profile]] and [[mailbox]] are known" for key in data.keys() - _TABLES]
    profiles, wrong_profiles = _tables(data.get("profile", []), Profile, "profile", "name")
    mailboxes, wrong_mailboxes = _tables(data.get("mailbox", []), Mailbox, "mailbox", "address")
    faults += [f"{place}: {fault}" for fault in (*wrong_profiles, *wrong_mailboxes)]
    faults += [f"{place}: {fault}" for fault in _doubles(profiles, mailboxes)]
    known = {profile.name: profile for profile in profiles}
    written = {str(table.get("name")) for table in _as_tables(data.get("profile", []))}
    for mailbox in mailboxes:
        faults += [f"{place}: {fault}" for fault in _relations(mailbox, known, written)]
    if here:
        faults += [f"{place}: {fault}" for fault in local.faults(profiles, mailboxes)]
    if not data.get("profile") and not faults:
        faults.append(f"{place}: no [[profile]] table: nothing could be sent")
    if faults:
        raise ConfigurationError(*faults)
    return Directory(profiles, mailboxes)


_TABLES = {"profile", "mailbox"}


def _as_tables(value: object) -> list[dict[str, Any]]:
    return [table for table in value if isinstance(table, dict)] if isinstance(value, list) else []


def _tables(value: object, model: type[Table], kind: str, key: str) -> tuple[list[Table], list[str]]:
    if not isinstance(value, list) or len(_as_tables(value)) != len(value):
        return [], [f"{kind}: must be written as [[{kind}]] tables"]
    good: list[Table] = []
    faults: list[str] = []
    for number, table in enumerate(value, 1):
        named = f"[[{kind}]] {number} ({_name(table, key)})"
        found: list[tuple[str, str]] = []
        try:
            good.append(model.model_validate(table))
        except ValidationError as error:
            found = [spoken(fault, model) for fault in error.errors(include_input=False)]
        if model is Profile:
            told = {key for key, _ in found}
            found += [each for each in relations.faults(table) if each[0] not in told]
        faults += [f"{named}: {key}: {text}" for key, text in found]
    return good, faults


def _name(table: dict[str, Any], key: str) -> str:
    """What a table is called, as far as it can be shown in a line."""
    name = table.get(key)
    if not isinstance(name, str) or not name.isprintable() or not name:
        return f"without {key}"
    return name[:100]


def _doubles(profiles: Sequence[Profile], mailboxes: Sequence[Mailbox]) -> list[str]:
    names = [("profile", "name", profile.name) for profile in profiles]
    addresses = [("mailbox", "address", same_mailbox(mailbox.address)) for mailbox in mailboxes]
    doubled = sorted(each for each, times in Counter(names + addresses).items() if times > 1)
    return [f"[[{kind}]] ({value}): {key}: entered more than once" for kind, key, value in doubled]


def _relations(mailbox: Mailbox, known: dict[str, Profile], written: set[str]) -> list[str]:
    place = f"[[mailbox]] ({mailbox.address})"
    faults = []
    if mailbox.kind == "forward" and mailbox.incoming is None:
        faults.append(f'{place}: incoming: is missing: kind = "forward" is about mail that comes in')
    for key, name in (("outgoing", mailbox.outgoing), ("incoming", mailbox.incoming)):
        profile = known.get(name) if name else None
        if name and name not in written:
            faults.append(f"{place}: {key}: no profile is named {name!r}")
        elif profile and profile.direction != key:
            faults.append(f"{place}: {key}: {name!r} is an {profile.direction} profile")
        elif profile and key == "incoming" and mailbox.address.startswith("*@"):
            faults.append(f"{place}: incoming: a whole domain cannot be read: enter its mailboxes one by one")
        elif profile and profile.credentials == "user-specified":
            faults += [
                f'{place}: {each}: is missing: profile {name!r} has credentials = "user-specified"'
                for each in ("username", "password")
                if getattr(mailbox, each) is None
            ]
    return faults
