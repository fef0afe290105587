"""A wire to the broker that a test can cut: a TCP proxy on the loopback interface."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


class Wire:
    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.held = asyncio.Event()
        """Set when something has come that is not carried."""
        self.port = 0

    async def plug_in(self) -> None:
        """Accept connections; each time on the same port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Reset every connection there is; new ones are accepted."""
        for link in self._links:
            link.transport.abort()

    def freeze(self) -> None:
        """Carry nothing more, without closing anything; `cut` ends that."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    async def unplug(self) -> None:
        """Cut, and refuse new connections."""
        if self._server is not None:
            self._server.close()
            self.cut()
            await asyncio.gather(*self._pumps, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._links.add(sink)
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if not self._flowing.is_set():
                    self.held.set()
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
        self._links.discard(sink)


@contextlib.asynccontextmanager
async def wired(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to the broker of this URL, and the URL through it."""
    port = urlsplit(url).port
    assert port is not None
    wire = Wire(port)
    await wire.plug_in()
    try:
        yield wire, url.replace(f":{port}", f":{wire.port}", 1)
    finally:
        wire.thaw()
        await wire.unplug()
