"""Which connection a request goes over: for who signs in for a whole one, and for servers that keep none."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

import aiohttp
from aiohttp.connector import Connection as PooledConnection
from aiohttp.tracing import Trace


class Connection:
    """The connection of a line that has one at a time, for who signs in for a whole connection. `scheme`: how NTLM is
    offered. `channel`: what the last request went over; another one is another connection.
    """

    def __init__(self) -> None:
        self.scheme = "NTLM"
        self.channel: asyncio.BaseTransport | None = None
        self._signed_in: asyncio.BaseTransport | None = None

    @property
    def signed_in(self) -> bool:
        """Whether the connection that was signed in is still there, as far as we were told."""
        return self._signed_in is not None and self._signed_in is self.channel and not self._signed_in.is_closing()

    @signed_in.setter
    def signed_in(self, done: bool) -> None:
        self._signed_in = self.channel if done else None

    @property
    def certificate(self) -> bytes | None:
        """The server's (DER), None without TLS."""
        tls = self.channel.get_extra_info("ssl_object") if self.channel is not None else None
        certificate: bytes | None = tls.getpeercert(binary_form=True) if tls is not None else None
        return certificate


class Connector(aiohttp.TCPConnector):
    """Notes which connection a request gets. `headers` go along with each."""

    connection: Connection
    headers: Mapping[str, str] = MappingProxyType({})

    def keep_none(self) -> None:
        """From now on each connection is closed behind its answer."""
        self._force_close = True
        self.headers = {"Connection": "close"}

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> PooledConnection:
        given = await super().connect(req, traces, timeout)
        self.connection.channel = given.transport
        return given
