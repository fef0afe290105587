"""Hosts of a made-up internet on loopback: real TLS by a private CA, each host with what it answers and what it saw."""

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from aiohttp import web
from aiohttp.abc import ResolveResult

from worker.ews.connect_to import ConnectTo, Place

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    host: str
    method: str
    path: str
    authorization: str


class Names(ConnectTo):
    """No name is known but those of the test: no name service is asked."""

    def __init__(self, places: Mapping[Place, Place]) -> None:
        super().__init__(places)
        self._of_the_test = places

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if (host, port) not in self._of_the_test:
            raise OSError(f"{host} is not known")
        return await super().resolve(host, port, family)


@dataclass
class Internet:
    resolver: ConnectTo
    ca_file: str
    seen: list[Seen] = field(default_factory=list)

    def credentials_of(self, host: str) -> list[str]:
        """What was shown to a host to sign in."""
        return [each.authorization for each in self.seen if each.host == host and each.authorization]


@asynccontextmanager
async def internet(
    folder: Path, secure: Mapping[str, Serve], plain: Mapping[str, Serve] = {}, *, certified: bool = True
) -> AsyncIterator[Internet]:
    """`secure` are hosts at port 443, `plain` at 80. Not `certified`: the certificates are for other names."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    places: dict[Place, Place] = {}
    online = Internet(Names(places), str(folder / "ca.pem"))
    async with AsyncExitStack() as running:
        for hosts, port in ((secure, 443), (plain, 80)):
            for host, serve in hosts.items():
                tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if port == 443 else None
                if tls is not None:
                    authority.issue_cert(host if certified else "else.example").configure_cert(tls)
                places[host, port] = ("127.0.0.1", await running.enter_async_context(_host(online, host, serve, tls)))
        yield online


@asynccontextmanager
async def _host(online: Internet, host: str, serve: Serve, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    async def note(request: web.Request) -> web.StreamResponse:
        assert request.host == host
        authorization = request.headers.get("Authorization", "")
        online.seen.append(Seen(host, request.method, request.path, authorization))
        return await serve(request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", note)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        port: int = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()


def says(status: int, body: bytes = b"", **headers: str) -> Serve:
    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return serve


def only(paths: Mapping[str, Serve]) -> Serve:
    """By the ending of the path; anything else is not there."""

    async def serve(request: web.Request) -> web.StreamResponse:
        found = next((each for ending, each in paths.items() if request.path.endswith(ending)), says(404))
        return await found(request)

    return serve


def to_signed_in(serve: Serve) -> Serve:
    """Only to who signs in."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        return await (serve if request.headers.get("Authorization") else says(401))(request)

    return guarded
