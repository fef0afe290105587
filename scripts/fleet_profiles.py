"""The profiles of a fleet: texts, to be formatted with the `url` of its sandbox."""

from collections.abc import Iterable

import orjson

PROFILES = """\
[[profile]]
name        = "Sandbox"
direction   = "outgoing"
server      = "exchange"
location    = "{url}"
username    = "router@contoso.example"
password    = "env:FLEET_PASSWORD"
user_type   = "administrator"
access      = "impersonation"

[[mailbox]]
address  = "*@contoso.example"
outgoing = "Sandbox"
"""

READING = """
[[profile]]
name         = "Inbox"
direction    = "incoming"
server       = "exchange"
location     = "{url}"
username     = "router@contoso.example"
password     = "env:FLEET_PASSWORD"
user_type    = "administrator"
access       = "impersonation"
"""

READ = """
[[mailbox]]
address  = "{address}"
kind     = "{kind}"
outgoing = "Sandbox"
incoming = "Inbox"
"""


def reading(addresses: Iterable[str], *, kind: str = "user", **keys: str | float) -> str:
    """The usual profiles, with these mailboxes read besides; `keys` are keys of the incoming profile."""
    profile = READING + "".join(f"{key} = {orjson.dumps(value).decode()}\n" for key, value in keys.items())
    return PROFILES + profile + "".join(READ.format(address=each, kind=kind) for each in addresses)
