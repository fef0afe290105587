"""A server on loopback that answers as a test scripts it, byte by byte where need be."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Script = Callable[["Request"], Awaitable[bytes | None]]


class Half(bytes):
    """An answer after which the line is cut."""


@dataclass
class Request:
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Server:
    """`url` is where it listens; `requests` is all it got. A script gives the bytes to answer, None to cut the line."""

    port: int
    scheme: str
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/EWS/Exchange.asmx"


def http(status: int, body: bytes = b"", headers: str = "", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body


@asynccontextmanager
async def serving(*scripts: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """The server; each request is answered by the next script, the last one answers all that follow."""
    turns = list(scripts)
    connections: set[asyncio.StreamWriter] = set()
    server = Server(0, "https" if tls else "http")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        number = len(connections)
        try:
            while (request := await _read(reader, number)) is not None:
                server.requests.append(request)
                script = turns.pop(0) if len(turns) > 1 else turns[0]
                answer = await script(request)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if isinstance(answer, Half):
                    break
        except ConnectionError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in connections:
            writer.close()
        await listener.wait_closed()


async def _read(reader: asyncio.StreamReader, connection: int) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    lines = head.decode().split("\r\n")[1:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(headers, await reader.readexactly(int(headers.get("content-length", "0"))), connection)


def says(answer: bytes) -> Script:
    async def script(request: Request) -> bytes:
        return answer

    return script


async def cuts(request: Request) -> None:
    """The request is read, and the line is cut."""


async def hangs(request: Request) -> None:
    """Nothing comes."""
    await asyncio.Event().wait()
