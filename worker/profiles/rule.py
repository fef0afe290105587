"""Rules about what the keys of a profile have to do with each other, and the conditions they are made of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from worker.profiles.model import Profile
from worker.profiles.table import Entry, Fault

Condition = Callable[[Profile], bool]

_EXCHANGE_ONLINE: Final = (
    ".office365.com",
    ".office.com",
    ".office365.us",
    ".partner.outlook.cn",
    ".apps.mil",
)
"""Hosts of Exchange Online, worldwide and in the national clouds (Microsoft 365 endpoints)."""


ACCOUNT: Final = ("authentication", "credentials")
SENDER: Final = ("direction", "user_type", "access", *ACCOUNT)


@dataclass(frozen=True, slots=True)
class Rule:
    """`text` is said of `key` where it is `broken`; asked only if `key` and what it `reads` hold by themselves."""

    key: str
    reads: tuple[str, ...]
    broken: Condition
    text: str

    def judge(self, entry: Entry[Profile]) -> Iterator[Fault]:
        if entry.knows(self.key, *self.reads) and self.broken(entry.table):
            yield Fault(self.key, self.text)


def given(key: str) -> Condition:
    return lambda profile: key in profile.model_fields_set


def missing(key: str) -> Condition:
    return lambda profile: getattr(profile, key) is None


def both(*conditions: Condition) -> Condition:
    return lambda profile: all(condition(profile) for condition in conditions)


def oauth(profile: Profile) -> bool:
    return profile.authentication == "oauth2"


def no_oauth(profile: Profile) -> bool:
    return not oauth(profile)


def by_password(profile: Profile) -> bool:
    return not oauth(profile) and profile.credentials == "other-specified"


def own_credentials(profile: Profile) -> bool:
    return not oauth(profile) and profile.credentials == "user-specified"


def outgoing(profile: Profile) -> bool:
    return profile.direction == "outgoing"


def incoming(profile: Profile) -> bool:
    return profile.direction == "incoming"


def of_exchange_online(host: str) -> bool:
    return ("." + host.casefold().rstrip(".")).endswith(_EXCHANGE_ONLINE)


def exchange_online(profile: Profile) -> bool:
    named = of_exchange_online(urlsplit(profile.location).hostname or "")
    return named or (profile.autodiscover and profile.server == "exchange-online")
