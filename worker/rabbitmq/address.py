"""Where the broker is and how to sign in there: MAILROUTER_AMQP_URL, taken apart and checked."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from worker.settings import ConfigurationError, Settings
from worker.tls import client_context

HEARTBEAT_SECONDS: Final = 10
"""The broker takes a silent worker for dead after two to three of these, and gives its messages to others. A worker may
be busy with one thing for as long; less would cut off those on crowded machines."""

VARIABLE: Final = Settings.variable("amqp_url")
_FILES: Final = ("cafile", "certfile", "keyfile")
_PARAMETERS: Final = ("auth", "heartbeat", *_FILES)
_PORTS: Final = {"amqp": 5672, "amqps": 5671}


class Unavailable(Exception):  # noqa: N818 - a state of the world, not a defect
    """The broker cannot be used now. The text is one line, cause and remedy, without any secret."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}. Remedy: {remedy}.")
        self.cause = cause
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """`str()` of an address is safe to show; its parts hold the password."""

    _url: SplitResult = field(repr=False)
    _parameters: Mapping[str, str] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "BrokerAddress":
        """Raises ConfigurationError saying what is wrong with the URL; the message never repeats it."""
        try:
            url = urlsplit(text)
            port = url.port or _PORTS.get(url.scheme)
            parameters = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
        except ValueError:
            raise _bad("not a URL; expected amqp://USER:PASSWORD@HOST:PORT/VHOST") from None
        if port is None or not url.hostname:
            raise _bad("expected amqp:// or amqps:// and a host")
        for name in parameters:
            if name not in _PARAMETERS:
                raise _bad(f"unknown parameter {name!r}; known are {', '.join(_PARAMETERS)}")
        if url.scheme == "amqp" and any(name in parameters for name in _FILES):
            raise _bad(f"{', '.join(_FILES)} are for amqps://; amqp:// is not encrypted")
        if parameters.get("auth", "plain") not in ("plain", "external"):
            raise _bad("auth is 'plain' or 'external'")
        if parameters.get("auth") == "external" and "certfile" not in parameters:
            raise _bad("auth=external signs in by the client certificate, and certfile is missing")
        if not parameters.get("heartbeat", "1").isdecimal():
            raise _bad("heartbeat is a number of seconds")
        return cls(url, parameters)

    def __str__(self) -> str:
        return f"{self.server}{self._url.path.rstrip('/')}"

    @property
    def server(self) -> str:
        host = self._url.hostname or ""
        return (
            f"{self._url.scheme}://{f'[{host}]' if ':' in host else host}:{self._url.port or _PORTS[self._url.scheme]}"
        )

    @property
    def vhost(self) -> str:
        return unquote(self._url.path.removeprefix("/")) or "/"

    @property
    def user(self) -> str:
        if self._parameters.get("auth") == "external":
            return "named by the client certificate"
        return repr(unquote(self._url.username or "guest"))

    def connectable(self, name: str) -> str:
        """The URL for aio-pika, which knows these parameters. The files are not in it: `tls` reads them."""
        parameters = {
            "auth": self._parameters.get("auth", "plain"),
            "heartbeat": self._parameters.get("heartbeat", str(HEARTBEAT_SECONDS)),
            "name": name,
        }
        return self._url._replace(query=urlencode(parameters), fragment="").geturl()

    def tls(self) -> ssl.SSLContext | None:
        """None for amqp://. Reads the files anew each time, so that renewed certificates are taken up.

        Raises Unavailable naming the file that cannot be used.
        """
        if self._url.scheme != "amqps":
            return None
        context = client_context()
        reading = "cafile"
        try:
            if cafile := self._parameters.get("cafile"):
                context.load_verify_locations(cafile)
            reading = "certfile or keyfile"
            if certfile := self._parameters.get("certfile"):
                # The empty password keeps OpenSSL from asking for one on the terminal.
                context.load_cert_chain(certfile, self._parameters.get("keyfile"), password="")
        except OSError as error:  # SSLError is one
            cause = error.strerror or "not a usable PEM file"
            raise Unavailable(f"the broker's {reading} cannot be used: {cause}", f"check {VARIABLE}") from error
        return context


def _bad(what: str) -> ConfigurationError:
    return ConfigurationError(f"{VARIABLE}: {what}")
