"""What comes of a request: an answer, or none, and why."""

import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import aiohttp

from worker.http_error import said

_QUOTED: Final = re.compile(r'"[^"]*"')
_SCHEME: Final = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]*)(?=\s|,|$)")
"""In WWW-Authenticate without what is quoted there; a parameter is followed by an equals sign."""

_EXPIRED, _NOT_YET_VALID = 10, 9
_NAMES: Final = (62, 64)  # host name, IP address
"""Of OpenSSL's X509_V_ERR_* (openssl-verify-options(1), "Diagnostics")."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP response. Header names compare without case. `cookies` are those it sets, whatever for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    retry_after_seconds: float | None = None
    cookies: Mapping[str, str] = field(default_factory=dict)
    challenges: Sequence[str] = ()
    """What the lines of WWW-Authenticate say, as a rule one for each way to sign in."""

    @property
    def ok(self) -> bool:
        return self.status == 200  # noqa: PLR2004 - HTTP's "OK"

    @property
    def busy(self) -> bool:
        return self.status in (429, 503)

    @property
    def schemes(self) -> frozenset[str]:
        """The ways to sign in that a refusal names, in lower case (RFC 9110, 11.6.1)."""
        bare = (_QUOTED.sub("", each) for each in self.challenges)
        return frozenset(name.casefold() for each in bare for name in _SCHEME.findall(each))

    def offered(self, scheme: str) -> str:
        """What comes with one way to sign in, "" for nothing. Several may stand in one line."""
        parts = (part.strip() for each in self.challenges for part in _QUOTED.sub("", each).split(","))
        found = (part.partition(" ") for part in parts)
        return next((rest.strip() for name, _, rest in found if name.casefold() == scheme.casefold()), "")


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No whole response. `sent` is False only where no connection was ever had: then nothing can have been done."""

    kind: Literal[
        "unreachable",
        "certificate",
        "certificate-untrusted",
        "certificate-name",
        "certificate-expired",
        "proxy",
        "timeout",
        "cut",
        "too-large",
    ]
    sent: bool
    text: str


def no_answer(error: Exception, *, sent: bool) -> NoAnswer:
    """Why there is none. `sent`: whether a connection was had, so that something may have been done."""
    text = said(error)
    match error:
        case _ if sent:
            kind: Literal["timeout", "cut"] = "timeout" if isinstance(error, TimeoutError) else "cut"
            return NoAnswer(kind, sent=True, text=text)
        case aiohttp.ClientConnectorCertificateError() as refused:
            return NoAnswer(certificate_kind(refused.certificate_error), sent=False, text=text)
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return NoAnswer("certificate", sent=False, text=text)
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError() | aiohttp.InvalidURL():
            return NoAnswer("proxy", sent=False, text=text)
        case _:
            return NoAnswer("unreachable", sent=False, text=text)


def certificate_kind(error: Exception) -> Literal["certificate-untrusted", "certificate-name", "certificate-expired"]:
    """What is wrong with a server's certificate, as far as OpenSSL tells."""
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    if code in (_EXPIRED, _NOT_YET_VALID):
        return "certificate-expired"
    return "certificate-name" if code in _NAMES else "certificate-untrusted"
