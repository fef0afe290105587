"""From what the Email Router was told to tables of profiles.toml, and what a person has to know of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from worker.mail.address import same_mailbox
from worker.migration.email_router import EmailRouter, Owner, Provider
from worker.migration.profile import Wanted, wanted
from worker.migration.tunables import of_tunables
from worker.profiles.model import Mailbox
from worker.profiles.table import entry

Kind = Literal["carried over", "changed", "left out", "to do"]


@dataclass(frozen=True, slots=True)
class Note:
    """What became of something. `what`: a profile, a mailbox, a setting."""

    kind: Kind
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class NewTable:
    """A `[[profile]]` or `[[mailbox]]`, with comments for some of its keys."""

    keys: dict[str, object]
    comments: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.keys["name"])


@dataclass(frozen=True, slots=True)
class Conversion:
    profiles: Sequence[NewTable]
    mailboxes: Sequence[NewTable]
    notes: Sequence[Note]
    settings: Mapping[str, str]


def convert(router: EmailRouter) -> Conversion:
    """Never raises; what cannot be carried over is noted."""
    return _Converter(router).convert()


class _Converter:
    def __init__(self, router: EmailRouter) -> None:
        self._router = router
        self._notes: list[Note] = []
        self._profiles: dict[Wanted, NewTable] = {}
        self._mailboxes: dict[str, NewTable] = {}
        self._addresses = _addresses(router.providers)
        self._secrets: dict[tuple[str, str], str] = {}

    def convert(self) -> Conversion:
        settings, told, poll_seconds = of_tunables(self._router.tunables)
        self._notes += [Note("carried over" if carried else "left out", what, text) for carried, what, text in told]
        for provider in sorted(self._router.providers, key=lambda each: not each.given.get("address")):
            self._take(provider, poll_seconds)
        for mailbox in self._mailboxes.values():
            if mailbox.keys["kind"] == "forward" and "incoming" not in mailbox.keys:
                mailbox.keys["kind"] = "user"
                self._note("changed", f"mailbox {mailbox.keys['address']}", "nothing reads it: made a user")
        for name, times in sorted(self._router.unknown.items()):
            self._note("left out", f"<{name}>", f"is not known here (found {times}x)")
        return Conversion(list(self._profiles.values()), list(self._mailboxes.values()), self._notes, settings)

    def _note(self, kind: Kind, what: str, text: str) -> None:
        note = Note(kind, what, text)
        if note not in self._notes:
            self._notes.append(note)

    def _take(self, provider: Provider, poll_seconds: float) -> None:
        place = f"ProviderConfiguration {provider.number}"
        place += f" ({provider.given['address']})" if "address" in provider.given else ""
        if provider.given.get("enabled", "true").casefold() in ("false", "0"):
            self._note("left out", place, "it is not enabled")
            return
        found = wanted(provider, poll_seconds)
        if isinstance(found, str):
            self._note("left out", place, found)
            return
        served = self._served(provider, place)
        if not served:
            return
        profile = self._profile(found)
        for address, kind in served:
            self._serve(address, kind, found, profile, provider.given.get("username", ""))

    def _served(self, provider: Provider, place: str) -> list[tuple[str, str]]:
        """Address and kind of each mailbox it is for."""
        own = provider.given.get("address")
        if own:
            return [(own, _kind(provider))]
        found = []
        for owner in provider.owners:
            if owner in self._addresses:
                found.append((self._addresses[owner], owner.kind))
            else:
                self._note("left out", f"{owner.kind} {owner.id}", "the file has no mail address for this id")
        if not provider.owners:
            found = [(str(each.keys["address"]), str(each.keys["kind"])) for each in self._mailboxes.values()]
            found = [each for each in found if each[1] != "forward"]
            self._note("changed", place, "names no users or queues: it is given to all that are known")
        return found

    def _profile(self, found: Wanted) -> NewTable:
        if found not in self._profiles:
            keys = dict(found.keys)
            keys["name"] = self._free(str(keys["name"]))
            for key in found.secrets:
                keys[key] = self._secret(key, str(keys.get("tenant_id") or keys["username"]))
            self._profiles[found] = NewTable(keys, dict(found.comments))
            name = str(keys["name"])
            self._note("carried over", f"profile {name}", f"{keys['direction']}, {keys['server']}")
            for kind, text in found.notes:
                self._note(kind, f"profile {name}", text)
        return self._profiles[found]

    def _serve(self, address: str, kind: str, found: Wanted, profile: NewTable, username: str) -> None:
        faults = entry(Mailbox, {"address": address, "username": username or address}, "mailbox", 1, "address").faults
        if faults:
            self._note("left out", f"mailbox {address}", f"{faults[0].key}: {faults[0].text}")
            return
        mailbox = self._mailboxes.setdefault(same_mailbox(address), NewTable({"address": address, "kind": kind}))
        direction = str(profile.keys["direction"])
        if direction in mailbox.keys:
            if mailbox.keys[direction] != profile.name:
                self._note("left out", f"mailbox {address}", f"a second {direction} profile, {profile.name}")
            return
        mailbox.keys[direction] = profile.name
        if found.own_credentials and "password" not in mailbox.keys:
            mailbox.keys["username"] = username or address
            mailbox.keys["password"] = self._secret("password", username or address)

    def _free(self, name: str) -> str:
        taken = {each.name for each in self._profiles.values()}
        return next(each for each in (name, *(f"{name} {n}" for n in range(2, len(taken) + 3))) if each not in taken)

    def _secret(self, key: str, of: str) -> str:
        """A reference that all who sign in by the same account share, and nobody else."""
        held = (key, of.casefold())
        if held not in self._secrets:
            stem = re.sub(r"[^A-Z0-9]+", "_", f"{of}_{key}".upper()).strip("_")
            names = (stem, *(f"{stem}_{n}" for n in range(2, len(self._secrets) + 3)))
            taken = set(self._secrets.values())
            self._secrets[held] = next(f"env:{each}" for each in names if f"env:{each}" not in taken)
            self._note("to do", self._secrets[held], f"{key} of {of}: it is encrypted there, and not copied")
        return self._secrets[held]


def _kind(provider: Provider) -> str:
    """A mailbox that no single user or queue is read for is one that others forward to."""
    told = provider.given.get("kind", "").casefold()
    known = next((kind for kind in ("forward", "queue", "user") if kind in told), None)
    return known or (provider.owners[0].kind if provider.owners else "forward")


def _addresses(providers: Sequence[Provider]) -> dict[Owner, str]:
    """Outgoing providers name users and queues by id only; the incoming ones of the same have the address too."""
    return {owner: each.given["address"] for each in providers if "address" in each.given for owner in each.owners}
