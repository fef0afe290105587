"""One file over https, from a host the operator allows: streamed, bounded, and nothing of ours given away."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from worker import __version__
from worker.attachments.addresses import Guard, Network
from worker.http_error import said
from worker.mail.incoming import Sink
from worker.mail.message import Link
from worker.mail.outcome import Deferred, Reason, Rejected, Scope

_REDIRECTS: Final = 3
_MOVED: Final = (301, 302, 303, 307, 308)
_GONE: Final = (404, 410)
_PORTION_BYTES: Final = 256 * 2**10
_TIMEOUT: Final = aiohttp.ClientTimeout(total=900, sock_connect=10, sock_read=30)
_HEADERS: Final = {"User-Agent": f"crm-mail-router/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}

_ALLOW: Final = (
    "if the host is to be trusted, name it in MAILROUTER_ATTACHMENT_HOSTS, and its network in "
    "MAILROUTER_ATTACHMENT_NETWORKS where it is not public; then 'mailrouter dead replay ID'"
)


def not_allowed(what: str) -> Rejected:
    return Rejected(Reason("attachment-not-allowed", Scope.MESSAGE, what, _ALLOW))


def missing(where: str) -> Rejected:
    return Rejected(
        Reason(
            "attachment-missing",
            Scope.MESSAGE,
            f"{where} has no such file",
            "put the file there, or correct its url, and publish a new event; keep files until their mail was accepted",
        )
    )


def unavailable(what: str) -> Deferred:
    return Deferred(
        Reason(
            "attachment-unavailable",
            Scope.MESSAGE,
            what,
            "nothing, if it passes: it is tried again; else see why the host does not give the file to the workers",
        )
    )


@dataclass(frozen=True, slots=True)
class Source:
    """The hosts that are allowed, each with its port, the networks besides the public one, and whom to believe."""

    hosts: frozenset[tuple[str, int]]
    networks: Sequence[Network]
    tls: ssl.SSLContext

    async def download(self, link: Link, sink: Sink) -> Rejected | Deferred | None:
        """What is behind a link, into `sink`; None when all of it came. What `sink` raises comes out."""
        guard = Guard(self.networks)
        connector = aiohttp.TCPConnector(
            ssl=self.tls, force_close=True, use_dns_cache=False, socket_factory=guard.socket
        )
        # trust_env stays off: no proxy, which would resolve names by itself, and no ~/.netrc.
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=_TIMEOUT, auto_decompress=False
        ) as session:
            url: URL | None = _parsed(link.url)
            host = "" if url is None else url.host or ""
            try:
                for _ in range(_REDIRECTS + 1):
                    if url is None or not self._allows(url):
                        return not_allowed(_elsewhere(host, url))
                    host = url.host or ""
                    async with session.get(url, headers=_HEADERS, allow_redirects=False) as answer:
                        if answer.status not in _MOVED:
                            return await _taken(answer, host, link, sink)
                        url = _parsed(answer.headers.get("Location", ""), url)
            except aiohttp.InvalidURL:
                return not_allowed(_elsewhere(host, None))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if guard.refused and not guard.allowed:
                    return not_allowed(f"{host} is at {guard.refused[0]}, which is not a public address")
                return unavailable(f"{host}: {type(error).__name__}: {said(error)}")
        return unavailable(f"{host} redirects more than {_REDIRECTS} times")

    def _allows(self, url: URL) -> bool:
        named = (url.raw_host or "", url.port or 0)
        return url.scheme == "https" and url.user is None and url.password is None and named in self.hosts


def _parsed(text: str, base: URL | None = None) -> URL | None:
    try:
        url = URL(text)
        return base.join(url) if base is not None else url
    except ValueError:
        return None


def _elsewhere(host: str, url: URL | None) -> str:
    if url is None or url.host is None:
        return f"{host or 'the url'} leads nowhere"
    return f"attachments are not fetched from {url.scheme}://{url.host}:{url.port}"


async def _taken(answer: aiohttp.ClientResponse, host: str, link: Link, sink: Sink) -> Rejected | Deferred | None:
    if answer.status in _GONE:
        return missing(host)
    if answer.status != 200:  # noqa: PLR2004 - HTTP's "OK"
        return unavailable(f"{host} answers {answer.status}")
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        return unavailable(f"{host} gives the file in a content encoding, which was not asked for")
    measured = answer.content_length is not None or "Transfer-Encoding" in answer.headers or link.size is not None
    if not measured and not link.sha256:
        return unavailable(f"neither {host} nor the event tells how long the file is")
    async for portion in answer.content.iter_chunked(_PORTION_BYTES):
        await sink(portion)
    return None
