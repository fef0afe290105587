"""From profiles.toml to a checked `Directory`, or to all that is wrong with it at once."""

import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from worker.mail.address import same_mailbox
from worker.profiles.directory import Directory
from worker.profiles.model import Mailbox, Profile
from worker.settings import ConfigurationError, SecretReference

Table = TypeVar("Table", bound=BaseModel)


def load(path: Path) -> Directory:
    """Raises ConfigurationError with one line for each fault: file, table, key, what is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigurationError(
            f"{path}: cannot be read: {cause}; MAILROUTER_PROFILES or --profiles names the profiles file"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from None
    return parse(data, str(path))


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
        faults += [f"{place}: {fault}" for fault in _secrets(profiles, mailboxes)]
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
        named = f"[[{kind}]] {number} ({table.get(key, 'without ' + key)})"
        try:
            good.append(model.model_validate(table))
        except ValidationError as error:
            faults += [f"{named}: {_spoken(fault)}" for fault in error.errors(include_input=False)]
    return good, faults


def _spoken(fault: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """`key: what is wrong`, never with the value: it might be a password typed in the wrong place."""
    key = str(fault["loc"][0]) if fault["loc"] else ""
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "unknown key"
    elif fault["type"] == "missing":
        message = "is missing"
    return f"{key}: {message}" if key else message


def _doubles(profiles: Sequence[Profile], mailboxes: Sequence[Mailbox]) -> list[str]:
    names = [("profile", "name", profile.name) for profile in profiles]
    addresses = [("mailbox", "address", same_mailbox(mailbox.address)) for mailbox in mailboxes]
    doubled = sorted(each for each, times in Counter(names + addresses).items() if times > 1)
    return [f"[[{kind}]] ({value}): {key}: entered more than once" for kind, key, value in doubled]


def _relations(mailbox: Mailbox, known: dict[str, Profile], written: set[str]) -> list[str]:
    place = f"[[mailbox]] ({mailbox.address})"
    faults = []
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


def _secrets(profiles: Sequence[Profile], mailboxes: Sequence[Mailbox]) -> list[str]:
    held: list[tuple[str, SecretReference | None]] = [
        (f"[[profile]] ({each.name})", each.password) for each in profiles
    ]
    held += [(f"[[mailbox]] ({each.address})", each.password) for each in mailboxes]
    faults = []
    for place, secret in held:
        try:
            _ = secret and secret.resolve()
        except ConfigurationError as error:
            faults.append(f"{place}: password: {error}")
    faults += [
        f"[[profile]] ({each.name}): ca_file: {each.ca_file} is not a readable file"
        for each in profiles
        if each.ca_file and not each.ca_file.is_file()
    ]
    return faults
