"""What keys must be to each other, in a profile, and in a mailbox entry and its profiles: what surely does not work, or
is surely a slip. What merely has no effect is a warning (`worker/profiles/warnings.py`).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from worker.profiles.mailbox_address import WHOLE_DOMAIN
from worker.profiles.model import OF_OAUTH, Mailbox, Profile
from worker.profiles.rule import (
    ACCOUNT,
    SENDER,
    Rule,
    both,
    by_password,
    exchange_online,
    given,
    missing,
    no_oauth,
    oauth,
    own_credentials,
)
from worker.profiles.table import Entry, Fault, shown, suggestion

FAULTS: Final = (
    Rule(
        "location",
        ("autodiscover",),
        lambda profile: profile.autodiscover and bool(profile.location),
        "is not asked for with autodiscover = true: give one of the two",
    ),
    Rule(
        "location",
        ("autodiscover",),
        lambda profile: not profile.autodiscover and not profile.location,
        "is missing: the URL of EWS, or autodiscover = true",
    ),
    Rule(
        "authentication",
        ("location", "autodiscover", "server"),
        both(exchange_online, no_oauth),
        'must be "oauth2": Exchange Online takes nothing else',
    ),
    Rule(
        "credentials",
        ("authentication",),
        both(oauth, lambda profile: profile.credentials == "user-specified"),
        '"user-specified" has no use with oauth2, where an application signs in: use "other-specified", or '
        'authentication = "clear-text" or "ntlm"',
    ),
    Rule(
        "user_type",
        ("authentication",),
        both(oauth, lambda profile: profile.user_type == "user"),
        'with oauth2 an application signs in, and acts for others: use "administrator"',
    ),
    Rule(
        "user_type",
        ACCOUNT,
        both(own_credentials, given("user_type"), lambda profile: profile.user_type == "administrator"),
        '"administrator" needs credentials = "other-specified"',
    ),
    *(
        Rule(
            key,
            ("authentication",),
            both(oauth, missing(key)),
            'is missing: authentication = "oauth2" needs it',
        )
        for key in ("tenant_id", "client_id")
    ),
    Rule(
        "client_secret",
        ("authentication", "certificate"),
        both(oauth, missing("client_secret"), missing("certificate")),
        'is missing: authentication = "oauth2" needs it, or certificate',
    ),
    Rule(
        "client_secret",
        ("authentication", "certificate"),
        both(oauth, given("client_secret"), given("certificate")),
        "is given, and certificate too: one of them is to be used",
    ),
    *(
        Rule(
            key,
            ("authentication",),
            both(no_oauth, given(key)),
            'has a use only with authentication = "oauth2"',
        )
        for key in OF_OAUTH
    ),
    *(
        Rule(
            key,
            ACCOUNT,
            both(by_password, missing(key)),
            'is missing: credentials = "other-specified" needs it',
        )
        for key in ("username", "password")
    ),
    Rule(
        "username",
        SENDER,
        both(oauth, missing("username"), lambda profile: profile.sends_from_account),
        'is missing: with access = "send-as" or "delegate" it is the mail address of the mailbox that sends',
    ),
    Rule(
        "username",
        SENDER,
        lambda profile: profile.sends_from_account and "@" not in (profile.username or "@"),
        'must be the account\'s mail address: with access = "send-as" or "delegate" its mailbox sends',
    ),
)


def of_profile(entry: Entry[Profile]) -> Iterator[Fault]:
    return (fault for rule in FAULTS for fault in rule.judge(entry))


def of_mailbox(entry: Entry[Mailbox], profiles: Mapping[str, Entry[Profile]]) -> Iterator[Fault]:
    """`profiles` by their names."""
    mailbox, used = entry.table, list[Entry[Profile]]()
    for key, name in (("outgoing", mailbox.outgoing), ("incoming", mailbox.incoming)):
        profile = profiles.get(name) if name is not None else None
        if profile is not None:
            used.append(profile)
            yield from _use(entry, key, profile)
        elif name is not None:
            yield Fault(key, f"no profile is named '{shown(name)}'{suggestion(name, profiles)}")
    yield from _own(entry, used)
    if entry.knows("kind", "incoming") and mailbox.kind == "forward" and mailbox.incoming is None:
        yield Fault("incoming", 'is missing: kind = "forward" is about mail that comes in')


def _use(entry: Entry[Mailbox], key: str, profile: Entry[Profile]) -> Iterator[Fault]:
    if profile.knows("direction") and profile.table.direction != key:
        yield Fault(key, f"'{shown(profile.table.name)}' is an {profile.table.direction} profile")
    elif key == "incoming" and entry.knows("address") and entry.table.address.startswith(WHOLE_DOMAIN):
        yield Fault(key, "a whole domain cannot be read: enter its mailboxes one by one")


def _own(entry: Entry[Mailbox], profiles: list[Entry[Profile]]) -> Iterator[Fault]:
    for profile in profiles:
        if profile.knows(*ACCOUNT) and own_credentials(profile.table):
            for key in ("username", "password"):
                if entry.knows(key) and getattr(entry.table, key) is None:
                    name = shown(profile.table.name)
                    yield Fault(key, f"is missing: profile '{name}' has credentials = \"user-specified\"")
            return
