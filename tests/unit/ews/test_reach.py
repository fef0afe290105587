"""The way to an endpoint below HTTP, through a proxy too: what fails is told by the step it fails at."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from tests.unit.ews.autodiscover.hosts import Names
from worker.clock import SystemClock
from worker.ews.endpoint import BasicSignIn, Endpoint
from worker.ews.reach import Reach
from worker.mail.checks import Finding, Verdict
from worker.settings import SecretReference

HOST = "mail.contoso.example"
SIGN_IN = BasicSignIn("router@contoso.example", SecretReference("env:NOBODY_READS_IT"))
PASS = Verdict.PASS
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on loopback; its port."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speaks HTTP without TLS."""
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return context


async def walk(folder: Path, port: int, names: Names | None = None) -> list[Finding]:
    """The findings, up to the first failure."""
    ca_file = folder / "ca.pem"
    endpoint = Endpoint("P", f"https://{HOST}:{port}/EWS/Exchange.asmx", SIGN_IN, ca_file=str(ca_file))
    reach = Reach(endpoint, SystemClock(), names or Names({(HOST, port): ("127.0.0.1", port)}))
    found: list[Finding] = []
    try:
        for act in (reach.name, reach.connect, reach.tls):
            found.append(await act())
            if found[-1].verdict is Verdict.FAIL:
                break
    finally:
        await reach.close()
    return found


async def test_a_server_in_order_tells_its_version_and_until_when_it_is_good(
    tmp_path: Path, tls: ssl.SSLContext
) -> None:
    async with serving(silent, tls) as port:
        found = await walk(tmp_path, port)

    assert [each.verdict for each in found] == [PASS, PASS, PASS]
    assert found[0].cause == f"{HOST}: 127.0.0.1"
    assert found[2].cause.startswith("TLSv1.3, the certificate of mail.contoso.example is good until ")


async def test_what_speaks_no_tls_is_told_so(tmp_path: Path, tls: ssl.SSLContext) -> None:
    async with serving(plain) as port:
        found = await walk(tmp_path, port)

    assert [each.code for each in found] == ["", "", "certificate"]
    assert "TLS 1.2" in found[-1].remedy


async def test_a_ca_file_that_is_none_is_told(tmp_path: Path, tls: ssl.SSLContext) -> None:
    (tmp_path / "ca.pem").write_text("nothing of the kind")
    async with serving(silent, tls) as port:
        found = await walk(tmp_path, port)

    assert [each.code for each in found] == ["", "", "ca-file"]


def proxy(answer: str, to: int, asked: list[str]) -> Serve:
    """One that answers so, and then is a tunnel to that port."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while portion := await reader.read(65536):
            writer.write(portion)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {answer}\r\n\r\n".encode())
        if answer.startswith("200"):
            there = await asyncio.open_connection("127.0.0.1", to)
            await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))
            await there[1].wait_closed()

    return serve


@pytest.mark.parametrize(("answer", "code"), [("200 Connected", ""), ("407 Proxy Authentication Required", "proxy")])
async def test_a_proxy_is_gone_through(
    tmp_path: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, answer: str, code: str
) -> None:
    asked: list[str] = []
    async with serving(silent, tls) as port, serving(proxy(answer, port, asked)) as through:
        monkeypatch.setenv("HTTPS_PROXY", f"http://who:s%40cret@127.0.0.1:{through}")
        found = await walk(tmp_path, port, Names({}))

    (request,) = asked
    assert request.startswith(f"CONNECT {HOST}:{port} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic d2hvOnNAY3JldA==\r\n" in request
    assert found[-1].code == code
    assert f"proxy 127.0.0.1:{through}" in found[1].cause
    if code:
        assert "407" in found[-1].cause
        assert "HTTPS_PROXY" in found[-1].remedy
    assert "cret" not in "".join(map(repr, found))


async def test_a_proxy_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    found = await walk(tmp_path, 443, Names({}))
    assert [each.code for each in found] == ["", "proxy"]


@pytest.mark.parametrize("url", ["http://who:s3#cret@127.0.0.1:1", "who:s3cret@proxy:1", "http://who:s3cret@[::1"])
async def test_a_proxy_that_is_not_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    found = await walk(tmp_path, 443, Names({}))
    assert [each.code for each in found] == ["proxy"]
    assert "HTTPS_PROXY" in found[0].remedy
    assert "cret" not in repr(found)
