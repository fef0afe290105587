"""What profile a ProviderConfiguration asks for. Those that ask for the same share one, as they did before."""

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from worker.migration.email_router import Provider
from worker.migration.tunables import poll_seconds as _poll_seconds
from worker.profiles import relations
from worker.profiles.model import Profile
from worker.profiles.rule import of_exchange_online
from worker.profiles.table import entry

Keys = tuple[tuple[str, object], ...]
Notes = tuple[tuple[Literal["changed", "to do"], str], ...]

_APPLICATION: Final = "PUT-THE-ID-OF-THE-APPLICATION-HERE"
_HOST: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_USUAL_PORTS: Final = ("0", "25", "80", "443")
_ACCOUNT: Final = "PUT-THE-ACCOUNT-HERE"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Equal for all mailboxes that share it. `secrets`: keys that need a reference. `own_credentials`: each mailbox has
    its own.
    """

    keys: Keys
    secrets: tuple[str, ...]
    comments: tuple[tuple[str, str], ...]
    notes: Notes
    own_credentials: bool


def wanted(provider: Provider, poll_seconds: float) -> Wanted | str:
    """Or why there is none that would do."""
    kind = _words(provider, "class", "server", "protocol")
    for word, meaning in (("pop3", "POP3"), ("smtp", "SMTP")):
        if word in kind:
            return (
                f"{meaning} ({provider.given.get('location', 'no server named')}): only Exchange is spoken to, by EWS"
            )
    found = _Draft(provider, kind, poll_seconds).finished()
    checked = entry(Profile, dict(found.keys) | dict.fromkeys(found.secrets, "env:SECRET"), "profile", 1, "name")
    faults = [*checked.faults, *relations.of_profile(checked)]
    return f"as a profile it would be refused: {faults[0].key}: {faults[0].text}" if faults else found


class _Draft:
    def __init__(self, provider: Provider, kind: str, poll_seconds: float) -> None:
        self._given = provider.given
        self._kind = kind
        self._poll_seconds = poll_seconds
        self._outgoing = _outgoing(provider)
        self._online = "online" in kind or of_exchange_online(_host(self._given.get("location", "")))
        self._forward = not self._outgoing and not provider.owners
        self._keys: dict[str, object] = {}
        self._comments: dict[str, str] = {}
        self._notes: list[tuple[Literal["changed", "to do"], str]] = []
        self._secrets: tuple[str, ...] = ()

    def finished(self) -> Wanted:
        direction, server = "outgoing" if self._outgoing else "incoming", "exchange"
        made_up = f"{direction.capitalize()}{'Forward' if self._forward else ''}Exchange{'Online' * self._online}"
        self._keys["name"] = self._given.get("name", made_up)[:90]
        self._keys["direction"] = direction
        self._keys["server"] = server + "-online" * self._online
        own = False
        if self._online:
            self._sign_in_online()
        else:
            self._reach()
            self._authenticate()
            own = self._sign_in()
        if not self._outgoing:
            self._read()
        return Wanted(tuple(self._keys.items()), self._secrets, tuple(self._comments.items()), tuple(self._notes), own)

    def _says(self, word: str, *parts: str) -> bool:
        text = self._given.get(word, "").casefold().replace(" ", "").replace("-", "")
        return any(part in text for part in parts)

    def _reach(self) -> None:
        location = self._given.get("location", "")
        host, port = _host(location), self._given.get("port", "")
        if self._says("autodiscover", "true", "1", "yes") or not host:
            self._keys["autodiscover"] = True
            if "autodiscover" not in self._given:
                self._notes.append(("changed", "the file names no server: it is looked for by Autodiscover"))
            return
        if port.isdecimal() and port not in _USUAL_PORTS and ":" not in host:
            host += f":{port}"
        url = f"https://{host}/EWS/Exchange.asmx"
        parts = urlsplit(location)
        if parts.scheme == "https" and parts.path.casefold().endswith("/exchange.asmx"):
            url = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
        self._keys["location"] = url
        if url != location:
            self._comments["location"] = f"was {location}"[:200]
            self._notes.append(("changed", f"location: {url}, for {location}: see that it is right"))

    def _authenticate(self) -> None:
        if self._says("authentication", "cleartext", "basic", "forms"):
            self._keys["authentication"] = "clear-text"
            return
        self._keys["authentication"] = "ntlm"
        if self._says("authentication", "anonymous"):
            self._notes.append(("changed", "Anonymous is not spoken: NTLM"))
        elif self._says("authentication", "windows", "negotiate", "kerberos"):
            self._notes.append(("changed", "Windows authentication: NTLM, with the account's name and password"))
        elif not self._says("authentication", "ntlm"):
            self._notes.append(("changed", "the file does not say how to sign in: NTLM"))

    def _sign_in(self) -> bool:
        """Whether it is by the mailboxes' own credentials."""
        if self._says("credentials", "userspecified"):
            self._keys["credentials"] = "user-specified"
            return True
        username = self._given.get("username", "")
        if self._says("credentials", "local") or not username:
            username = username or _ACCOUNT
            if self._says("credentials", "local"):
                self._notes.append(("changed", "Local System Account is not spoken: an account with a password"))
            self._notes.append(("to do", "username: put the account there"))
            self._comments["username"] = "the account that signs in, DOMAIN\\name or name@domain"
        self._keys["username"] = username
        self._secrets = ("password",)
        self._act(username)
        return False

    def _act(self, username: str) -> None:
        """As whom: what user type and access type say."""
        if self._says("user_type", "user"):
            self._keys["user_type"] = "user"
            return
        self._keys["user_type"] = "administrator"
        access = "send-as" if self._says("access", "send") else "delegate"
        if self._outgoing and "@" not in username:
            needs = f'access = "{access}" needs the account\'s mail address as username'
            self._notes.append(("changed", f"{needs}: put both there, or grant impersonation, which is used now"))
            access = "impersonation"
        self._keys["access"] = access if self._outgoing else "delegate"

    def _sign_in_online(self) -> None:
        username = self._given.get("username", "")
        domain = username.rpartition("@")[2] if "@" in username else _host(self._given.get("address", ""))
        self._keys["tenant_id"] = domain or "PUT-THE-TENANT-HERE"
        self._keys["client_id"] = _APPLICATION
        self._comments["tenant_id"] = "the directory (tenant), by its id or domain"
        self._comments["client_id"] = "of the application registered in Entra"
        self._secrets = ("client_secret",)
        self._notes.append(("changed", "Exchange Online takes OAuth2 only: an application signs in, not an account"))
        self._notes.append(("to do", "tenant_id, client_id: put those of the application there"))
        if self._outgoing and "@" in username and not self._says("user_type", "user"):
            self._keys["username"] = username
            self._keys["access"] = "send-as" if self._says("access", "send") else "delegate"
        else:
            self._keys["access"] = "impersonation"

    def _read(self) -> None:
        if self._says("accept", "response", "replies") or self._says("all_mail", "false"):
            self._keys["accept"] = "replies"
        elif self._says("accept", "lead", "contact", "record"):
            self._notes.append(("changed", 'accept = "all": senders are known to the CRM only, which has to choose'))
        self._keys["start"] = "now"
        self._comments["start"] = "what the Email Router has read is not read again"
        polling = self._given.get("polling", "")
        self._keys["poll_seconds"] = _poll_seconds(polling) if polling.isdecimal() else self._poll_seconds
        if self._says("delete", "true"):
            self._keys["after"] = "delete"


def _words(provider: Provider, *words: str) -> str:
    return " ".join(provider.given.get(word, "") for word in words).casefold()


def _outgoing(provider: Provider) -> bool:
    told = provider.given.get("direction", "").casefold()
    if told.startswith(("out", "in")):
        return told.startswith("out")
    return "send" in provider.given.get("class", "").casefold() or "address" not in provider.given


def _host(location: str) -> str:
    """Of a URL, a host or an address; "" where there is none."""
    try:
        parts = urlsplit(location if "//" in location else f"//{location}")
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return host + port if _HOST.fullmatch(host) else ""
