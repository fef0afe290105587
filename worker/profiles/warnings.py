"""What in the profiles has no effect, or not the one somebody may think: said, and no reason to stop."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from worker.profiles.directory import Directory
from worker.profiles.model import OF_READING, Profile

_NOT_YET: Final = ("messages_per_minute", "max_concurrency", "max_message_bytes")


def warnings(directory: Directory) -> Iterator[str]:
    used = {name for each in directory.mailboxes.values() for name in (each.outgoing, each.incoming)}
    for profile in directory.profiles.values():
        place = f"[[profile]] ({profile.name})"
        yield from (f"{place}: {each}" for each in _of_profile(profile))
        if profile.name not in used:
            yield f"{place}: no [[mailbox]] uses it"
    for mailbox in directory.mailboxes.values():
        place = f"[[mailbox]] ({mailbox.address})"
        names = [name for name in (mailbox.outgoing, mailbox.incoming) if name]
        own = any(directory.profiles[each].credentials == "user-specified" for each in names)
        if not names:
            yield f"{place}: has neither an outgoing nor an incoming profile"
        if (mailbox.username or mailbox.password) and not own:
            yield f'{place}: username, password: none of its profiles has credentials = "user-specified"'
    for address in directory.withheld():
        yield f"[[mailbox]] ({address}): is not read: allow_credentials = false"


def _of_profile(profile: Profile) -> Iterator[str]:
    given = profile.model_fields_set
    idle: list[str] = [key for key in OF_READING if key in given and profile.direction == "outgoing"]
    idle += [key for key in _NOT_YET if key in given]
    if idle:
        yield f"{', '.join(idle)}: without effect here"
    host = urlsplit(profile.location).hostname or ""
    if profile.location.startswith("http://"):
        yield "location: clear text without TLS, on a loopback address only"
    if profile.authentication != "oauth2" and (host == "outlook.office365.com" or host.endswith(".office365.com")):
        yield f"authentication: Exchange Online does not take {profile.authentication} any more: use oauth2"
    if profile.user_type == "user" and "access" in given:
        yield 'access: without effect with user_type = "user"'
