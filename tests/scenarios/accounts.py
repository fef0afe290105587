"""A profiles file with every way of signing in and of sending that there is, and some that go wrong."""

from typing import Final

from scripts.fleet_profiles import PROFILES

ROUTER, SEND_AS, DELEGATE = (f"{each}@contoso.example" for each in ("router", "delegate", "behalf"))
"""The sandbox's service accounts: it may impersonate, send as, send on behalf of, all."""

ENVIRONMENT: Final = {
    "OWN_PASSWORD": "sandbox",
    "SEND_AS_PASSWORD": "sandbox-delegate",
    "DELEGATE_PASSWORD": "sandbox-behalf",
}

PASSWORD_FILES: Final = {"locked": "sandbox-router", "mistyped": "sandbox"}
"""Files beside the profiles, and what should be in them."""


def _profile(name: str, username: str, password: str, access: str, *senders: str) -> str:
    profile = f"""
[[profile]]
name = "{name}"
direction = "outgoing"
server = "exchange"
location = "{{url}}"
username = "{username}"
password = "{password}"
access = "{access}"
"""
    return profile + "".join(f'[[mailbox]]\naddress = "{each}"\noutgoing = "{name}"\n' for each in senders)


def _own(name: str, password: str, allow: str = "true") -> str:
    return f"""
[[mailbox]]
address = "{name}@contoso.example"
outgoing = "Own"
username = "{name}@contoso.example"
password = "{password}"
allow_credentials = {allow}
"""


ACCOUNTS: Final = (
    PROFILES
    + """
[[profile]]
name = "Own"
direction = "outgoing"
server = "exchange"
location = "{url}"
credentials = "user-specified"
user_type = "user"
"""
    + _own("own", "env:OWN_PASSWORD")
    + _own("mistyped", "file:{directory}/mistyped")
    + _own("unwilling", "env:OWN_PASSWORD", "false")
    + _profile("Locked", ROUTER, "file:{directory}/locked", "impersonation", "locked@contoso.example")
    + _profile("Once", ROUTER, "env:FLEET_PASSWORD", "impersonation", "anna+unauthorized-once@contoso.example")
    + _profile("Barred", ROUTER, "env:FLEET_PASSWORD", "impersonation", "unauthorized@contoso.example")
    + _profile("Overwrite", ROUTER, "env:FLEET_PASSWORD", "impersonation", "overwrite@contoso.example")
    + _profile("Refuse", ROUTER, "env:FLEET_PASSWORD", "impersonation", "refuse@contoso.example")
    + _profile("SendAs", SEND_AS, "env:SEND_AS_PASSWORD", "send-as", *(f"desk{n}@contoso.example" for n in range(3)))
    + _profile("Delegate", DELEGATE, "env:DELEGATE_PASSWORD", "delegate", "boss@contoso.example")
)
"""To be formatted with `url` and `directory`. Where no other profile is named, the router impersonates."""
