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

AUTHORITY: Final = "https://login.microsoftonline.com"
"""Where tokens of Microsoft's public cloud come from; the national clouds have theirs (Microsoft identity platform
documentation, "National clouds")."""

SCOPE: Final = "https://outlook.office365.com/.default"
"""What a token for EWS of Exchange Online is asked for, app-only (Exchange documentation, "Authenticate an EWS
application by using OAuth")."""

OF_OAUTH: Final = ("tenant_id", "client_id", "client_secret", "certificate", "authority", "scope")
"""Keys that only `authentication = "oauth2"` has a use for."""


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
    tenant_id: Name | None = None
    client_id: Name | None = None
    client_secret: SecretReference | None = None
    certificate: SecretReference | None = None
    authority: str = AUTHORITY
    scope: Name = SCOPE
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

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self._check_location()
        if self.authentication == "oauth2":
            self._check_oauth()
        else:
            self._check_password()
        if self.sends_from_account and "@" not in (self.username or ""):
            raise ValueError(
                f'username: must be the account\'s mail address: with access = "{self.access}" its mailbox sends'
            )
        return self

    def _check_location(self) -> None:
        if self.autodiscover and self.location:
            raise ValueError("location: is not asked for with autodiscover = true: give one of the two")
        if not self.autodiscover and not self.location:
            raise ValueError("location: is missing: the URL of EWS, or autodiscover = true")

    def _check_oauth(self) -> None:
        if self.credentials == "user-specified":
            raise ValueError(
                'credentials: "user-specified" has no use with oauth2, where an application signs in: use '
                '"other-specified", or authentication = "clear-text" or "ntlm"'
            )
        if self.user_type == "user":
            raise ValueError('user_type: with oauth2 an application signs in, and acts for others: use "administrator"')
        if self.direction == "incoming" and self.access != "impersonation":
            raise ValueError('access: with oauth2 mailboxes are read by "impersonation"')
        for key in ("tenant_id", "client_id"):
            if getattr(self, key) is None:
                raise ValueError(f'{key}: is missing: authentication = "oauth2" needs it')
        if (self.client_secret is None) == (self.certificate is None):
            raise ValueError("client_secret: oauth2 needs it or certificate, and not both")
        if self.password is not None:
            raise ValueError("password: has no use with oauth2; client_secret or certificate stand in its place")

    def _check_password(self) -> None:
        for key in OF_OAUTH:
            if key in self.model_fields_set:
                raise ValueError(f'{key}: has a use only with authentication = "oauth2"')
        if self.credentials == "other-specified":
            for key in ("username", "password"):
                if getattr(self, key) is None:
                    raise ValueError(f'{key}: is missing: credentials = "other-specified" needs it')
        elif self.user_type == "administrator" and "user_type" in self.model_fields_set:
            raise ValueError('user_type: "administrator" needs credentials = "other-specified"')

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

    address: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=320)]
    kind: Literal["user", "queue", "forward"] = "user"
    outgoing: Name | None = None
    incoming: Name | None = None
    allow_send_on_behalf: bool = True
    allow_credentials: bool = True
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
