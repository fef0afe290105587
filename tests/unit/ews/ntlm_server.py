"""A server on loopback that lets nobody in but by NTLM, bound to its TLS channel, and notes all that comes."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import spnego
import trustme
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

_KINDS = {b"NTLMSSP\0\x01": "greeting", b"NTLMSSP\0\x03": "proof"}


@dataclass
class Line:
    """One connection, as the server sees it."""

    number: int
    transport: asyncio.Transport
    handshake: spnego.ContextProxy | None = None
    signed_in: bool = False


@dataclass
class NtlmServer:
    """`seen`: what came, over which connection, and the size of its body. `done`: the bodies that were let in.
    `cuts`: from now on whoever is signed in is cut off when he asks. `held`: a request that says `hold` is answered
    when this is set. Accounts are those of NTLM_USER_FILE.
    """

    bindings: GssChannelBindings
    answer: bytes
    url: str = ""
    cuts: bool = False
    seen: list[tuple[str, int, int]] = field(default_factory=list)
    done: list[bytes] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    holding: asyncio.Event = field(default_factory=asyncio.Event)
    held: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.seen]

    async def asked(self, request: web.Request) -> web.StreamResponse:
        line = self._line(request)
        body = await request.read()
        message = base64.b64decode(request.headers.get("Authorization", "").partition(" ")[2])
        kind = _KINDS.get(message[:9], "nothing")
        self.seen.append((kind, line.number, len(body)))
        if kind == "greeting":
            line.handshake, line.signed_in = spnego.server(protocol="ntlm"), False
            challenge = line.handshake.step(message)
            assert challenge is not None
            return _refused(f"NTLM {base64.b64encode(challenge).decode()}")
        if kind == "proof":
            line.signed_in = self._proven(line, message)
        if not line.signed_in:
            return _refused("NTLM")
        if self.cuts and kind == "nothing":
            line.transport.abort()
            return web.Response()
        self.done.append(body)
        return await self._answered(request) if body == b"hold" else web.Response(body=self.answer)

    def _line(self, request: web.Request) -> Line:
        transport = request.transport
        assert transport is not None
        found = next((each for each in self.lines if each.transport is transport), None)
        if found is None:
            found = Line(len(self.lines) + 1, transport)
            self.lines.append(found)
        return found

    def _proven(self, line: Line, message: bytes) -> bool:
        try:
            assert line.handshake is not None
            line.handshake.step(message, channel_bindings=self.bindings)
        except (SpnegoError, AssertionError):
            return False
        return line.handshake.complete

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        """Bit by bit, as notifications are."""
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"first")
        self.holding.set()
        await self.held.wait()
        await answer.write(b"last")
        return answer


def _refused(challenge: str) -> web.Response:
    return web.Response(status=401, headers={"WWW-Authenticate": challenge})


@asynccontextmanager
async def letting_in(authority: trustme.CA, answer: bytes) -> AsyncIterator[NtlmServer]:
    issued = authority.issue_cert("127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(tls)
    digest = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).fingerprint(hashes.SHA256())
    server = NtlmServer(GssChannelBindings(application_data=b"tls-server-end-point:" + digest), answer)
    application = web.Application(client_max_size=64 * 2**20)
    application.router.add_post("/", server.asked)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    server.url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield server
    finally:
        server.held.set()
        await runner.cleanup()
