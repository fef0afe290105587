"""HTTP to one server: what comes back is a value, and so is what does not.

A request is sent once. Nothing here retries, follows a redirect or keeps a cookie; bodies are bounded both ways.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver

from worker import __version__
from worker.clock import Clock
from worker.ews.connection import Connection, Connector
from worker.ews.http_answer import Answer, NoAnswer, no_answer
from worker.ews.proxy import proxy_for
from worker.ews.upload import CHUNK_BYTES, Upload, chunks
from worker.mail.incoming import Sink
from worker.tls import client_context

USER_AGENT: Final = f"crm-mail-router/{__version__}"

MAX_ANSWER_BYTES: Final = 16 * 2**20
_CONNECT_SECONDS: Final = 15.0
_SLOWEST_BYTES_PER_SECOND: Final = 64 * 2**10
"""A request that is taken more slowly than this is given up: 55 MB may take a quarter of an hour."""
CONNECTIONS: Final = 100
"""At once, for one session. How many requests are under way is the lanes' decision; this only bounds a mistake."""
_MOST_CUT: Final = 2
"""So many kept connections in a row that were closed when they were used again: from then on none is kept."""
_IDLE_SECONDS: Final = 15.0
_SIGNED_IN_IDLE_SECONDS: Final = 100.0
"""So long an unused connection is kept; one that is signed in longer, but less than IIS does (120 s by default)."""
_LONGEST_HEADER: Final = 64 * 2**10
"""Diagnostics and proxies' cookies grow beyond what aiohttp takes by default; an answer is not to be lost for that."""

_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class Wire:
    """Connections to one endpoint under one credential, as many as are needed or just one at a time. Use within one
    event loop; close it at the end. `resolver` says where a host's connections go, by default the name service.

    Raises OSError (ssl.SSLError is one) when `ca_file` cannot be used.
    """

    def __init__(  # noqa: PLR0913 - what a connection depends on
        self,
        url: str,
        ca_file: str | None,
        timeout_seconds: float,
        clock: Clock,
        *,
        connections: int = CONNECTIONS,
        resolver: AbstractResolver | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self.connection = Connection()
        self._url = url
        self._most_bytes = most_bytes
        self._clock = clock
        self._proxy = proxy_for(url)
        self._timeout_seconds = timeout_seconds
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(_CONNECT_SECONDS, timeout_seconds))
        tls = client_context(ca_file) if url[:6].casefold() == "https:" else True
        idle_seconds = _SIGNED_IN_IDLE_SECONDS if connections == 1 else _IDLE_SECONDS
        connector = Connector(limit=connections, ssl=tls, resolver=resolver, keepalive_timeout=idle_seconds)
        connector.connection = self.connection
        # Whether a connection was had is the line between "not done" and "perhaps done", so it is noted, not guessed.
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_connected)
        trace.on_connection_reuseconn.append(_reused)
        # No cookies: one session serves many mailboxes, and affinity to one of their servers would be wrong for others.
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            max_field_size=_LONGEST_HEADER,
        )
        self._connector = connector
        self._cut_in_a_row = 0

    async def post(self, headers: Mapping[str, str], body: Sequence[bytes | Upload]) -> Answer | NoAnswer:
        """Send one request; at most once. The time to answer begins anew with each portion the server takes."""
        state = SimpleNamespace(connected=False, reused=False)
        size = sum(map(len, body))
        patience = asyncio.timeout(self._timeout_seconds)
        in_memory = [piece for piece in body if isinstance(piece, bytes)]
        small = size <= CHUNK_BYTES and len(in_memory) == len(body)
        data = b"".join(in_memory) if small else chunks(body, self._prolonging(patience, size))
        try:
            async with (
                patience,
                self._session.post(
                    self._url,
                    data=data,
                    headers={**headers, **self._connector.headers, "Content-Length": str(size)},
                    allow_redirects=False,
                    proxy=self._proxy,
                    trace_request_ctx=state,
                ) as response,
            ):
                return self._noted(await self._whole(response), reused=state.reused)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._noted(no_answer(error, sent=state.connected), reused=state.reused)

    async def get(self, headers: Mapping[str, str]) -> Answer | NoAnswer:
        """Ask for what is there. A question does nothing: where a kept connection was cut, it may be put twice."""
        state = SimpleNamespace(connected=False, reused=False)
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._session.get(
                    self._url, headers=headers, allow_redirects=False, proxy=self._proxy, trace_request_ctx=state
                ) as response,
            ):
                return await self._whole(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return no_answer(error, sent=state.connected)

    async def pour(
        self, headers: Mapping[str, str], body: Sequence[bytes | Upload], sink: Sink, quiet_seconds: float
    ) -> Answer | NoAnswer:
        """Send one small request; at most once. What an answer with status 200 holds goes into `sink` while it comes,
        and is not in what is returned; any other answer is read as a whole.

        No longer than `quiet_seconds` is waited for each portion. What the sink raises comes out here.
        """
        state = SimpleNamespace(connected=False, reused=False)
        data = b"".join(piece for piece in body if isinstance(piece, bytes))
        # Unpacked, a small portion could become a very large one.
        sent = {**headers, **self._connector.headers, "Accept-Encoding": "identity", "Content-Length": str(len(data))}
        async with contextlib.AsyncExitStack() as closing:
            try:
                async with asyncio.timeout(quiet_seconds):
                    request = self._session.post(
                        self._url,
                        data=data,
                        headers=sent,
                        allow_redirects=False,
                        proxy=self._proxy,
                        trace_request_ctx=state,
                    )
                    response = await closing.enter_async_context(request)
                    if response.status != 200:  # noqa: PLR2004 - HTTP's "OK"
                        return await self._whole(response)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                return no_answer(error, sent=state.connected)
            while True:
                try:
                    async with asyncio.timeout(quiet_seconds):
                        portion = await response.content.readany()
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    return no_answer(error, sent=True)
                if not portion:
                    return Answer(response.status, response.headers, b"")
                await sink(portion)

    def _noted(self, answer: Answer | NoAnswer, *, reused: bool) -> Answer | NoAnswer:
        """Some servers close a connection after each answer without saying so: the next request over it is lost. Where
        there is one at a time, it is kept all the same: it was signed in.
        """
        if reused:
            cut = isinstance(answer, NoAnswer) and answer.kind == "cut"
            self._cut_in_a_row = self._cut_in_a_row + 1 if cut else 0
            if self._cut_in_a_row == _MOST_CUT and self._connector.limit > 1:
                self._connector.keep_none()
        return answer

    async def _whole(self, response: aiohttp.ClientResponse) -> Answer | NoAnswer:
        text = await _bounded(response.content, self._most_bytes)
        if text is None:
            return NoAnswer("too-large", sent=True, text=f"the answer exceeds {self._most_bytes} bytes")
        wait = self._wait_named(response.headers.get("Retry-After"))
        cookies = {name: each.value for name, each in response.cookies.items()}
        challenges = response.headers.getall("WWW-Authenticate", ())
        return Answer(response.status, response.headers, text, wait, cookies, challenges)

    async def close(self) -> None:
        await self._session.close()

    def _prolonging(self, patience: asyncio.Timeout, size: int) -> Callable[[], None]:
        """What to call whenever a portion of a request of this size is handed over. There is an end to it all the same:
        a server that takes the request in drops is not to be waited for all day.
        """
        now = asyncio.get_running_loop().time
        latest = now() + self._timeout_seconds + size / _SLOWEST_BYTES_PER_SECOND

        def prolong() -> None:
            with contextlib.suppress(RuntimeError):  # the request has ended before all of it was sent
                patience.reschedule(min(now() + self._timeout_seconds, latest))

        return prolong

    def _wait_named(self, retry_after: str | None) -> float | None:
        """Retry-After in seconds, given as such or as a date (RFC 9110, 10.2.3)."""
        if retry_after is None:
            return None
        if _SECONDS.fullmatch(retry_after.strip()):
            return float(retry_after)
        try:
            moment = parsedate_to_datetime(retry_after)
            return max(0.0, (moment - self._clock.now()).total_seconds())
        except (ValueError, TypeError):
            return None


async def _reused(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.connected = context.trace_request_ctx.reused = True


async def _connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.connected = True


async def _bounded(content: aiohttp.StreamReader, most_bytes: int) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    async for part in content.iter_any():
        size += len(part)
        if size > most_bytes:
            return None
        parts.append(part)
    return b"".join(parts)
