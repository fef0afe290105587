"""Tokens through msal, from a sign-in service on loopback that answers as a test has it."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
import trustme
from aiohttp import web

from tests.unit.ews.certificates import NOW, certificate, key, pem
from worker.clock import SystemClock
from worker.ews import sign_in_service
from worker.ews.endpoint import OAuthSignIn
from worker.ews.token_answer import Granted, Refusal, read
from worker.settings import SecretReference

CA = trustme.CA()
TOKEN = {"token_type": "Bearer", "expires_in": 3599, "access_token": "the token"}


@dataclass
class Service:
    """`discovery` and `token` are what it answers, as (status, body, headers); None for what is right."""

    url: str = ""
    discovery: tuple[int, str] | None = None
    token: tuple[int, str] = (200, json.dumps(TOKEN))
    forms: list[dict[str, str]] = field(default_factory=list)

    async def discovered(self, request: web.Request) -> web.Response:
        if self.discovery is not None:
            return answered(*self.discovery)
        base = f"{self.url}/{request.match_info['tenant']}"
        return web.json_response({"authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token"})

    async def discovered_instance(self, _request: web.Request) -> web.Response:
        return web.json_response({"tenant_discovery_endpoint": self.url, "metadata": []})

    async def given(self, request: web.Request) -> web.Response:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        return answered(*self.token)


def answered(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, headers={"Location": "/elsewhere"} if status // 100 == 3 else None)


@asynccontextmanager
async def serving(name: str = "127.0.0.1", *, tls: bool = True) -> AsyncIterator[Service]:
    service = Service()
    application = web.Application()
    application.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", service.discovered)
    application.router.add_get("/common/discovery/instance", service.discovered_instance)
    application.router.add_post("/{tenant}/token", service.given)
    application.router.add_post("/{tenant}/oauth2/v2.0/token", service.given)
    application.router.add_post("/elsewhere", service.given)
    runner = web.AppRunner(application)
    await runner.setup()
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        CA.issue_cert(name).configure_cert(context)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    service.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "the secret")


def account(url: str, variable: str = "client_secret") -> OAuthSignIn:
    by = {variable: SecretReference("env:SECRET")}
    return OAuthSignIn(url, "contoso.example", "c1", "https://mail/.default", **by)


async def ask(url: str, ca_file: str | None, variable: str = "client_secret") -> Granted | Refusal:
    return await asyncio.to_thread(sign_in_service.ask, account(url, variable), ca_file, SystemClock().now())


async def refused(url: str, ca_file: str | None) -> str:
    got = await ask(url, ca_file)
    assert isinstance(got, Refusal)
    assert "the secret" not in str(got)
    assert "0x" not in got.text, "no addresses in memory"
    return got.code


async def test_a_secret_gets_a_token(ca_file: str) -> None:
    async with serving() as service:
        assert await ask(service.url, ca_file) == Granted("the token", 3599)

    (form,) = service.forms
    assert (form["grant_type"], form["client_id"], form["client_secret"], form["scope"]) == (
        "client_credentials",
        "c1",
        "the secret",
        "https://mail/.default",
    )


NOT_FOUND = [
    "nothing here",
    "{}",
    json.dumps({"detail": "Not Found"}),  # FastAPI
    json.dumps({"title": "Not Found", "status": 404}),  # RFC 9457
    json.dumps({"status": 404, "error": "Not Found", "path": "/"}),  # Spring
]


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("told", NOT_FOUND)
async def test_a_service_need_not_tell_of_itself(ca_file: str, status: int, told: str) -> None:
    async with serving() as service:
        service.discovery = (status, told)
        assert await ask(service.url, ca_file) == Granted("the token", 3599)

    assert len(service.forms) == 1


@pytest.mark.parametrize("whole", [True, False])
async def test_what_a_service_does_not_tell_of_itself_is_where_it_usually_is(ca_file: str, *, whole: bool) -> None:
    async with serving() as service:
        endpoint = {"token_endpoint": f"{service.url}/contoso.example/token"}
        service.discovery = (200, json.dumps(endpoint if whole else {}))
        assert await ask(service.url, ca_file) == Granted("the token", 3599)

    assert len(service.forms) == 1


async def test_where_there_is_no_sign_in_service_at_all(ca_file: str) -> None:
    async with serving() as service:
        service.discovery = service.token = (404, "nothing here")
        assert await refused(service.url, ca_file) == "token-unavailable"


async def test_a_token_need_not_say_how_long_it_is_valid(ca_file: str) -> None:
    async with serving() as service:
        service.token = (200, json.dumps({"access_token": "the token", "token_type": "Bearer"}))
        assert await ask(service.url, ca_file) == Granted("the token", 3600)


@pytest.mark.parametrize(
    "besides",
    [{"expires_in": "3599.0"}, {"expires_in": 3599.0}, {"refresh_in": "1800"}, {"scope": ["a"]}, {"client_info": 1}],
)
async def test_a_token_is_taken_whatever_stands_beside_it(ca_file: str, besides: dict[str, object]) -> None:
    async with serving() as service:
        service.token = (200, json.dumps({**TOKEN, **besides}))
        assert await ask(service.url, ca_file) == Granted("the token", 3599)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (3599, 3599),
        ("3599", 3599),
        (3599.0, 3599),
        ("3599.0", 3599),
        *((each, 3600) for each in (None, 0, -1, "soon", "", "inf", float("nan"), True, [3599], 10**400)),
    ],
)
def test_how_long_a_token_is_valid_is_read_with_goodwill(told: object, seconds: float) -> None:
    assert read({"access_token": "the token", "expires_in": told}, "login.example") == Granted("the token", seconds)


async def test_a_certificate_signs_and_shows_itself(ca_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = certificate(key(), now=SystemClock().now())
    monkeypatch.setenv("SECRET", pem(own, key()))
    async with serving() as service:
        got = await ask(service.url, ca_file, "certificate")

    assert got == Granted("the token", 3599, own.not_valid_after_utc)
    assertion = service.forms[0]["client_assertion"]
    head = jwt.get_unverified_header(assertion)
    assert head["x5t#S256"]
    assert len(head["x5c"]) == 1
    claims = jwt.decode(assertion, own.public_key(), [head["alg"]], audience=f"{service.url}/contoso.example/token")  # type: ignore[arg-type]
    assert (claims["iss"], claims["sub"]) == ("c1", "c1")


async def test_on_this_machine_it_may_be_without_tls() -> None:
    async with serving(tls=False) as service:
        assert await ask(service.url, None) == Granted("the token", 3599)


async def test_cas_are_those_of_the_system_or_the_file(ca_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as service:
        assert await refused(service.url, None) == "token-untrusted"
        assert await refused(service.url, "/nowhere/ca.pem") == "token-untrusted"
        monkeypatch.setenv("SSL_CERT_FILE", ca_file)
        assert isinstance(await ask(service.url, None), Granted)
        other = Path(ca_file).with_name("other.pem")
        trustme.CA().cert_pem.write_to_path(other)
        assert await refused(service.url, str(other)) == "token-untrusted"


async def test_the_secret_missing_is_told() -> None:
    gone = OAuthSignIn("https://127.0.0.1:9", "t", "c", "s", client_secret=SecretReference("env:NOWHERE"))
    got = sign_in_service.ask(gone, None, NOW)

    assert isinstance(got, Refusal)
    assert got.code == "secret-missing"


async def test_nobody_there() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        got = await ask(url, None)

    assert isinstance(got, Refusal)
    assert got.code == "token-unavailable"
    assert got.text.endswith("Connection refused")


class Proxy:
    """Connects everybody to one port, whatever host is asked for, or to nothing."""

    def __init__(self, port: int | None) -> None:
        self.port = port
        self.asked: set[str] = set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.add(" ".join(head.decode().split()[:2]))
        if self.port is None:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            there, back = await asyncio.open_connection("127.0.0.1", self.port)
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
            back.close()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while portion := await reader.read(65536):
                writer.write(portion)
            writer.close()


@asynccontextmanager
async def proxying(port: int | None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    proxy = Proxy(port)
    listener = await asyncio.start_server(proxy.talk, "127.0.0.1", 0)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    monkeypatch.setenv("no_proxy", "")
    async with listener:
        yield proxy


async def test_microsofts_own_is_reached_through_the_proxy_of_the_environment(
    ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        serving(name="login.microsoftonline.com") as service,
        proxying(urlsplit(service.url).port, monkeypatch) as proxy,
    ):
        service.url = "https://login.microsoftonline.com"
        assert await ask(service.url, ca_file) == Granted("the token", 3599)

    assert proxy.asked == {"CONNECT login.microsoftonline.com:443"}


async def test_a_proxy_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxying(None, monkeypatch) as proxy:
        got = await ask("https://login.contoso.example", None)

    assert isinstance(got, Refusal)
    assert got.code == "token-unavailable"
    assert "407" in got.text
    assert proxy.asked == {"CONNECT login.contoso.example:443"}


TENANT = json.dumps({"error": "invalid_tenant", "error_description": "AADSTS90002: no such", "error_codes": [90002]})
PAGE = "<html>please sign in to this network</html>"


@pytest.mark.parametrize(
    ("discovery", "code"),
    [
        ((400, TENANT), "token-wrong-tenant"),
        ((404, TENANT), "token-wrong-tenant"),
        ((200, TENANT), "token-wrong-tenant"),
        ((400, "{}"), "token-wrong-tenant"),
        ((200, PAGE), "token-unavailable"),
        ((200, "[]"), "token-unavailable"),
        ((200, "x" * 2_000_000), "token-unavailable"),
        ((302, "{}"), "token-unavailable"),
        ((429, "{}"), "token-unavailable"),
        ((503, PAGE), "token-unavailable"),
    ],
)
async def test_what_is_said_before_a_token_is_asked_for(ca_file: str, discovery: tuple[int, str], code: str) -> None:
    async with serving() as service:
        service.discovery = discovery
        assert await refused(service.url, ca_file) == code

    assert not service.forms


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ((200, PAGE), "token-unavailable"),
        ((200, "{}"), "token-refused"),
        ((400, json.dumps({"error": "invalid_client"})), "token-refused"),
        ((400, json.dumps({"error": "invalid_scope"})), "token-wrong-scope"),
        ((401, json.dumps({"error": "invalid_client", "error_codes": [7000222]})), "token-expired-secret"),
        ((429, json.dumps({"error": "temporarily_unavailable"})), "token-unavailable"),
        ((500, "{}"), "token-unavailable"),
        ((307, "{}"), "token-unavailable"),
    ],
)
async def test_what_comes_in_place_of_a_token(ca_file: str, token: tuple[int, str], code: str) -> None:
    async with serving() as service:
        service.token = token
        assert await refused(service.url, ca_file) == code

    assert len(service.forms) == 1, "neither asked again nor sent elsewhere"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (90002, "token-wrong-tenant"),
        (700016, "token-unknown-application"),
        (7000215, "token-wrong-secret"),
        (7000222, "token-expired-secret"),
        (700027, "token-certificate"),
        (500011, "token-wrong-scope"),
        (70011, "token-wrong-scope"),
        (1002012, "token-wrong-scope"),
        (65001, "token-not-consented"),
        (90033, "token-unavailable"),
        (53003, "token-refused"),
    ],
)
def test_each_cause_has_its_code_and_a_remedy(number: int, code: str) -> None:
    text = f"AADSTS{number}: Told so. Trace ID: 1 Correlation ID: 2 Timestamp: 3"
    got = read({"error": "invalid_request", "error_codes": [number], "error_description": text}, "login.example")

    assert isinstance(got, Refusal)
    assert (got.code, got.text) == (code, f"login.example: AADSTS{number}: Told so.")
    assert got.verdict.remedy
