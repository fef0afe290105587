"""Whom a trouble is about: who signs in, as what, in whose mailbox. With them a remedy becomes commands to be run."""

import re
from dataclasses import dataclass
from typing import Final

from worker.ews import remedies

_PLACE: Final = re.compile(r"<(AD account|account|application|mailbox|sender|server|endpoint)>")
_PLAIN: Final = re.compile(r"\w[\w.+@\\:-]*")
"""What PowerShell takes as it stands. Addresses come from events, too: others are not put into a command."""


@dataclass(frozen=True, slots=True)
class Parties:
    """`account` signs in, or sends from its mailbox for others; `application` is its id, with OAuth 2.0. `mailbox` is
    the one worked in, `sender` whose mail it is, `server` its name in a URL, `endpoint` its host and port: each ""
    where it is not known.

    `online`: Exchange Online, else a server of one's own. `on_behalf`: the profile sends on behalf of others.
    """

    account: str = ""
    application: str = ""
    mailbox: str = ""
    sender: str = ""
    server: str = ""
    endpoint: str = ""
    online: bool = False
    on_behalf: bool = False

    def told(self, remedy: str) -> str:
        """The remedy as it is for them: the text for their kind of server, with the names filled in."""
        if self.on_behalf:
            remedy = remedies.ON_BEHALF.get(remedy, remedy)
        if self.online:
            remedy = remedies.ONLINE.get(remedy, remedy)
        return _PLACE.sub(self._named, remedy)

    def _named(self, place: re.Match[str]) -> str:
        key = "account" if place[1] == "AD account" else place[1]
        name = str(getattr(self, key))
        if not _PLAIN.fullmatch(name):
            return place[0]
        return _in_active_directory(name) if place[1] == "AD account" else name


def _in_active_directory(account: str) -> str:
    """The command of Active Directory that finds it: by a filter, or by its name without the domain before it."""
    if "@" in account:
        return f"""Get-ADUser -Filter 'UserPrincipalName -eq "{account}"'"""
    return "Get-ADUser " + account.rpartition("\\")[2]


NOBODY: Final = Parties()
