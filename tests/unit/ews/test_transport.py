"""HTTP as values, over real sockets."""

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme

from tests.unit.ews.server import Half, Request, Server, cuts, hangs, http, says, serving
from worker.clock import SystemClock
from worker.ews.http_answer import Answer, NoAnswer
from worker.ews.transport import MAX_ANSWER_BYTES, Wire

OK = says(http(200, b"fine", "X-FEServer: EX01\r\n"))


@asynccontextmanager
async def wire_to(url: str, ca_file: str | None = None, seconds: float = 5.0) -> AsyncIterator[Wire]:
    wire = Wire(url, ca_file, seconds, SystemClock())
    try:
        yield wire
    finally:
        await wire.close()


async def post(
    server: Server, body: Sequence[bytes] = (b"hello",), *, ca_file: str | None = None, seconds: float = 5.0
) -> Answer | NoAnswer:
    async with wire_to(server.url, ca_file, seconds) as wire:
        return await wire.post({"X-Test": "1"}, body)


async def test_an_answer_is_status_headers_and_body() -> None:
    async with serving(OK) as server:
        answer = await post(server)

    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.headers.get("x-feserver")) == (200, b"fine", "EX01")
    assert [request.body for request in server.requests] == [b"hello"]
    assert server.requests[0].headers["x-test"] == "1"


async def test_one_connection_serves_one_request_after_the_other() -> None:
    async with serving(OK) as server, wire_to(server.url) as wire:
        for _ in range(3):
            await wire.post({}, [b"hello"])

    assert {request.connection for request in server.requests} == {1}


async def test_redirects_are_answers_and_cookies_are_not_kept() -> None:
    moved = says(http(302, b"", "Location: http://127.0.0.1:9/\r\nSet-Cookie: a=b\r\n"))
    async with serving(moved) as server, wire_to(server.url) as wire:
        answers = [await wire.post({}, [b"hello"]) for _ in range(2)]

    assert [answer.status for answer in answers if isinstance(answer, Answer)] == [302, 302]
    assert "cookie" not in server.requests[1].headers


@pytest.mark.parametrize("size", [1, 200_000, 3_000_000])
async def test_large_requests_arrive_whole_and_with_their_length(size: int) -> None:
    body = [b"<start>", b"x" * size, b"<small>", b"<small>", b"y" * size, b"<end>"]
    async with serving(OK) as server:
        await post(server, body)

    assert server.requests[0].body == b"".join(body)
    assert server.requests[0].headers["content-length"] == str(len(b"".join(body)))


async def test_a_line_cut_after_the_request_may_have_done_its_work_and_is_not_tried_again() -> None:
    async with serving(cuts) as server:
        answer = await post(server)

    assert isinstance(answer, NoAnswer)
    assert (answer.kind, answer.sent) == ("cut", True)
    assert len(server.requests) == 1


async def test_a_kept_line_that_was_cut_meanwhile_may_have_carried_the_request() -> None:
    async with serving(OK, cuts, OK) as server, wire_to(server.url) as wire:
        await wire.post({}, [b"one"])
        answer = await wire.post({}, [b"two"])
        after = await wire.post({}, [b"three"])

    assert isinstance(answer, NoAnswer)
    assert answer.sent
    assert isinstance(after, Answer)
    assert [request.body for request in server.requests] == [b"one", b"two", b"three"]


async def test_where_no_line_is_kept_none_is_used_again() -> None:
    """The server closes each without saying so, and the request that goes over it is lost."""
    used: set[int] = set()

    async def once(request: Request) -> bytes | None:
        if request.connection in used:
            return None
        used.add(request.connection)
        return http(200, b"yes")

    async with serving(once) as server, wire_to(server.url) as wire:
        answers = [type(await wire.post({}, [b"hello"])) for _ in range(8)]

    assert answers == [Answer, NoAnswer, Answer, NoAnswer, *[Answer] * 4]
    assert [request.headers.get("connection") for request in server.requests[4:]] == ["close"] * 4


@pytest.mark.parametrize(
    "half", [b"HTTP/1.1 200 OK\r\nContent-Le", http(200, b"half", length=100), b"no HTTP at all\r\n\r\n"]
)
async def test_half_an_answer_is_none(half: bytes) -> None:
    async with serving(says(Half(half))) as server:
        answer = await post(server)

    assert isinstance(answer, NoAnswer)
    assert (answer.kind, answer.sent) == ("cut", True)


async def test_no_answer_in_time_may_have_done_its_work() -> None:
    async with serving(hangs) as server:
        answer = await post(server, seconds=0.2)

    assert isinstance(answer, NoAnswer)
    assert (answer.kind, answer.sent) == ("timeout", True)


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    async with serving(says(http(200, b"x" * (MAX_ANSWER_BYTES + 1)))) as server:
        answer = await post(server)

    assert isinstance(answer, NoAnswer)
    assert (answer.kind, answer.sent) == ("too-large", True)


async def test_a_refused_connection_did_nothing() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/"
        async with wire_to(url) as wire:
            answer = await wire.post({}, [b"hello"])

    assert isinstance(answer, NoAnswer)
    assert (answer.kind, answer.sent) == ("unreachable", False)
    assert "127.0.0.1" in answer.text


async def test_an_unknown_host_did_nothing() -> None:
    async with wire_to("http://no-such-host.invalid/") as wire:
        answer = await wire.post({}, [b"hello"])

    assert isinstance(answer, NoAnswer)
    assert (answer.kind, answer.sent) == ("unreachable", False)


async def test_a_server_that_does_not_take_the_connection_did_nothing() -> None:
    """Its queue of connections is full: the handshake never ends."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(deaf.getsockname())
        async with wire_to(f"http://127.0.0.1:{deaf.getsockname()[1]}/", seconds=0.3) as wire:
            answer = await wire.post({}, [b"hello"])
        for filler in fillers:
            filler.close()

    assert isinstance(answer, NoAnswer)
    assert not answer.sent


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_a_private_ca_is_trusted_where_it_is_named(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with serving(OK, tls=server_tls(authority)) as server:
        trusted = await post(server, ca_file=str(tmp_path / "ca.pem"))
        doubted = await post(server)

    assert isinstance(trusted, Answer)
    assert isinstance(doubted, NoAnswer)
    assert (doubted.kind, doubted.sent) == ("certificate-untrusted", False)
    assert len(server.requests) == 1


async def test_a_certificate_of_another_name_is_not_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with serving(OK, tls=server_tls(authority, "mail.contoso.example")) as server:
        answer = await post(server, ca_file=str(tmp_path / "ca.pem"))

    assert isinstance(answer, NoAnswer)
    assert (answer.kind, answer.sent) == ("certificate-name", False)


async def test_a_certificate_that_has_expired_is_told_from_others(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=SystemClock().now() - timedelta(days=1)).configure_cert(context)
    async with serving(OK, tls=context) as server:
        answer = await post(server, ca_file=str(tmp_path / "ca.pem"))

    assert isinstance(answer, NoAnswer)
    assert (answer.kind, answer.sent) == ("certificate-expired", False)


async def test_a_server_without_tls_is_told_from_one_that_is_not_trusted() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(http(400))
        writer.close()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    async with listener, wire_to(url) as wire:
        answer = await wire.post({}, [b"hello"])

    assert isinstance(answer, NoAnswer)
    assert (answer.kind, answer.sent) == ("certificate", False)


async def test_a_ca_file_that_cannot_be_used_says_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Wire("https://127.0.0.1/", str(tmp_path / "none.pem"), 5, SystemClock())


async def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(OK) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        async with wire_to("http://mail.contoso.example/EWS/Exchange.asmx") as wire:
            answer = await wire.post({}, [b"hello"])

    assert isinstance(answer, Answer)
    assert proxy.requests[0].headers["host"] == "mail.contoso.example"


@pytest.mark.parametrize("status", [407, 502])
async def test_a_proxy_that_refuses_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    async with serving(says(http(status))) as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:s3cret@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        async with wire_to("https://mail.contoso.example/EWS/Exchange.asmx") as wire:
            answers = [await wire.post({}, [b"hello"]), await wire.get({}), await wire.pour({}, [], _nowhere, 5.0)]

    assert answers == [NoAnswer("proxy", sent=False, text=f"HTTP {status} Said")] * 3


@pytest.mark.parametrize(
    "url", ["http://user:s3#cret@127.0.0.1:8080", "user:s3cret@proxy:8080", "http://u:s3cret@[::1"]
)
async def test_a_proxy_that_is_not_a_url_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("https_proxy", url)
    monkeypatch.setenv("no_proxy", "")
    async with wire_to("https://mail.contoso.example/EWS/Exchange.asmx") as wire:
        answer = await wire.post({}, [b"hello"])

    assert answer == NoAnswer("proxy", sent=False, text="not a URL")


async def _nowhere(portion: bytes) -> None:
    raise AssertionError(portion)


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("120", 120, 120), ("0.5", 0.5, 0.5), ("in an hour", 3500, 3600), ("Mon, 01 Jan 2024 00:00:00 GMT", 0, 0)],
)
async def test_retry_after_is_a_number_or_a_date(value: str, least: float, most: float) -> None:
    if value == "in an hour":
        value = format_datetime(SystemClock().now() + timedelta(hours=1), usegmt=True)
    async with serving(says(http(503, b"", f"Retry-After: {value}\r\n"))) as server:
        answer = await post(server)

    assert isinstance(answer, Answer)
    assert answer.retry_after_seconds is not None
    assert least <= answer.retry_after_seconds <= most


async def test_a_long_header_costs_no_answer() -> None:
    async with serving(says(http(200, b"<a/>", f"X-DiagInfo: {'x' * 20_000}\r\n"))) as server:
        answer = await post(server)

    assert isinstance(answer, Answer)
    assert answer.body == b"<a/>"


@pytest.mark.parametrize("value", ["soon", "", "-5", "Mon, 01 Jan 2024 00:00:00 -0000"])
async def test_a_strange_retry_after_is_none(value: str) -> None:
    async with serving(says(http(503, b"", f"Retry-After: {value}\r\n"))) as server:
        answer = await post(server)

    assert isinstance(answer, Answer)
    assert answer.retry_after_seconds is None


async def test_cancellation_passes_and_leaves_nothing_behind() -> None:
    reached = asyncio.Event()

    async def reached_and_hangs(request: Request) -> None:
        reached.set()
        await hangs(request)

    async with serving(reached_and_hangs) as server, wire_to(server.url) as wire:
        task = asyncio.create_task(wire.post({}, [b"hello"]))
        await asyncio.wait_for(reached.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gc.collect()  # an unclosed connection would warn, and a warning is an error
