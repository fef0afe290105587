"""What in the profiles has no effect, or not the one somebody may think: said, and no reason to stop."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from worker.profiles.directory import Directory
from worker.profiles.mailbox_address import WHOLE_DOMAIN
from worker.profiles.model import OF_READING, OF_SENDING, Mailbox, Profile
from worker.profiles.rule import (
    ACCOUNT,
    SENDER,
    Rule,
    both,
    given,
    incoming,
    no_oauth,
    oauth,
    outgoing,
    own_credentials,
)
from worker.profiles.table import Entry, Fault, known, shown

WARNINGS: Final = (
    Rule(
        "location",
        (),
        lambda profile: profile.location.startswith("http://"),
        "is without TLS: passwords and mail go in clear text, which is for trying out on this machine only",
    ),
    Rule(
        "ca_file",
        ("location",),
        lambda profile: profile.ca_file is not None and profile.location.startswith("http://"),
        "has no effect on http://",
    ),
    *(
        Rule(key, ("direction",), both(outgoing, given(key)), "has no effect: it is for incoming profiles")
        for key in OF_READING
    ),
    *(
        Rule(key, ("direction",), both(incoming, given(key)), "has no effect: it is for outgoing profiles")
        for key in OF_SENDING
    ),
    Rule(
        "access",
        SENDER,
        both(no_oauth, incoming, lambda profile: profile.access == "send-as"),
        '"send-as" is about sending: mailboxes are read by Full Access here, as with "delegate"',
    ),
    Rule(
        "access",
        ("authentication", "direction"),
        both(oauth, incoming, lambda profile: profile.access != "impersonation"),
        'has no effect: with oauth2 mailboxes are read by "impersonation"',
    ),
    Rule(
        "password",
        ("authentication",),
        both(oauth, given("password")),
        "has no effect with oauth2: client_secret or certificate stand in its place",
    ),
    Rule(
        "access",
        ("user_type", *ACCOUNT),
        both(no_oauth, given("access"), lambda profile: profile.user_type == "user"),
        'has no effect with user_type = "user", which opens each mailbox as it is',
    ),
    Rule(
        "access",
        ("user_type", *ACCOUNT),
        both(own_credentials, given("access"), lambda profile: profile.user_type != "user"),
        'has no effect with credentials = "user-specified": each mailbox opens itself',
    ),
    *(
        Rule(
            key,
            ACCOUNT,
            both(own_credentials, given(key)),
            'has no effect with credentials = "user-specified": the mailbox entries hold their own',
        )
        for key in ("username", "password")
    ),
    Rule(
        "username",
        SENDER,
        both(oauth, given("username"), lambda profile: not profile.sends_from_account),
        'has no effect with oauth2 and access = "impersonation": the application acts for each mailbox itself',
    ),
)


def warnings(directory: Directory, now: datetime) -> Iterator[str]:
    """`[[profile]] 2 (Incoming): key: what is to be known of it`."""
    profiles = {each.name: known(each, number) for number, each in enumerate(directory.profiles.values(), 1)}
    used = {name for each in directory.mailboxes.values() for name in (each.outgoing, each.incoming)}
    for profile in profiles.values():
        yield from profile.told(_of_profile(profile, now))
        if profile.table.name not in used:
            yield from profile.told([Fault("name", "no mailbox has this profile")])
    for number, mailbox in enumerate(directory.mailboxes.values(), 1):
        named = {key: name for key in ("outgoing", "incoming") if (name := getattr(mailbox, key)) is not None}
        entry = known(mailbox, number)
        yield from entry.told(_of_mailbox(mailbox, {key: directory.profiles[name] for key, name in named.items()}))


def _of_profile(profile: Entry[Profile], now: datetime) -> Iterator[Fault]:
    yield from (fault for rule in WARNINGS for fault in rule.judge(profile))
    start = profile.table.start
    if isinstance(start, datetime) and start > now:
        yield Fault("start", "lies in the future: what comes in until then is not read")


def _of_mailbox(mailbox: Mailbox, used: Mapping[str, Profile]) -> Iterator[Fault]:
    if not used:
        yield Fault("outgoing", "neither outgoing nor incoming is given: its mail is refused, and it is not read")
    own = [each for each in used.values() if own_credentials(each)]
    for key in ("username", "password"):
        if getattr(mailbox, key) is not None and used and not own:
            yield Fault(key, 'has no effect: its profiles do not have credentials = "user-specified"')
    if own and mailbox.address.startswith(WHOLE_DOMAIN):
        yield Fault("username", "opens every mailbox of the domain: the account needs Full Access on each")
    for each in own:
        if not mailbox.allow_credentials:
            action = "its mail is refused" if each.direction == "outgoing" else "it is not read"
            yield Fault("allow_credentials", f"is false: {action}, since profile '{shown(each.name)}' needs them")
    sender = used.get("outgoing")
    if sender and sender.sends_from_account and not mailbox.allow_send_on_behalf:
        yield Fault(
            "allow_send_on_behalf",
            f"is false: its mail is refused, since by profile '{shown(sender.name)}' another account sends",
        )
