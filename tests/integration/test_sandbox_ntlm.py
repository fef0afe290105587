"""NTLM at the sandbox: a handshake a connection, who may sign in, and the channel it is bound to. pyspnego's client
side and exchangelib (with requests-ntlm) are the witnesses.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
import requests.adapters
import spnego
import trustme
from exchangelib import DELEGATE, NTLM, Account, Configuration, Credentials, Message, close_connections
from exchangelib.errors import UnauthorizedError
from exchangelib.protocol import BaseProtocol
from spnego.channel_bindings import GssChannelBindings

from worker.sandbox import certificate, users
from worker.sandbox.exchange import Exchange
from worker.sandbox.server import Sandbox

ANNA = "anna@contoso.example"
AUTHORITY = trustme.CA()


def _tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return context


def _exchange() -> Exchange:
    exchange = Exchange(users.invented("contoso.example", None))
    exchange.directory.find(ANNA)
    return exchange


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(_exchange()) as started:
        yield started


class _Connection:
    """One TCP connection, so that it is seen what belongs to it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._url = sandbox.url
        trusting = ssl.create_default_context()
        AUTHORITY.configure_trust(trusting)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1, ssl=trusting))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(self, authorization: str = "") -> tuple[int, list[str]]:
        """Status and challenges; 400 is signed in, since the body says nothing."""
        headers = {"Authorization": authorization} if authorization else {}
        async with self._session.post(self._url, data=b"<nothing/>", headers=headers) as response:
            await response.read()
            return response.status, response.headers.getall("WWW-Authenticate", [])

    async def sign_in(
        self,
        username: str = ANNA,
        password: str = "sandbox",
        scheme: str = "NTLM",
        bindings: GssChannelBindings | None = None,
        protocol: str = "ntlm",
    ) -> int:
        client = spnego.client(username, password, protocol=protocol, channel_bindings=bindings)
        message, status = client.step(), 0
        for _ in range(2):
            assert message is not None
            status, challenges = await self.post(f"{scheme} {base64.b64encode(message).decode()}")
            answers = [each for each in challenges if each.startswith(f"{scheme} ")]
            if not answers:
                break
            message = client.step(base64.b64decode(answers[0].partition(" ")[2]))
        return status


async def test_a_connection_is_signed_in_not_a_request(sandbox: Sandbox) -> None:
    async with _Connection(sandbox) as one, _Connection(sandbox) as other:
        status, challenges = await one.post()
        assert status == 401
        assert [each.partition(" ")[0] for each in challenges] == ["Basic", "NTLM", "Negotiate", "Bearer"]
        assert await one.sign_in() == 400
        assert (await one.post())[0] == 400
        assert (await other.post())[0] == 401
        assert await one.sign_in(password="wrong") == 401
        assert (await one.post())[0] == 401


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate"])
@pytest.mark.parametrize(
    ("username", "password", "status"),
    [
        (ANNA, "sandbox", 400),
        ("CONTOSO\\anna", "sandbox", 400),
        ("contoso\\ANNA", "sandbox", 400),
        (ANNA, "Sandbox", 401),
        ("CONTOSO\\nobody", "sandbox", 401),
        ("nobody@elsewhere.example", "sandbox", 401),
    ],
)
async def test_who_signs_in(sandbox: Sandbox, scheme: str, username: str, password: str, status: int) -> None:
    async with _Connection(sandbox) as connection:
        assert await connection.sign_in(username, password, scheme) == status


async def test_negotiate_may_wrap_it(sandbox: Sandbox) -> None:
    async with _Connection(sandbox) as connection:
        assert await connection.sign_in(scheme="Negotiate", protocol="negotiate") == 400


async def test_a_changed_password_counts_at_once(sandbox: Sandbox) -> None:
    sandbox.exchange.directory.users[ANNA].password = "another"
    async with _Connection(sandbox) as connection:
        assert await connection.sign_in() == 401
    async with _Connection(sandbox) as connection:
        assert await connection.sign_in(password="another") == 400


async def test_only_what_is_offered(sandbox: Sandbox) -> None:
    sandbox.exchange.options.sign_in = ("negotiate",)
    async with _Connection(sandbox) as connection:
        assert await connection.post() == (401, ["Negotiate"])
        assert await connection.sign_in() == 401
        assert await connection.sign_in(scheme="Negotiate") == 400


@pytest.mark.parametrize(
    "authorization",
    [
        "NTLM",
        "NTLM !",
        "NTLM AAAA",
        "NTLM " + base64.b64encode(b"NTLMSSP\0\x01\0\0\0").decode(),
        "NTLM " + base64.b64encode(b"NTLMSSP\0\x03\0\0\0").decode(),
        "NTLM " + base64.b64encode(b"NTLMSSP\0\x03\0\0\0" + b"\xff" * 80).decode(),
        "Negotiate AAAA",
    ],
)
async def test_nonsense(sandbox: Sandbox, authorization: str) -> None:
    async with _Connection(sandbox) as connection:
        assert (await connection.post(authorization))[0] == 401
        first = spnego.client(ANNA, "sandbox", protocol="ntlm").step()
        assert first is not None
        await connection.post(f"NTLM {base64.b64encode(first).decode()}")
        assert (await connection.post(authorization))[0] == 401


@pytest.mark.parametrize(
    ("protection", "unbound", "bound", "misbound"),
    [("off", 400, 400, 400), ("allow", 400, 400, 401), ("require", 401, 400, 401)],
)
async def test_channel_binding(protection: str, unbound: int, bound: int, misbound: int) -> None:
    exchange, tls = _exchange(), _tls()
    exchange.options.extended_protection = protection  # type: ignore[assignment]
    right, wrong = certificate.bindings(tls), GssChannelBindings(application_data=b"tls-server-end-point:else")
    async with Sandbox(exchange, tls=tls) as sandbox:
        for bindings, status in ((None, unbound), (right, bound), (wrong, misbound)):
            async with _Connection(sandbox) as connection:
                assert await connection.sign_in(bindings=bindings) == status


@pytest.mark.usefixtures("exchangelib_closed")
async def test_exchangelib_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    class Trusting(requests.adapters.HTTPAdapter):
        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
            super().cert_verify(conn, url, str(tmp_path / "ca.pem"), cert)  # type: ignore[no-untyped-call,unused-ignore]

    monkeypatch.setattr(BaseProtocol, "HTTP_ADAPTER_CLS", Trusting)

    def work(url: str) -> None:
        for password in ("sandbox", "wrong"):
            configuration = Configuration(
                service_endpoint=url,
                credentials=Credentials("CONTOSO\\anna", password),
                auth_type=NTLM,
                max_connections=1,
            )
            account = Account(ANNA, config=configuration, autodiscover=False, access_type=DELEGATE)
            mail = Message(account=account, subject="Bound", body="", to_recipients=["x@customer.example"])
            if password == "sandbox":
                mail.send()
            else:
                with pytest.raises(UnauthorizedError):
                    mail.send()
        close_connections()  # before the server goes: it would wait for the end of TLS

    exchange = _exchange()
    exchange.options.extended_protection = "require"
    async with Sandbox(exchange, tls=_tls()) as sandbox:
        await asyncio.to_thread(work, sandbox.url)
        assert [each.subject for each in sandbox.sent] == ["Bound"]
