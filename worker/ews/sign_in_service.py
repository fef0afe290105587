"""Asking a sign-in service for a token, through msal: blocking, so in a thread.

msal is asked anew for each token, a few times an hour: so a secret or certificate that was changed meanwhile counts.
"""

import contextlib
import json
import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msal
import requests
from requests.adapters import HTTPAdapter

from worker.ews.credential import Credential, credential
from worker.ews.endpoint import OAuthSignIn
from worker.ews.proxy import proxy_for
from worker.ews.token_answer import (
    HEEDED,
    Granted,
    Refusal,
    first_line,
    missing,
    read,
    seconds,
    unavailable,
    unknown,
    untrusted,
)
from worker.settings import ConfigurationError
from worker.tls import client_context

ASK_SECONDS: Final = 10.0
"""How long the sign-in service may keep silent; there are two or three requests for each token."""

_MOST_BYTES: Final = 2**20
_MICROSOFT: Final = (".microsoftonline.com", ".microsoftonline.us", ".partner.microsoftonline.cn", ".microsoft.com")
_TOO_MANY: Final = 429

_DISCOVERY: Final = "/v2.0/.well-known/openid-configuration"
_NOT_THERE: Final = frozenset({404, 405, 501})
"""What a service answers that does not tell of itself (OpenID Connect Discovery 1.0); msal goes nowhere without. Entra
answers 400 for a tenant it does not know."""


def ask(account: OAuthSignIn, ca_file: str | None, now: datetime) -> Granted | Refusal:
    """A token for the application, or why there is none. Blocking."""
    try:
        own = credential(account, now)
        http = _Http(account.authority, ca_file)
    except ConfigurationError as error:
        return missing(str(error))
    except OSError as error:
        return untrusted(f"the CA file cannot be used: {error}")
    if isinstance(own, Refusal):
        return own
    with contextlib.closing(http):
        got = _asked(account, own, http)
    return replace(got, certificate_ends_at=own.ends_at) if isinstance(got, Granted) else got


def _asked(account: OAuthSignIn, own: Credential, http: "_Http") -> Granted | Refusal:
    where = urlsplit(account.authority)
    try:
        application = msal.ConfidentialClientApplication(
            account.client_id,
            client_credential=own.proof,
            authority=f"{where._replace(scheme='https').geturl().rstrip('/')}/{account.tenant_id}",
            instance_discovery=None if _is_microsofts(where.hostname or "") else False,
            http_client=http,
        )
        return read(application.acquire_token_for_client([account.scope]), where.netloc)
    except requests.exceptions.SSLError as error:
        return untrusted(f"{where.netloc}: no TLS connection: {_innermost(error)}")
    except requests.exceptions.RequestException as error:
        return unavailable(f"{where.netloc}: {_innermost(error)}")
    except (ValueError, KeyError):  # msal's own, for what it asks before it asks for a token
        if http.refused:
            return read(http.refused, where.netloc)
        return unknown(f"{where.netloc}: no sign-in service for the tenant {account.tenant_id}")


@dataclass(frozen=True, slots=True)
class _Answer:
    """As msal wants one."""

    status_code: int
    text: str
    headers: Mapping[str, str]

    def raise_for_status(self) -> None:
        """What is to be raised was raised before."""


class _Http:
    """What msal asks through. It wants https URLs; on this machine the sign-in service may be one without TLS.

    Proxy and CAs are those of a `Wire`. Redirects are not followed: they would take a secret along. Raises OSError when
    `ca_file` cannot be used.
    """

    def __init__(self, authority: str, ca_file: str | None) -> None:
        self.refused: Mapping[str, Any] = {}
        """The last answer that was an error."""
        self._plain = urlsplit(authority).netloc if authority.startswith("http://") else None
        proxy = proxy_for(authority)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.proxies = {"https": proxy} if proxy else {}
        self._session.mount("https://", _Adapter(client_context(ca_file)))

    def get(self, url: str, **options: Any) -> _Answer:  # noqa: ANN401 - as msal calls it
        return self._asked("GET", url, **options)

    def post(self, url: str, **options: Any) -> _Answer:  # noqa: ANN401
        return self._asked("POST", url, **options)

    def close(self) -> None:
        self._session.close()

    def _asked(self, method: str, url: str, **options: Any) -> _Answer:  # noqa: ANN401
        parts = urlsplit(url)
        if parts.netloc == self._plain:
            url = parts._replace(scheme="http").geturl()
        options |= {"timeout": ASK_SECONDS, "allow_redirects": False, "stream": True}
        with self._session.request(method, url, **options) as response:
            text = _bounded(response)
        status, answer = response.status_code, _parsed(text)
        discovers = method == "GET" and parts.path.endswith(_DISCOVERY)
        if discovers and status in _NOT_THERE and not _refuses(answer):
            return _Answer(200, json.dumps(_usual(url)), response.headers)
        if status >= 500 or status == _TOO_MANY:  # noqa: PLR2004 - HTTP's server errors
            raise requests.exceptions.HTTPError(f"HTTP {status}")
        if answer is None or status // 100 == 3:  # noqa: PLR2004 - HTTP's redirections
            raise requests.exceptions.HTTPError(f"HTTP {status}, and the answer is none of a sign-in service")
        if "error" in answer:
            self.refused = answer
        elif discovers and status == 200:  # noqa: PLR2004 - HTTP's "OK"
            answer = {**_usual(url), **answer}
        told = self._secured(answer) if method == "GET" else _heeded(answer)
        return _Answer(status, json.dumps(told), response.headers)

    def _secured(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """With https URLs where the service tells of itself."""
        plain = f"http://{self._plain}/"
        return {
            name: value.replace("http:", "https:", 1) if isinstance(value, str) and value.startswith(plain) else value
            for name, value in answer.items()
        }


class _Adapter(HTTPAdapter):
    """TLS by a context of ours alone, not by a list of CAs that requests brings along."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        super().__init__()

    def init_poolmanager(self, *places: Any, **options: Any) -> None:  # noqa: ANN401 - as requests calls it
        super().init_poolmanager(*places, ssl_context=self._tls, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401
        return super().proxy_manager_for(proxy, ssl_context=self._tls, **options)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401, ARG002
        conn.cert_reqs = "CERT_REQUIRED"


def _bounded(response: requests.Response) -> str:
    body = b""
    for part in response.iter_content(64 * 2**10):
        body += part
        if len(body) > _MOST_BYTES:
            raise requests.exceptions.ContentDecodingError(f"the answer exceeds {_MOST_BYTES} bytes")
    return body.decode("utf-8", "replace")


def _parsed(text: str) -> Mapping[str, Any] | None:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _refuses(answer: Mapping[str, Any] | None) -> bool:
    """Whether it names a cause as OAuth does (RFC 6749, 5.2). Else a web server tells of a page it lacks."""
    return answer is not None and re.fullmatch(r"[a-z_]+", str(answer.get("error", ""))) is not None


def _heeded(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is read of a token endpoint's answer. msal reads some of the rest, and wants whole numbers there."""
    return {**{name: answer[name] for name in HEEDED if name in answer}, "expires_in": math.ceil(seconds(answer))}


def _usual(discovery: str) -> Mapping[str, str]:
    """Where a service has its endpoints that is made like Microsoft's."""
    tenant = urlsplit(discovery)._replace(scheme="https").geturl().removesuffix(_DISCOVERY)
    return {
        "issuer": f"{tenant}/v2.0",
        "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
        "token_endpoint": f"{tenant}/oauth2/v2.0/token",
    }


def _is_microsofts(host: str) -> bool:
    return f".{host}".endswith(_MICROSOFT)


def _innermost(error: BaseException) -> str:
    """The cause alone: what lies around it, two libraries deep, tells of addresses in memory."""
    for _ in range(10):
        wrapped = (getattr(error, "reason", None), *error.args[:1], error.__cause__)
        inner = next((each for each in wrapped if isinstance(each, BaseException)), None)
        if inner is None:
            break
        error = inner
    return first_line(error)
