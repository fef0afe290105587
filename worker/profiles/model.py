"""profiles.toml as data: one model per table, every key checked, nothing looked up."""

import ipaddress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from worker.settings import SecretReference

Name = Annotated[str, Field(min_length=1, max_length=100)]
Bytes = Annotated[int, Field(ge=1)]

PRESETS: Final[dict[str, dict[str, str]]] = {
    "exchange-online": {
        "protocol": "ews",
        "location": "https://outlook.office365.com/EWS/Exchange.asmx",
        "authentication": "oauth2",
    },
    "exchange": {"protocol": "ews", "authentication": "clear-text"},
}
"""What choosing a server fills in, where the profile does not say otherwise."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


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
    username: Name | None = None
    password: SecretReference | None = None
    user_type: Literal["user", "administrator"] = "administrator"
    access: Literal["delegate", "send-as", "impersonation"] = "impersonation"
    ca_file: Path | None = None
    messages_per_minute: Annotated[int, Field(ge=1)] | None = None
    max_concurrency: Annotated[int, Field(ge=1)] | None = None
    max_message_bytes: Bytes | None = None
    accept: Literal["all", "replies", "none"] = "all"
    start: Literal["now", "all"] | datetime = "now"
    poll_seconds: Annotated[float, Field(ge=1, le=86400)] = 10
    after: Annotated[str, Field(pattern=r"^(leave|mark-read|delete|move:.+)$")] = "leave"

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        return {**PRESETS.get(str(given.get("server")), {}), **given} if isinstance(given, dict) else given

    @field_validator("authentication")
    @classmethod
    def _available(cls, authentication: str) -> str:
        if authentication != "clear-text":
            raise ValueError(f"{authentication} is not available in this version; clear-text is")
        return authentication

    @field_validator("autodiscover")
    @classmethod
    def _not_yet(cls, autodiscover: bool) -> bool:  # noqa: FBT001 - pydantic's signature
        if autodiscover:
            raise ValueError("autodiscover is not available in this version; give the location")
        return autodiscover

    @field_validator("location")
    @classmethod
    def _secure(cls, location: str) -> str:
        try:
            parts = urlsplit(location)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("is not a URL") from None
        if parts.scheme not in ("https", "http") or not host:
            raise ValueError("must be the URL of EWS, such as https://mail.contoso.example/EWS/Exchange.asmx")
        if parts.username or parts.password:
            raise ValueError("must not hold credentials; use username and password")
        if parts.scheme == "http" and not is_loopback(host):
            raise ValueError("sends the password in clear text: use https:// (http:// is for loopback addresses only)")
        return location

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.location:
            raise ValueError("location: is missing: the URL of EWS")
        if self.credentials == "other-specified":
            for key in ("username", "password"):
                if getattr(self, key) is None:
                    raise ValueError(f'{key}: is missing: credentials = "other-specified" needs it')
        elif self.user_type == "administrator" and "user_type" in self.model_fields_set:
            raise ValueError('user_type: "administrator" needs credentials = "other-specified"')
        if self.sends_from_account and "@" not in (self.username or ""):
            raise ValueError(
                f'username: must be the account\'s mail address: with access = "{self.access}" its mailbox sends'
            )
        return self

    @property
    def impersonates(self) -> bool:
        """Whether requests act as the user by ExchangeImpersonation."""
        return self._administrator and self.access == "impersonation"

    @property
    def sends_from_account(self) -> bool:
        """Whether drafts and sent copies live in the service account's own mailbox."""
        return self.direction == "outgoing" and self._administrator and self.access != "impersonation"

    @property
    def _administrator(self) -> bool:
        return self.user_type == "administrator" and self.credentials == "other-specified"


class Mailbox(_Table):
    """A user, queue or forward mailbox, or with `*@domain` all that have no entry of their own."""

    address: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=320)]
    kind: Literal["user", "queue", "forward"] = "user"
    outgoing: Name | None = None
    incoming: Name | None = None
    allow_send_on_behalf: bool = True
    allow_credentials: bool = True
    username: Name | None = None
    password: SecretReference | None = None


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"
