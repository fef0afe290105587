"""What an operator can set. Each field is an environment variable, `MAILROUTER_` and its name in capitals, and a flag
of the commands that use it (`worker/cli/options.py` makes the flags from here, texts and defaults included).
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    ValidationError,
)
from pydantic_core import core_schema

ENVIRONMENT_PREFIX = "MAILROUTER_"

MOST_ATTACHMENT_BYTES: Final = 150 * 2**20
"""No larger file comes in: it is the largest mail that Exchange Online can be told to take."""

_MOST_SECRET = 2**20


class ConfigurationError(Exception):
    """Something a person wrote does not hold. Each of `faults` is one readable line: place, cause, remedy."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is kept, `env:NAME` or `file:/path`; never the secret. Resolved anew at each use."""

    reference: str

    @classmethod
    def parse(cls, text: str) -> "SecretReference":
        """Raises ValueError for anything that is not a reference; the message never repeats the text."""
        kind, _, where = text.partition(":")
        if kind not in ("env", "file") or not where or not text.isprintable():
            raise ValueError("must be a reference, env:NAME or file:/path; a literal secret is refused")
        return cls(text)

    def resolve(self) -> str:
        """The secret, without the line end a file has. Raises ConfigurationError when it is not there."""
        kind, _, where = self.reference.partition(":")
        try:
            secret = os.environ[where] if kind == "env" else _read_secret(Path(where))
        except KeyError:
            raise ConfigurationError(f"{self.reference}: the environment variable {where} is not set") from None
        except (OSError, UnicodeDecodeError) as error:
            cause = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise ConfigurationError(f"{self.reference}: the file cannot be read: {cause}") from None
        if not secret:
            raise ConfigurationError(f"{self.reference}: the secret is empty")
        return secret

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:  # noqa: ANN401 - pydantic's signature
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls.parse(value if isinstance(value, str) else "")
        )


def _read_secret(path: Path) -> str:
    """Without the line end a file has. Only of a plain file, and of bounded size: others may never end."""
    if path.exists() and not path.is_file():
        raise OSError(0, "it is no plain file")
    with path.open(encoding="utf-8") as file:
        secret = file.read(_MOST_SECRET + 1)
    if len(secret) > _MOST_SECRET:
        raise OSError(0, "it is too large for a secret")
    return secret.rstrip("\r\n")


def _listed(value: object) -> object:
    """The entries of a comma-separated text; None for none."""
    if not isinstance(value, str):
        return value
    return tuple(each.strip() for each in value.split(",") if each.strip()) or None


def _networks(value: object) -> object:
    listed = _listed(value)
    try:
        return tuple(map(ip_network, listed)) if isinstance(listed, tuple) else listed
    except ValueError:
        raise ValueError("must be networks such as 10.1.0.0/16, with no bits set behind the prefix") from None


HostName = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z0-9_.-]+$")]
_PLACE = re.compile(r"[A-Za-z0-9_.:-]+")
Host = Annotated[str, StringConstraints(to_lower=True, pattern=r"^([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$")]


def _place(text: str) -> tuple[str, int]:
    """HOST:PORT, the host in lower case and without the brackets of an IPv6 address. Raises ValueError."""
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not _PLACE.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError("must be HOST:PORT=ADDRESS:PORT, several with commas between")
    return host.casefold(), int(port)


@dataclass(frozen=True, slots=True)
class Detour:
    """What is meant for one place, goes to another: host or address, and port."""

    place: tuple[str, int]
    there: tuple[str, int]

    @classmethod
    def parse(cls, text: str) -> "Detour":
        """Raises ValueError."""
        place, _, there = text.partition("=")
        return cls(_place(place), _place(there))


def _detours(value: object) -> object:
    listed = _listed(value)
    return tuple(map(Detour.parse, listed)) if isinstance(listed, tuple) else listed


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    amqp_url: Annotated[
        str,
        Field(
            pattern=r"^amqps?://",
            description="The broker, amqp://USER:PASSWORD@HOST:PORT/VHOST; one CRM organisation is one vhost. amqps:// "
            "takes cafile=, certfile=, keyfile= and auth=external (sign in by the client certificate) as query "
            "parameters.",
        ),
    ] = "amqp://guest:guest@127.0.0.1:5672/"
    profiles: Annotated[
        Path,
        Field(
            description="The profiles file, read again on SIGHUP and when it changes; or 'broker': what was published "
            "last by 'mailrouter profiles publish'."
        ),
    ] = Path("profiles.toml")
    http: Annotated[
        str,
        Field(
            pattern=r"^(off|.+:\d{1,5})$",
            description="HOST:PORT of /metrics, /healthz and /readyz; 'off' for none.",
        ),
    ] = "127.0.0.1:9464"
    correlation_key: Annotated[
        SecretReference | None,
        Field(
            description="Reference (env:NAME or file:/path) to the secret that authenticates the e-mail id in our "
            "Message-IDs; the same for all workers."
        ),
    ] = None
    log_format: Annotated[
        Literal["text", "json"] | None, Field(description="text or json. By default text on a terminal, else json.")
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lambda level: level.lower() if isinstance(level, str) else level),
        Field(description="The least that is logged."),
    ] = "info"
    prefetch: Annotated[
        int,
        Field(ge=1, le=2000, description="Requests in hand at once, per worker. More hides latency, costs memory."),
    ] = 200
    prefetch_bytes: Annotated[
        int,
        Field(
            ge=1024,
            le=2**34,
            description="What they may have together, and those of campaigns; a single one may have more.",
        ),
    ] = 64 * 2**20
    bulk_prefetch: Annotated[int, Field(ge=1, le=2000, description="The same for campaigns (email.send.bulk).")] = 50
    concurrency: Annotated[
        int,
        Field(ge=1, le=200, description="Mailboxes of one profile sent from at once, per worker; campaigns apart."),
    ] = 10
    shutdown_seconds: Annotated[
        float, Field(ge=0, le=600, description="How long work under way may take to end after SIGTERM.")
    ] = 20.0
    ews_timeout_seconds: Annotated[
        float, Field(gt=0, le=600, description="How long Exchange may take to answer one request.")
    ] = 60.0
    max_event_bytes: Annotated[
        int, Field(ge=1024, le=128 * 2**20, description="The largest event taken; a larger one is a dead letter.")
    ] = 12 * 2**20
    max_attempts: Annotated[
        int,
        Field(
            ge=1, le=100, description="Tries of one message that fails for a reason of its own before it is given up."
        ),
    ] = 10
    horizon_days: Annotated[
        float,
        Field(
            gt=0,
            le=90,
            description="Events older than this are refused: so long a request is recognised when it comes again.",
        ),
    ] = 7.0
    max_wait_hours: Annotated[
        float,
        Field(
            gt=0,
            le=2160,
            description="How long a request waits for a mailbox, profile or server in trouble before it fails.",
        ),
    ] = 72.0
    poll_prefetch: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="Mailboxes in hand at once to be read, per worker; read at the same time are of one profile at "
            "most as many as CONCURRENCY says.",
        ),
    ] = 50
    notifications: Annotated[
        Literal["on", "off"],
        Field(
            description="Whether Exchange is asked to tell when mail comes in; without it mailboxes are polled only."
        ),
    ] = "on"
    tracking_prefix: Annotated[
        str,
        Field(
            min_length=1,
            max_length=20,
            description="What a tracking token in a subject begins with, as the CRM has it.",
        ),
    ] = "CRM:"

    connect_to: Annotated[
        tuple[Detour, ...] | None,
        BeforeValidator(_detours),
        Field(
            description="HOST:PORT=ADDRESS:PORT, comma-separated: connections to Exchange at HOST:PORT go to "
            "ADDRESS:PORT, while certificates are still checked for HOST. For split DNS, and for trying something out."
        ),
    ] = None
    autodiscover_hosts: Annotated[
        tuple[HostName, ...] | None,
        BeforeValidator(_listed),
        Field(
            description="Hosts, comma-separated, that Autodiscover may give credentials to besides those in the domain "
            "of the address and Microsoft's own: needed where only plain HTTP or an SRV record names them."
        ),
    ] = None

    tracing: Annotated[
        Literal["on", "off"],
        Field(
            description="Whether the way of each mail is traced by OpenTelemetry, whose own variables say where to "
            "(OTEL_EXPORTER_OTLP_ENDPOINT)."
        ),
    ] = "off"

    attachment_store: Annotated[
        str,
        Field(
            min_length=1,
            description="Where attachments are kept that are too large for an event: a directory, or a URL (file:///, "
            "s3://, gs://, az://).",
        ),
    ] = "attachments"
    inline_attachment_bytes: Annotated[
        int,
        Field(ge=0, le=2 * 2**20, description="Received attachments up to this size are in the event, others by URL."),
    ] = 256 * 2**10
    max_attachment_bytes: Annotated[
        int,
        Field(
            ge=1,
            le=MOST_ATTACHMENT_BYTES,
            description="The largest attachment taken, received or fetched for a mail to be sent.",
        ),
    ] = MOST_ATTACHMENT_BYTES
    attachment_hosts: Annotated[
        tuple[Host, ...] | None,
        BeforeValidator(_listed),
        Field(
            description="Hosts that attachments by https URL are fetched from, comma-separated: HOST, or HOST:PORT for "
            "another port than 443. By default none; URLs in the attachment store are always taken."
        ),
    ] = None
    attachment_networks: Annotated[
        tuple[IPv4Network | IPv6Network, ...] | None,
        BeforeValidator(_networks),
        Field(
            description="Networks (CIDR, comma-separated) in which those hosts may lie although they are not public: "
            "loopback, private and the like are refused else, whatever a name resolves to."
        ),
    ] = None

    @property
    def profiles_are_published(self) -> bool:
        """Whether they come from the broker. (A file of that name is given by its whole path.)"""
        return str(self.profiles) == "broker"

    @classmethod
    def variable(cls, field: str) -> str:
        """The environment variable of a field."""
        return ENVIRONMENT_PREFIX + field.upper()

    @classmethod
    def load(cls, given: dict[str, object]) -> "Settings":
        """Settings from what flags and environment gave. Raises ConfigurationError naming every bad variable."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise ConfigurationError(
                *(
                    f"{cls.variable(field)}: {told}. Meaning: {cls.model_fields[field].description}"
                    for field, told in {
                        str(fault["loc"][0]): _spoken(fault["type"], fault.get("ctx", {}))
                        for fault in error.errors(include_url=False, include_input=False)
                    }.items()
                )
            ) from None


_SENTENCES: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "int_parsing": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "float_parsing": lambda _: "must be a number",
    "greater_than": lambda context: f"must be more than {context['gt']:.10g}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:.10g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:.10g}",
    "literal_error": lambda context: "must be " + context["expected"].replace("'", ""),
    "string_too_short": lambda _: "is empty",
    "string_too_long": lambda context: f"is longer than {context['max_length']} characters",
    "value_error": lambda context: str(context["error"]),
}
"""By pydantic's type of error. None repeats the value: it might hold a password."""


def _spoken(kind: str, context: Mapping[str, Any]) -> str:
    sentence = _SENTENCES.get(kind)
    return sentence(context) if sentence else "is not of the right form"
