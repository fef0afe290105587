"""profiles.toml as data: one model per table, every key checked by itself, nothing looked up. What keys must be to each
other stands in `relations.py`.
"""

import ipaddress
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, field_validator, model_validator

from worker.settings import SecretReference

Name = Annotated[str, Field(min_length=1, max_length=100)]
Count = Annotated[int, Strict(), Field(ge=1)]
Flag = Annotated[bool, Strict()]


def _moment(value: object) -> object:
    """`now`, `all`, or a moment that everybody understands alike."""
    if value in ("now", "all"):
        return value
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError('must be "now", "all" or a time with its offset, such as 2026-11-01T00:00:00Z')
    return moment


def _after(value: object) -> object:
    if value in ("leave", "mark-read", "delete") or (isinstance(value, str) and _FOLDER.fullmatch(value)):
        return value
    raise ValueError('must be "leave", "mark-read", "delete" or "move:" and the name of a folder')


def _address(value: object) -> object:
    if isinstance(value, str) and len(value) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(value):
        return value
    raise ValueError('must be a mail address, such as "anna@contoso.example", or "*@contoso.example" for a domain')


_FOLDER: Final = re.compile(r"move:[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*")
_ADDRESS: Final = re.compile(r"(\*|[^@\s*\x00-\x1f]+)@[^@\s*\x00-\x1f.]+(\.[^@\s*\x00-\x1f.]+)*")
_LONGEST_ADDRESS: Final = 320

PRESETS: Final[dict[str, dict[str, str]]] = {
    "exchange-online": {
        "protocol": "ews",
        "location": "https://outlook.office365.com/EWS/Exchange.asmx",
        "authentication": "oauth2",
    },
    "exchange": {"protocol": "ews", "authentication": "clear-text"},
}
"""What choosing a server fills in, where the profile does not say otherwise."""

AUTHORITY: Final = "https://login.microsoftonline.com"
"""Where tokens of Microsoft's public cloud come from; the national clouds have theirs (Microsoft identity platform
documentation, "National clouds")."""

SCOPE: Final = "https://outlook.office365.com/.default"
"""What a token for EWS of Exchange Online is asked for, app-only (Exchange documentation, "Authenticate an EWS
application by using OAuth")."""

OF_OAUTH: Final = ("tenant_id", "client_id", "client_secret", "certificate", "authority", "scope")
"""Keys that only `authentication = "oauth2"` has a use for."""

OF_READING: Final = ("accept", "start", "poll_seconds", "after")
"""Keys that only incoming profiles have a use for."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Profile(_Table):
    """How a server is reached, and as whom. The words are those of Microsoft's Email Router."""

    name: Name
    direction: Literal["outgoing", "incoming"]
    server: Literal["exchange-online", "exchange"]
    protocol: Literal["ews"] = "ews"
    location: str = ""
    autodiscover: Flag = False
    authentication: Literal["oauth2", "clear-text", "ntlm"]
    credentials: Literal["other-specified", "user-specified"] = "other-specified"
    username: Name | None = None
    password: SecretReference | None = None
    user_type: Literal["user", "administrator"] = "administrator"
    access: Literal["delegate", "send-as", "impersonation"] = "impersonation"
    tenant_id: Name | None = None
    client_id: Name | None = None
    client_secret: SecretReference | None = None
    certificate: SecretReference | None = None
    authority: str = AUTHORITY
    scope: Name = SCOPE
    ca_file: Path | None = None
    messages_per_minute: Count | None = None
    max_concurrency: Count | None = None
    max_message_bytes: Count | None = None
    accept: Literal["all", "replies", "none"] = "all"
    start: Annotated[Literal["now", "all"] | datetime, BeforeValidator(_moment)] = "now"
    poll_seconds: Annotated[float, Field(ge=1, le=86400)] = 10
    after: Annotated[str, BeforeValidator(_after)] = "leave"

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        if not isinstance(given, dict):
            return given
        preset = PRESETS.get(str(given.get("server")), {})
        found = {key: value for key, value in preset.items() if key != "location" or not given.get("autodiscover")}
        return {**found, **given}

    @field_validator("location")
    @classmethod
    def _secure_location(cls, location: str) -> str:
        return _secure(location, "EWS, such as https://mail.contoso.example/EWS/Exchange.asmx") if location else ""

    @field_validator("authority")
    @classmethod
    def _secure_authority(cls, authority: str) -> str:
        return _secure(authority, f"the sign-in service, such as {AUTHORITY}")

    @property
    def impersonates(self) -> bool:
        """Whether requests act as the working mailbox's user by ExchangeImpersonation. An application has no mailbox
        of its own and always does, also where the working mailbox is the account's.
        """
        return self._administrator and (self.access == "impersonation" or self.authentication == "oauth2")

    @property
    def sends_from_account(self) -> bool:
        """Whether drafts and sent copies live in the service account's own mailbox."""
        return self.direction == "outgoing" and self._administrator and self.access != "impersonation"

    @property
    def _administrator(self) -> bool:
        return self.user_type == "administrator" and self.credentials == "other-specified"


class Mailbox(_Table):
    """A user, queue or forward mailbox, or with `*@domain` all that have no entry of their own."""

    address: Annotated[str, BeforeValidator(_address)]
    kind: Literal["user", "queue", "forward"] = "user"
    outgoing: Name | None = None
    incoming: Name | None = None
    allow_send_on_behalf: Flag = True
    allow_credentials: Flag = True
    username: Name | None = None
    password: SecretReference | None = None


def _secure(url: str, what: str) -> str:
    """The URL, if a secret may be sent there as it is. Raises ValueError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("https", "http") or not host:
        raise ValueError(f"must be the URL of {what}")
    if parts.username or parts.password:
        raise ValueError("must not hold credentials; they go under keys of their own")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("sends the password in clear text: use https:// (http:// is for loopback addresses only)")
    return url


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"
