"""Stands before the sandbox Exchange as a server of its own, which can be taken down in several ways."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final, Literal
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

Mode = Literal["through", "refused", "busy", "hanging"]

_LARGEST: Final = 64 * 2**20
_PASSED_ON: Final = ("Content-Type", "SOAPAction", "Authorization", "X-AnchorMailbox", "User-Agent")


class Gate:
    """`came`: when each request came, of the monotonic clock."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)._replace(path="", query="").geturl()
        self._path = urlsplit(target).path
        self._mode: Mode = "through"
        self._changed = asyncio.Event()
        self._site: web.TCPSite | None = None
        self._port = 0
        self.came: list[float] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{self._path}"

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Gate"]:
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        async with aiohttp.ClientSession() as self._session:
            await self._listen()
            try:
                yield self
            finally:
                self._changed.set()
                await self._runner.cleanup()

    async def turn(self, mode: Mode) -> None:
        """From now on it is so; what hangs is cut off."""
        self._mode = mode
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if mode == "refused" and self._site:
            await self._site.stop()
            self._site = None
            if self._runner.server:
                await self._runner.server.shutdown(0.1)
        elif mode != "refused" and not self._site:
            await self._listen()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await self._site.start()
        self._port = self._runner.addresses[-1][1]

    async def _serve(self, request: web.Request) -> web.Response:
        self.came.append(time.monotonic())
        if self._mode == "busy":
            return web.Response(status=503)
        if self._mode == "hanging":
            await self._changed.wait()
        if self._mode != "through" or request.transport is None:
            raise web.HTTPBadGateway
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        url = self._target + request.path_qs
        async with self._session.request(request.method, url, data=await request.read(), headers=headers) as answer:
            kept = {
                name: answer.headers[name] for name in ("Content-Type", "WWW-Authenticate") if name in answer.headers
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)
