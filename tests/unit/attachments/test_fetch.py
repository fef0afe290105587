"""What becomes of an attachment by URL: where it may come from, that it is what it should be, that nothing remains."""

import asyncio
import gc
import hashlib
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.unit.ews.server import Half, Request, Script, Server, cuts, hangs, http, says, serving
from worker.attachments.fetch import Fetcher
from worker.attachments.store import Store, open_store
from worker.mail.message import Link, Spooled
from worker.mail.outcome import Deferred, Rejected

CONTENT = os.urandom(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LOOPBACK = ("127.0.0.0/8",)
OK = says(http(200, CONTENT))


@pytest.fixture(autouse=True, scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trustme.CA]:
    """A CA that the system trusts."""
    authority = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield authority


@pytest.fixture(autouse=True, scope="module")
def only_ours_is_looked_through() -> Iterator[None]:
    """What was there before is not looked through for what a test left open: that would take most of the time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No file stays open, none is left in the directory of temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    yield
    assert not list(temporary.iterdir())
    gc.collect()  # one that was not closed would warn, and a warning is an error


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@dataclass
class Place:
    """A server of files, and a fetcher that may fetch from it."""

    server: Server
    fetcher: Fetcher

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server.port}/f/1"

    async def fetch(self, *links: Link) -> bytes | Deferred | Rejected:
        return await fetched(self.fetcher, links or [Link(self.url)])


async def fetched(fetcher: Fetcher, links: Sequence[Link]) -> bytes | Deferred | Rejected:
    """What is behind the links, joined; it is closed as whoever gets it has to."""
    files = await fetcher.fetch(links)
    if not isinstance(files, tuple):
        return files
    content = b"".join(contents(files))
    files[0].file.close()
    return content


def contents(files: Sequence[Spooled]) -> list[bytes]:
    return [os.pread(each.file.fileno(), each.size, each.start) for each in files]


def fetcher(store: Store, *hosts: str, networks: Sequence[str] = LOOPBACK, **limits: int) -> Fetcher:
    limits = {"max_bytes": 10**6, "mail_bytes": 3 * 10**6, **limits}
    return Fetcher(store, hosts, [ip_network(each) for each in networks], **limits)


@asynccontextmanager
async def place(store: Store, authority: trustme.CA, *scripts: Script, **parts: Any) -> AsyncIterator[Place]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "crm.contoso.example").configure_cert(tls)
    async with serving(*scripts, tls=tls) as server:
        names = [f"{name}:{server.port}" for name in ("localhost", "crm.contoso.example", "127.0.0.1", "[::1]")]
        yield Place(server, fetcher(store, *names, **parts))


def code(outcome: object) -> str:
    assert isinstance(outcome, Deferred | Rejected), outcome
    return outcome.reason.code


@pytest.mark.parametrize(
    "link", [{}, {"size": len(CONTENT)}, {"sha256": SHA256}, {"sha256": SHA256.upper(), "size": 700_000}]
)
async def test_a_file_over_https(store: Store, authority: trustme.CA, link: dict[str, Any]) -> None:
    async with place(store, authority, OK) as at:
        assert await at.fetch(Link(at.url, **link)) == CONTENT

    assert not {"cookie", "authorization", "referer"} & at.server.requests[0].headers.keys()


async def test_a_file_of_the_store(store: Store) -> None:
    async with store.writing("mail/1-a.bin") as sink:
        await sink(CONTENT)
    link = Link(store.url("mail/1-a.bin"), len(CONTENT), SHA256)

    assert await fetched(fetcher(store), [link]) == CONTENT
    assert code(await fetched(fetcher(store), [Link(store.url("mail/none"))])) == "attachment-missing"
    assert code(await fetched(fetcher(store), [Link(store.url("../secret"))])) == "attachment-missing"


async def test_several_files_lie_in_one(store: Store, authority: trustme.CA) -> None:
    async with store.writing("mail/1-a.bin") as sink:
        await sink(b"from the store")
    async with place(store, authority, OK, says(http(200, b""))) as at:
        files = await at.fetcher.fetch([Link(at.url), Link(at.url), Link(store.url("mail/1-a.bin"))])

    assert isinstance(files, tuple)
    assert contents(files) == [CONTENT, b"", b"from the store"]
    assert len({each.file for each in files}) == 1
    files[0].file.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/f",
        "https://localhost/f",
        "https://localhost:1/f",
        "https://localhost.:{port}/f",
        "https://sub.localhost:{port}/f",
        "https://localhost:{port}@elsewhere.example/f",
        "https://user:password@localhost:{port}/f",
        "http://localhost:{port}/f",
        "ftp://localhost:{port}/f",
        "file:///etc/passwd",
        "https://2130706433:{port}/f",
        "https://0x7f000001:{port}/f",
        "https://127.1:{port}/f",
        "https://[::ffff:127.0.0.1]:{port}/f",
        "https:///f",
        "https://[/f",
        "nothing",
    ],
)
async def test_only_listed_hosts_are_asked(store: Store, authority: trustme.CA, url: str) -> None:
    async with place(store, authority, OK) as at:
        outcome = await at.fetch(Link(url.format(port=at.server.port)))

    assert isinstance(outcome, Rejected)
    assert code(outcome) == "attachment-not-allowed"
    assert "password" not in outcome.reason.message
    assert at.server.requests == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_a_listed_host_at_an_address_that_is_not_public(store: Store, authority: trustme.CA, host: str) -> None:
    async with place(store, authority, OK, networks=()) as at:
        outcome = await at.fetch(Link(f"https://{host}:{at.server.port}/f"))

    assert isinstance(outcome, Rejected)
    assert code(outcome) == "attachment-not-allowed"
    assert at.server.requests == []


@pytest.mark.parametrize("spelling", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1"])
async def test_odd_spellings_of_an_address_lead_nowhere_even_if_listed(store: Store, spelling: str) -> None:
    outcome = await fetched(fetcher(store, spelling, networks=()), [Link(f"https://{spelling}/f")])

    assert (type(outcome), code(outcome)) == (Rejected, "attachment-not-allowed")


async def test_a_name_that_resolves_to_another_address_than_it_did(
    store: Store, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a name resolved to before is of no account: the connection itself is what is allowed or not."""
    asked: list[str] = []

    def resolved(host: str, port: int, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async with place(store, authority, OK, networks=("10.0.0.0/8",)) as at:
        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        url = f"https://crm.contoso.example:{at.server.port}/f"
        outcome = await at.fetch(Link(url))
        allowed = Fetcher(
            store,
            [f"crm.contoso.example:{at.server.port}"],
            [ip_network("127.0.0.0/8")],
            max_bytes=10**6,
            mail_bytes=10**6,
        )
        content = await fetched(allowed, [Link(url)])

    assert code(outcome) == "attachment-not-allowed"
    assert isinstance(outcome, Rejected)
    assert "127.0.0.1" in outcome.reason.message
    assert content == CONTENT
    assert set(asked) == {"crm.contoso.example"}


def moved(location: str, status: int = 302) -> Script:
    return says(http(status, b"", f"Location: {location}\r\nSet-Cookie: a=b\r\n"))


async def test_redirects_are_followed_to_listed_hosts(store: Store, authority: trustme.CA) -> None:
    async with place(store, authority, moved("/f/2"), moved("f/3", 308), moved("?a=b", 307), OK) as at:
        assert await at.fetch() == CONTENT

    assert len(at.server.requests) == 4
    assert all("cookie" not in request.headers for request in at.server.requests)


@pytest.mark.parametrize(
    "location",
    [
        "https://elsewhere.example/",
        "http://localhost:{port}/",
        "//elsewhere.example/",
        "https://a:b@localhost:{port}/",
        "https://localhost:1/",
        "file:///etc/passwd",
        "",
        "https://[",
    ],
)
async def test_redirects_lead_nowhere_else(store: Store, authority: trustme.CA, location: str) -> None:
    async def script(request: Request) -> bytes:
        return http(302, b"", f"Location: {location.format(port=request.headers['host'].rpartition(':')[2])}\r\n")

    async with place(store, authority, script) as at:
        outcome = await at.fetch()

    assert isinstance(outcome, Rejected | Deferred)
    assert code(outcome) == ("attachment-unavailable" if not location else "attachment-not-allowed")


async def test_redirects_have_an_end(store: Store, authority: trustme.CA) -> None:
    async with place(store, authority, moved("/f/1")) as at:
        outcome = await at.fetch()

    assert isinstance(outcome, Deferred)
    assert len(at.server.requests) == 4


@pytest.mark.parametrize(
    ("script", "kind", "expected"),
    [
        (says(http(404)), Rejected, "attachment-missing"),
        (says(http(410)), Rejected, "attachment-missing"),
        (says(http(401)), Deferred, "attachment-unavailable"),
        (says(http(403)), Deferred, "attachment-unavailable"),
        (says(http(500)), Deferred, "attachment-unavailable"),
        (says(http(503)), Deferred, "attachment-unavailable"),
        (says(http(206, b"part")), Deferred, "attachment-unavailable"),
        (says(http(304)), Deferred, "attachment-unavailable"),
        (says(http(200, CONTENT, "Content-Encoding: gzip\r\n")), Deferred, "attachment-unavailable"),
        (cuts, Deferred, "attachment-unavailable"),
        (says(Half(http(200, b"half", length=100))), Deferred, "attachment-unavailable"),
        (says(Half(b"HTTP/1.1 200 OK\r\n\r\nwho knows how long")), Deferred, "attachment-unavailable"),
        (says(Half(b"no HTTP at all\r\n\r\n")), Deferred, "attachment-unavailable"),
        (says(http(200, b"x" * 1_000_001)), Rejected, "attachment-too-large"),
    ],
)
async def test_what_a_host_says(
    store: Store, authority: trustme.CA, script: Script, kind: type[Deferred | Rejected], expected: str
) -> None:
    async with place(store, authority, script) as at:
        outcome = await at.fetch()

    assert (type(outcome), code(outcome)) == (kind, expected)
    assert isinstance(outcome, Deferred | Rejected)
    assert outcome.reason.remedy


async def test_a_length_that_the_event_tells_will_do(store: Store, authority: trustme.CA) -> None:
    async with place(store, authority, says(Half(b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT))) as at:
        assert await at.fetch(Link(at.url, len(CONTENT))) == CONTENT


@pytest.mark.parametrize(
    "link", [{"size": 699_999}, {"size": 700_001}, {"sha256": "0" * 64}, {"size": 700_000, "sha256": "0" * 64}]
)
async def test_another_file_than_the_event_means(store: Store, authority: trustme.CA, link: dict[str, Any]) -> None:
    async with place(store, authority, OK) as at:
        outcome = await at.fetch(Link(at.url, **link))

    assert isinstance(outcome, Rejected)
    assert code(outcome) == "attachment-mismatch"


async def test_what_the_event_says_to_be_too_large_is_not_asked_for(store: Store, authority: trustme.CA) -> None:
    async with place(store, authority, OK) as at:
        outcome = await at.fetch(Link(at.url, 10**6 + 1))

    assert (type(outcome), code(outcome), at.server.requests) == (Rejected, "attachment-too-large", [])


async def test_all_files_of_a_mail_have_a_limit_together(store: Store, authority: trustme.CA) -> None:
    async with place(store, authority, OK, mail_bytes=1_500_000) as at:
        outcome = await at.fetch(Link(at.url), Link(at.url), Link(at.url))

    assert isinstance(outcome, Rejected)
    assert code(outcome) == "attachment-too-large"
    assert "no. 3" in outcome.reason.message


async def test_a_disk_that_is_full(store: Store, authority: trustme.CA) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with place(store, authority, OK) as at:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        try:
            outcome = await at.fetch()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert isinstance(outcome, Deferred)
    assert "TMPDIR" in outcome.reason.message


async def test_no_place_for_temporary_files(
    store: Store, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with place(store, authority, OK) as at:
        with monkeypatch.context() as patch:
            patch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
            outcome = await at.fetch()

    assert isinstance(outcome, Deferred)
    assert "TMPDIR" in outcome.reason.message


async def test_a_server_nobody_vouches_for(store: Store) -> None:
    async with place(store, trustme.CA(), OK) as at:
        outcome = await at.fetch()

    assert isinstance(outcome, Deferred)
    assert "Certificate" in outcome.reason.message
    assert at.server.requests == []


async def test_a_host_that_is_not_there(store: Store) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        outcome = await fetched(fetcher(store, f"127.0.0.1:{port}"), [Link(f"https://127.0.0.1:{port}/")])

    assert isinstance(outcome, Deferred)
    assert isinstance(await fetched(fetcher(store, "no.invalid"), [Link("https://no.invalid/")]), Deferred)


async def test_cancellation_leaves_nothing(store: Store, authority: trustme.CA) -> None:
    reached = asyncio.Event()

    async def reached_and_hangs(request: Request) -> None:
        reached.set()
        await hangs(request)

    async with place(store, authority, OK, reached_and_hangs) as at:
        task = asyncio.create_task(at.fetch(Link(at.url), Link(at.url)))
        await asyncio.wait_for(reached.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_no_secret_of_a_url_is_told(store: Store, authority: trustme.CA) -> None:
    secret = "signature-that-opens-it"
    garbled = says(f"not HTTP at all {secret}\r\n\r\n".encode())
    cut = says(Half(f"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/?{secret}\r\n".encode()))
    for script in (says(http(404)), says(http(500)), cuts, cut, garbled, moved(f"https://elsewhere.example/?{secret}")):
        async with place(store, authority, script) as at:
            outcome = await at.fetch(Link(f"{at.url}?{secret}"))
        assert isinstance(outcome, Deferred | Rejected)
        assert secret not in repr(outcome)
    assert secret not in repr(Link(f"https://localhost/?{secret}"))
