"""Who a sandbox starts with: by default, by number, or from a file; and how that is told to a person."""

import json
import tomllib
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_DNS, uuid5

from worker.sandbox import application_file
from worker.sandbox.application import Application
from worker.sandbox.directory import ALL, RIGHTS, STATES, Directory, User
from worker.settings import ConfigurationError

USER_PASSWORD: Final = "sandbox"  # noqa: S105 - it guards nothing
MOST_READ: Final = 100
"""Mailboxes that the printed profiles read at most."""
_KEYS: Final = frozenset({"address", "password", "name", "has_mailbox", "state", *RIGHTS})


def invented(domain: str, count: int | None, password: str = USER_PASSWORD) -> Directory:
    """Service accounts for every way of sending, an application that may act for all, and users: `user1` to `userN`, or
    without a count any address of the domain, each from its first use on.
    """
    directory = Directory(() if count is not None else (domain,), password)
    directory.add(User(f"router@{domain}", f"{password}-router", "Router", impersonates={ALL}))
    directory.add(User(f"delegate@{domain}", f"{password}-delegate", "Delegate", full_access={ALL}, send_as={ALL}))
    directory.add(User(f"behalf@{domain}", f"{password}-behalf", "Behalf", full_access={ALL}, send_on_behalf={ALL}))
    client_id = str(uuid5(NAMESPACE_DNS, f"mailrouter.{domain}"))
    directory.register(Application(domain, client_id, f"{password}-application"))
    for number in range(1, (count or 0) + 1):
        directory.add(User(f"user{number}@{domain}", password, f"User {number}"))
    return directory


def from_file(path: Path) -> Directory:
    """Users from TOML (`[[user]]` tables, `[[application]]` tables) or JSON (`{"user": [...]}`). Raises
    ConfigurationError naming each fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigurationError(f"{path}: cannot be read: {cause}") from None
    except ValueError as error:  # both decoders' errors are ValueErrors
        raise ConfigurationError(f"{path}: not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from None
    tables = data.get("user") if isinstance(data, dict) else None
    if not isinstance(tables, list) or not tables:
        raise ConfigurationError(f"{path}: no users; write one [[user]] table for each")
    directory, faults = Directory(), []
    for number, table in enumerate(tables, 1):
        fault = _fault(table)
        if fault:
            faults.append(f"{path}: [[user]] {number}: {fault}")
        else:
            rights = {right: {each.casefold() for each in table.get(right, ())} for right in RIGHTS}
            directory.add(User(**{**table, **rights}))
    applications = data.get("application", [])
    if not isinstance(applications, list):
        faults.append(f"{path}: applications: write one [[application]] table for each")
        applications = []
    for number, table in enumerate(applications, 1):
        try:
            directory.register(application_file.read(table, path.parent))
        except ValueError as error:
            faults.append(f"{path}: [[application]] {number}: {error}")
    if faults:
        raise ConfigurationError(*faults)
    return directory


def _fault(table: object) -> str:
    if not isinstance(table, dict):
        return "must be a table"
    if unknown := table.keys() - _KEYS:
        return f"{min(unknown)}: unknown key; {', '.join(sorted(_KEYS))} are known"
    return _wrong_value(table)


def _wrong_value(table: dict[str, Any]) -> str:
    for key in ("address", "password"):
        if not isinstance(table.get(key), str) or not table[key]:
            return f"{key}: is missing, or no text"
    if "@" not in table["address"]:
        return "address: is no mail address"
    if table.get("state", "ok") not in STATES:
        return f"state: {table['state']}: no such state; there are {', '.join(STATES)}"
    for right in RIGHTS:
        mailboxes = table.get(right, [])
        if not isinstance(mailboxes, list) or not all(isinstance(each, str) for each in mailboxes):
            return f'{right}: must be a list of addresses, or ["*"]'
    return ""


def described(directory: Directory) -> list[dict[str, Any]]:
    """The users with what they may, as data. The passwords are in it: they are the sandbox's own."""
    return [
        {
            "address": user.address,
            "password": user.password,
            **({"state": user.state} if user.state != "ok" else {}),
            **{right: sorted(getattr(user, right)) for right in RIGHTS if getattr(user, right)},
        }
        for user in directory.users.values()
    ]


def applications_described(directory: Directory) -> list[dict[str, str]]:
    """Likewise the applications, with their secrets."""
    return [
        {"tenant": each.tenant, "client_id": each.client_id, "client_secret": each.client_secret}
        for each in directory.applications.values()
    ]


def profiles_snippet(directory: Directory, url: str, ca_file: str = "") -> str:
    """A profiles.toml that works with this sandbox, by its first account that may impersonate; else by each user's
    own credentials. Read are the mailboxes of the first users; of a domain where anybody is one, that of Anna.
    """
    service = next((user for user in directory.users.values() if user.impersonates), None)
    lines = [*_profile("Sandbox", "outgoing", url, ca_file, service), ""]
    lines += [*_profile("SandboxIncoming", "incoming", url, ca_file, service), "poll_seconds   = 5"]
    if service is None:
        for user in directory.users.values():
            lines += ["", *_mailbox(user.address)]
            lines += [f'username = "{user.address}"', f'password = "env:SANDBOX_PASSWORD"   # {user.password}']
        return "\n".join(lines)
    for domain in sorted(
        {each.address.rpartition("@")[2] for each in directory.users.values()} | directory.open_domains
    ):
        lines += ["", "[[mailbox]]", f'address  = "*@{domain}"', 'outgoing = "Sandbox"']
    read = [user.address for user in directory.users.values() if not any(getattr(user, each) for each in RIGHTS)]
    read += [f"anna@{domain}" for domain in sorted(directory.open_domains)]
    for address in read[:MOST_READ]:
        lines += ["", *_mailbox(address)]
    return "\n".join(lines)


def _profile(name: str, direction: str, url: str, ca_file: str, service: User | None) -> list[str]:
    lines = ["[[profile]]", f'name           = "{name}"', f'direction      = "{direction}"']
    lines += ['server         = "exchange"', f'location       = "{url}"', 'authentication = "clear-text"']
    if ca_file:
        lines.append(f'ca_file        = "{ca_file}"')
    if service is None:
        return [*lines, 'credentials    = "user-specified"', 'user_type      = "user"']
    return [
        *lines,
        'credentials    = "other-specified"',
        f'username       = "{service.address}"',
        f'password       = "env:SANDBOX_PASSWORD"   # export SANDBOX_PASSWORD={service.password}',
        'user_type      = "administrator"',
        'access         = "impersonation"',
    ]


def _mailbox(address: str) -> list[str]:
    return ["[[mailbox]]", f'address  = "{address}"', 'outgoing = "Sandbox"', 'incoming = "SandboxIncoming"']
