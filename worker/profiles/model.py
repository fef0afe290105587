"""profiles.toml as data: one model per table, each key checked by itself. What keys and tables have to do with each
other is in `worker/profiles/relations.py`.
"""

import contextlib
import ipaddress
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from worker.profiles.mailbox_address import covering
from worker.settings import SecretReference

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError(r"must not hold control characters or line breaks; a backslash is written \\")
    if not text.strip():
        raise ValueError("is empty")
    return text


def _movable(after: str) -> str:
    folder = after.removeprefix("move:")
    if after not in ("leave", "mark-read", "delete") and folder == after:
        raise ValueError('must be "leave", "mark-read", "delete" or "move:" with the name of a folder')
    if folder != folder.strip() or not folder:
        raise ValueError('needs the name of a folder behind "move:", without blanks around it: "move:Done"')
    if folder.casefold() == "inbox":
        raise ValueError("must not name the Inbox: each mail would come in again, without end")
    return after


Line = Annotated[str, Field(max_length=1000), AfterValidator(_line)]
Name = Annotated[str, Field(max_length=100), AfterValidator(_line)]
Account = Annotated[str, Field(max_length=320), AfterValidator(_line)]
Count = Annotated[int, Field(ge=1, le=2**31)]

PRESETS: Final[dict[str, dict[str, str | int]]] = {
    "exchange-online": {
        "protocol": "ews",
        "location": "https://outlook.office365.com/EWS/Exchange.asmx",
        "authentication": "oauth2",
        "messages_per_minute": 30,  # Exchange Online limits, "Sending limits": message rate limit
        "max_concurrency": 10,  # what Exchange's throttling advice holds to be safe for one mailbox
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

OF_SENDING: Final = (
    "messages_per_minute",
    "max_concurrency",
    "profile_max_concurrency",
    "profile_requests_per_minute",
    "max_message_bytes",
)
"""Limits, which only outgoing profiles have a use for."""

OF_READING: Final = ("accept", "start", "poll_seconds", "after")
"""Keys that only incoming profiles have a use for."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Profile(_Table):
    """How a server is reached, and as whom. The words are those of Microsoft's Email Router."""

    name: Name
    direction: Literal["outgoing", "incoming"]
    server: Literal["exchange-online", "exchange"]
    protocol: Literal["ews"] = "ews"
    location: str = ""
    autodiscover: bool = False
    authentication: Literal["oauth2", "clear-text", "ntlm"]
    credentials: Literal["other-specified", "user-specified"] = "other-specified"
    username: Account | None = None
    password: SecretReference | None = None
    user_type: Literal["user", "administrator"] = "administrator"
    access: Literal["delegate", "send-as", "impersonation"] = "impersonation"
    tenant_id: Name | None = None
    client_id: Name | None = None
    client_secret: SecretReference | None = None
    certificate: SecretReference | None = None
    authority: str = AUTHORITY
    scope: Line = SCOPE
    ca_file: Annotated[Path, Field(strict=False)] | None = None
    messages_per_minute: Count | None = None
    max_concurrency: Count | None = None
    profile_max_concurrency: Count | None = None
    profile_requests_per_minute: Annotated[int, Field(ge=4, le=2**31)] | None = None
    max_message_bytes: Count | None = None
    accept: Literal["all", "replies", "none"] = "all"
    start: Literal["now", "all"] | datetime = "now"
    poll_seconds: Annotated[float, Field(ge=1, le=86400)] = 10
    after: Annotated[Line, AfterValidator(_movable)] = "leave"

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        if not isinstance(given, dict):
            return given
        preset = PRESETS.get(str(given.get("server")), PRESETS["exchange"])
        reading = given.get("direction") == "incoming"
        left_out = {"location"} if given.get("autodiscover") else set()
        left_out |= set(OF_SENDING) if reading else set()
        return {**{key: value for key, value in preset.items() if key not in left_out}, **given}

    @field_validator("location")
    @classmethod
    def _secure_location(cls, location: str) -> str:
        return _secure(location, "EWS, such as https://mail.contoso.example/EWS/Exchange.asmx") if location else ""

    @field_validator("authority")
    @classmethod
    def _secure_authority(cls, authority: str) -> str:
        return _secure(authority, f"the sign-in service, such as {AUTHORITY}")

    @field_validator("start", mode="plain")
    @classmethod
    def _moment(cls, start: object) -> object:
        if isinstance(start, str) and start[:1].isdecimal():
            with contextlib.suppress(ValueError):
                start = datetime.fromisoformat(start)
        if isinstance(start, datetime) and start.tzinfo is None:
            raise ValueError("needs an offset from UTC behind the time: Z for UTC itself, or one like +01:00")
        if isinstance(start, datetime) or start in ("now", "all"):
            return start
        raise ValueError('must be "now", "all" or a time with its offset: 2026-11-01T00:00:00Z')

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

    address: Annotated[str, AfterValidator(covering)]
    kind: Literal["user", "queue", "forward"] = "user"
    outgoing: Name | None = None
    incoming: Name | None = None
    allow_send_on_behalf: bool = True
    allow_credentials: bool = True
    username: Account | None = None
    password: SecretReference | None = None


def _secure(url: str, what: str) -> str:
    """The URL, if a secret may be sent there as it is. Raises ValueError."""
    if re.search(r"\s", url) or _CONTROL.search(url):
        raise ValueError("must not hold blanks or control characters")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"must be the URL of {what}") from None
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
