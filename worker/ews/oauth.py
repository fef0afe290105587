"""Tokens for an application (OAuth 2.0 client credentials), got through msal, held in memory, renewed ahead of time.

msal is asked anew for each token, a few times an hour: so a secret or certificate that was changed meanwhile counts.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msal
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from worker.clock import Clock
from worker.ews import remedies
from worker.ews.codes import Disposition, Verdict, judged
from worker.ews.endpoint import OAuthSignIn
from worker.ews.trouble import Trail, Trouble
from worker.mail.outcome import Scope
from worker.settings import ConfigurationError

AHEAD_SECONDS: Final = 300.0
"""So long before its end a token is renewed; where it cannot be, it is used until then."""
ASK_SECONDS: Final = 20.0
"""How long the sign-in service may take to answer one request; there are two for each token."""
AGAIN_SECONDS: Final = 1.0
"""A sign-in service that refused is not asked again sooner, whoever wants to know."""

_MICROSOFT: Final = (".microsoftonline.com", ".microsoftonline.us", ".partner.microsoftonline.cn", ".microsoft.com")


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    ends: float
    renewed_from: float


@dataclass(frozen=True, slots=True)
class _Refusal:
    code: str
    verdict: Verdict
    text: str


class Tokens:
    """Those of one application. Only one is asked for at a time; whoever wants one meanwhile waits for it."""

    def __init__(self, account: OAuthSignIn, ca_file: str | None, clock: Clock) -> None:
        self._account = account
        self._ca_file = ca_file
        self._clock = clock
        self._turn = asyncio.Lock()
        self._token: Token | None = None
        self._refusal: tuple[float, _Refusal] | None = None

    async def get(self, trail: Trail, refused: str = "") -> str | Trouble:
        """A token that is valid by our clock, and is not the one that Exchange refused."""
        async with self._turn:
            held, now = self._held(refused), self._clock.monotonic()
            if held is not None and now < held.renewed_from:
                return held.text
            if self._refusal is None or now >= self._refusal[0] + AGAIN_SECONDS:
                await self._renew()
                held = self._held(refused)
            if held is not None:
                return held.text
            refusal = self._refusal[1] if self._refusal else _REFUSED_AGAIN
            return trail.trouble(refusal.code, refusal.verdict, refusal.text)

    def _held(self, refused: str) -> Token | None:
        token = self._token
        return token if token and token.text != refused and self._clock.monotonic() < token.ends else None

    async def _renew(self) -> None:
        got = await asyncio.to_thread(self._ask)
        now = self._clock.monotonic()
        if isinstance(got, _Refusal):
            self._refusal = now, got
            return
        text, seconds = got
        self._token = Token(text, now + seconds, now + max(seconds - AHEAD_SECONDS, seconds / 2))
        self._refusal = None

    def _ask(self) -> tuple[str, float] | _Refusal:
        """Blocking."""
        try:
            credential = _credential(self._account)
            if isinstance(credential, _Refusal):
                return credential
            with _Http(self._account.authority, self._ca_file) as http:
                application = msal.ConfidentialClientApplication(
                    self._account.client_id,
                    client_credential=credential,
                    authority=f"{_secured(self._account.authority)}/{self._account.tenant_id}",
                    instance_discovery=None if _is_microsofts(self._account.authority) else False,
                    http_client=http,
                )
                answer = application.acquire_token_for_client([self._account.scope])
        except ConfigurationError as error:
            return _Refusal("secret-missing", _SECRET, str(error))
        except requests.exceptions.SSLError as error:
            return _Refusal("token-untrusted", _UNTRUSTED, f"{self._where}: no TLS connection: {_first_line(error)}")
        except requests.exceptions.RequestException as error:
            return _Refusal("token-unavailable", _UNAVAILABLE, f"{self._where}: {_first_line(error)}")
        except ValueError as error:  # msal's own: the tenant, or a key it cannot use
            return _of_value_error(error, self._account)
        return _read(answer, self._where)

    @property
    def _where(self) -> str:
        return urlsplit(self._account.authority).netloc


class _Http(requests.Session):
    """What msal asks through. It wants https URLs; on this machine the sign-in service may be one without TLS."""

    def __init__(self, authority: str, ca_file: str | None) -> None:
        super().__init__()
        self._plain = urlsplit(authority).netloc if authority.startswith("http://") else None
        self._ca_file = ca_file

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]  # noqa: ANN401 - as msal calls it
        parts = urlsplit(url)
        if parts.netloc == self._plain:
            url = parts._replace(scheme="http").geturl()
        options.setdefault("timeout", ASK_SECONDS)
        if self._ca_file is not None:  # of the session itself, the environment's REQUESTS_CA_BUNDLE would go before it
            options["verify"] = self._ca_file
        response = super().request(method, url, **options)
        if response.status_code >= 500:  # noqa: PLR2004 - HTTP's server errors
            response.raise_for_status()
        return response


def _secured(authority: str) -> str:
    return urlsplit(authority)._replace(scheme="https").geturl().rstrip("/")


def _is_microsofts(authority: str) -> bool:
    return ("." + (urlsplit(authority).hostname or "")).endswith(_MICROSOFT)


def _credential(account: OAuthSignIn) -> str | dict[str, str] | _Refusal:
    """What msal is given. Raises ConfigurationError where there is none."""
    if account.client_secret is not None:
        return account.client_secret.resolve()
    assert account.certificate is not None
    pem = account.certificate.resolve()
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise ConfigurationError(f"{account.certificate.reference}: holds no certificate in PEM form") from None
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        text = f"{account.certificate.reference}: the application's certificate has expired on"
        return _Refusal("token-certificate", _CERTIFICATE, f"{text} {certificate.not_valid_after_utc:%Y-%m-%d}")
    public = pem[pem.index("-----BEGIN CERTIFICATE-----") :]
    thumbprint = certificate.fingerprint(hashes.SHA256()).hex()
    return {"private_key": pem, "thumbprint_sha256": thumbprint, "public_certificate": public}


def _of_value_error(error: ValueError, account: OAuthSignIn) -> _Refusal:
    text = _first_line(error)
    if "private key" in text.casefold() or "deserialize" in text.casefold():
        return _Refusal("token-certificate", _CERTIFICATE, "the private key of the certificate cannot be used")
    return _Refusal("token-wrong-tenant", _TENANT, f"the sign-in service knows no tenant {account.tenant_id}")


def _read(answer: Mapping[str, Any], where: str) -> tuple[str, float] | _Refusal:
    """A token and for how many seconds it is valid, or why there is none."""
    token, seconds = answer.get("access_token"), answer.get("expires_in")
    if isinstance(token, str) and isinstance(seconds, int):
        return token, float(seconds)
    numbers = [each for each in answer.get("error_codes") or () if isinstance(each, int)]
    code, verdict = next((_BY_NUMBER[each] for each in numbers if each in _BY_NUMBER), ("token-refused", _REFUSED))
    text = _first_line(answer.get("error_description") or answer.get("error") or "no token in the answer")
    return _Refusal(code, verdict, f"{where}: {text}")


def _first_line(error: object) -> str:
    """Entra's descriptions go on with trace ids; requests' errors with addresses in memory."""
    return str(error).strip().splitlines()[0].split(" Trace ID")[0][:300] if str(error).strip() else "no answer"


def _pause(remedy: str) -> Verdict:
    return judged(Disposition.PAUSE, Scope.PROFILE, remedy, about_account=True)


_SECRET: Final = _pause(remedies.MISSING_REFERENCE)
_TENANT: Final = _pause(remedies.TENANT)
_APPLICATION: Final = _pause(remedies.APPLICATION)
_WRONG_SECRET: Final = _pause(remedies.APPLICATION_KEY)
_CERTIFICATE: Final = _pause(remedies.APPLICATION_CERTIFICATE)
_SCOPE: Final = _pause(remedies.SCOPE)
_CONSENT: Final = _pause(remedies.CONSENT)
_REFUSED: Final = _pause(remedies.SIGN_IN_SERVICE)
_UNTRUSTED: Final = _pause(remedies.CERTIFICATE)
_UNAVAILABLE: Final = _pause(remedies.SIGN_IN_SERVICE_AWAY)
_REFUSED_AGAIN: Final = _Refusal("token-refused", _REFUSED, "the sign-in service gives the same token again")

_BY_NUMBER: Final[Mapping[int, tuple[str, Verdict]]] = {
    90002: ("token-wrong-tenant", _TENANT),
    900023: ("token-wrong-tenant", _TENANT),
    700016: ("token-unknown-application", _APPLICATION),
    7000112: ("token-unknown-application", _APPLICATION),  # disabled
    7000215: ("token-wrong-secret", _WRONG_SECRET),
    7000222: ("token-expired-secret", _WRONG_SECRET),
    7000216: ("token-wrong-secret", _WRONG_SECRET),
    700027: ("token-certificate", _CERTIFICATE),
    700024: ("token-certificate", _CERTIFICATE),  # the assertion's time: a clock far off
    500011: ("token-wrong-scope", _SCOPE),
    70011: ("token-wrong-scope", _SCOPE),
    1002012: ("token-wrong-scope", _SCOPE),
    65001: ("token-not-consented", _CONSENT),
    90033: ("token-unavailable", _UNAVAILABLE),
    90024: ("token-unavailable", _UNAVAILABLE),
}
"""Microsoft identity platform documentation, "Microsoft Entra authentication and authorization error codes"."""
