"""The way to one endpoint, below HTTP: the name, the connection, TLS. Each goes on from where the one before ended."""

import asyncio
import base64
import contextlib
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver

from worker.clock import Clock
from worker.ews import remedies
from worker.ews.endpoint import Endpoint
from worker.ews.exchange import NOT_REACHED
from worker.ews.http_answer import certificate_kind
from worker.ews.proxy import proxy_for
from worker.mail.checks import Finding, Verdict, passed, skipped
from worker.tls import client_context

_SECONDS: Final = 15.0
_MOST_HEAD_BYTES: Final = 64 * 2**10
_MOST_ADDRESSES: Final = 4
_EXPIRES_SOON: Final = timedelta(days=14)


class Reach:
    """Use within one event loop; close it at the end. A proxy that the environment names is gone through. `resolver`:
    where a host's connections go, by default the name service.
    """

    def __init__(self, endpoint: Endpoint, clock: Clock, resolver: AbstractResolver | None = None) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._resolver = resolver or ThreadedResolver()
        self._target = urlsplit(endpoint.url)
        proxy = proxy_for(endpoint.url)
        self._proxy = _parsed(proxy) if proxy else None
        self._seconds = min(_SECONDS, endpoint.timeout_seconds)
        self._places: list[tuple[str, int]] = []
        self._writer: asyncio.StreamWriter | None = None

    async def name(self) -> Finding:
        """Whether the host has an address; with a proxy that one's, which looks up the other."""
        host, port = _host_and_port(self._next)
        if not host:
            return self._failed("proxy", "the proxy: not a URL")
        try:
            async with asyncio.timeout(self._seconds):
                self._places = await self._addresses(host, port)
        except (OSError, TimeoutError, UnicodeError) as error:
            return self._failed("name-unknown", f"{host}: this name has no address: {_said(error)}", remedies.NAME)
        addresses = ", ".join(dict.fromkeys(address for address, _ in self._places))
        return passed(f"proxy {host}: {addresses}" if self._proxy else f"{host}: {addresses}")

    async def connect(self) -> Finding:
        host, port = _host_and_port(self._next)
        try:
            reader, self._writer = await self._connected()
            async with asyncio.timeout(self._seconds):
                refused = await self._through(reader, self._writer) if self._proxy else ""
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            if self._proxy:
                return self._failed("proxy", f"proxy {host}:{port}: {_said(error)}")
            return self._failed("unreachable", f"{host}:{port}: no connection: {_said(error)}")
        if refused:
            return self._failed("proxy", f"proxy {host}:{port}: {refused}")
        return passed(f"proxy {host}:{port}" if self._proxy else f"{host}:{port}")

    async def tls(self) -> Finding:
        """The handshake, with what the router itself asks of a certificate."""
        if self._target.scheme != "https":
            return skipped("http:// to this machine: there is no TLS")
        host, _ = _host_and_port(self._target)
        assert self._writer is not None
        try:
            context = client_context(self._endpoint.ca_file)
        except OSError as error:
            return self._failed("ca-file", f"the CA file cannot be used: {error}", remedies.CA_FILE)
        try:
            await self._writer.start_tls(context, server_hostname=host, ssl_handshake_timeout=self._seconds)
        except ssl.SSLCertVerificationError as error:
            return self._failed(certificate_kind(error), f"{host}: {error.verify_message}")
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            return self._failed("certificate", f"{host}: no TLS: {_said(error)}")
        return self._seen(host, self._writer.get_extra_info("ssl_object"))

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._writer.wait_closed()
            self._writer = None

    @property
    def _next(self) -> SplitResult:
        return self._proxy or self._target

    async def _addresses(self, host: str, port: int) -> list[tuple[str, int]]:
        with contextlib.suppress(ValueError):
            return [(str(ip_address(host)), port)]
        found = await self._resolver.resolve(host, port, socket.AF_UNSPEC)
        return [(each["host"], each["port"]) for each in found][:_MOST_ADDRESSES]

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the first address that takes a connection. Raises what the last one said."""
        failure: OSError | TimeoutError = OSError("no address")
        for address, port in self._places:
            try:
                async with asyncio.timeout(self._seconds):
                    return await asyncio.open_connection(address, port, limit=_MOST_HEAD_BYTES)
            except (OSError, TimeoutError) as error:
                failure = error
        raise failure

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Have the proxy connect on; "" if it does, else what it says (RFC 9110, 9.3.6)."""
        assert self._proxy is not None
        host, port = _host_and_port(self._target)
        request = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        if self._proxy.username:
            pair = f"{unquote(self._proxy.username)}:{unquote(self._proxy.password or '')}"
            request += f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
        writer.write(f"{request}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, _, reason = head.splitlines()[0].partition(" ")[2].partition(" ")
        return "" if status.startswith("2") else f"HTTP {status}: {reason}"

    def _failed(self, code: str, cause: str, remedy: str = "") -> Finding:
        """With the codes and remedies that the router's own requests have for it."""
        told = self._endpoint.parties("").told(remedy or NOT_REACHED[code])
        return Finding(Verdict.FAIL, cause, code, told)

    def _seen(self, host: str, channel: ssl.SSLObject) -> Finding:
        certificate = channel.getpeercert() or {}
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
        seen = f"{channel.version()}, the certificate of {host} is good until {until:%Y-%m-%d}"
        if until - self._clock.now() < _EXPIRES_SOON:
            return Finding(Verdict.WARNING, seen, "certificate-expires", remedies.EXPIRED_CERTIFICATE)
        return passed(seen)


def _parsed(proxy: str) -> SplitResult:
    """Without a host where it is no URL. What stands there holds a password."""
    try:
        url = urlsplit(proxy)
        _host_and_port(url)
    except ValueError:
        return urlsplit("")
    return url


def _host_and_port(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__
