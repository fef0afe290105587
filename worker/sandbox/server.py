"""The sandbox on a port: EWS at `/EWS/Exchange.asmx`, and beside it, for loopback only, what the witness knows."""

import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web
from multidict import CIMultiDict

from worker.sandbox import certificate
from worker.sandbox import reply as replies
from worker.sandbox import request as requests
from worker.sandbox.accounts import Accounts
from worker.sandbox.autodiscover import Autodiscover
from worker.sandbox.directory import User
from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.faults import KINDS
from worker.sandbox.gates import Gates
from worker.sandbox.mailroom import Mailroom
from worker.sandbox.operations.table import OPERATIONS
from worker.sandbox.recording import Recording
from worker.sandbox.reply import Reply
from worker.sandbox.sent_mail import SentMail
from worker.sandbox.sign_in import SignIn
from worker.sandbox.soap import Fault, Refusal
from worker.sandbox.token_endpoint import TokenEndpoint
from worker.sandbox.witness import Witness, statistics

PATH: Final = "/EWS/Exchange.asmx"

_REACHED: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - these are what may be listened on
"""Every address of this machine is none to connect to."""


class Sandbox:
    """One sandbox Exchange on one port. `exchange` is what it serves and may be changed while it runs.

    Use it as an asynchronous context, or call `start` and `stop`.
    """

    def __init__(
        self,
        exchange: Exchange | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        record_to: Path | None = None,
    ) -> None:
        self.exchange = exchange or Exchange()
        self.gates = Gates()
        self.host, self.port = host, port
        self._tls = tls
        self._sign_in = SignIn(self.exchange.directory, self.exchange.options, self.exchange.tokens)
        self._recording = Recording(record_to) if record_to is not None else None
        self._numbers = itertools.count(1)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The EWS endpoint."""
        return self._origin + PATH

    @property
    def witness_url(self) -> str:
        return self._origin + "/sandbox"

    @property
    def authority(self) -> str:
        """Where tokens come from; the tenant follows after a slash."""
        return self._origin

    @property
    def _origin(self) -> str:
        host = _REACHED.get(self.host, self.host)
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def sent(self) -> Sequence[SentMail]:
        """Every mail that left, in order."""
        return self.exchange.departures.sent

    @property
    def statistics(self) -> dict[str, Any]:
        """What `GET /sandbox/stats` answers."""
        return statistics(self.exchange)

    async def start(self) -> None:
        """Listen. Port 0 takes a free one; `port` then says which. Raises OSError."""
        if self._tls is not None:
            self._sign_in.bindings = certificate.bindings(self._tls)
        application = web.Application(client_max_size=self.exchange.options.max_request_bytes)
        application.router.add_post(PATH, self._serve)
        application.router.add_routes(Witness(self.exchange).routes())
        application.router.add_routes(Mailroom(self.exchange).routes())
        application.router.add_routes(Accounts(self.exchange).routes())
        application.router.add_routes(Autodiscover(self.exchange, self._sign_in).routes())
        application.router.add_routes(TokenEndpoint(self.exchange).routes())
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, ssl_context=self._tls, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.gates.open_all()
        self.exchange.subscriptions.close()
        await self.exchange.departures.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        number = next(self._numbers)
        user = await self._sign_in.who(request)
        if isinstance(user, Reply):
            self.exchange.requests[str(user.status)] += 1
            return await self._write(request, user, number)
        body = await request.read()  # aiohttp answers 413 beyond client_max_size, as IIS does
        reply = await self._answer(body, user)
        if self._recording is not None:
            self._recording.write(number, body, reply)
        return await self._write(request, reply, number)

    async def _answer(self, body: bytes, user: User) -> Reply:
        try:
            call = requests.read(self.exchange, body, user)
            self.exchange.requests[call.operation] += 1
            if self.exchange.is_shut(user, call):
                return Reply(403, b"", replies.HTML)
            return await self._perform(call)
        except requests.Unreadable:
            return Reply(400)
        except Fault as fault:
            return replies.of_fault(fault)

    async def _perform(self, call: Call) -> Reply:
        exchange, operation = self.exchange, OPERATIONS.get(call.operation)
        if operation is None:
            # By ErrorInvalidRequest, which Exchange says, clients understand another version and try them all.
            raise Fault("ErrorInvalidOperation", f"The sandbox does not know the operation {call.operation}.")
        kind = exchange.faults.of_request(call.operation, operation.subjects(exchange, call))
        if kind is not None and KINDS[kind].stage == "before":
            instead = replies.before_work(kind, exchange.options)
            if instead is not None:
                return instead
            await exchange.clock.sleep(exchange.options.slow_seconds)
        await self.gates.pass_by(call.operation, "before")
        try:
            reply = Reply(200, await operation.handle(exchange, call))
        except (ValueError, IndexError):  # no number, no date, an element missing: what the schema would have refused
            raise Fault("ErrorSchemaValidation", "The request failed schema validation.") from None
        except Refusal as refusal:  # one that speaks of the whole request, not of an item
            raise Fault(refusal.code, refusal.text) from None
        await self.gates.pass_by(call.operation, "after")
        if kind is not None and KINDS[kind].stage == "after":
            return replies.after_work(kind, reply)
        return reply

    async def _write(self, request: web.Request, reply: Reply, number: int) -> web.StreamResponse:
        headers = CIMultiDict(reply.headers)
        headers["request-id"] = f"00000000-0000-4000-8000-{number:012x}"
        headers["X-FEServer"] = "SANDBOX"
        if "client-request-id" in request.headers:
            headers["client-request-id"] = request.headers["client-request-id"]
        headers["Content-Type"] = reply.content_type
        if reply.line == "whole" and isinstance(reply.body, bytes):
            return web.Response(status=reply.status, body=reply.body, headers=headers)
        response = web.StreamResponse(status=reply.status, headers=headers)
        if reply.line != "cut":
            await self._write_portions(request, reply, number, response)
        if reply.line != "whole" and request.transport is not None:
            request.transport.close() if reply.line == "half" else request.transport.abort()
        return response

    async def _write_portions(
        self, request: web.Request, reply: Reply, number: int, response: web.StreamResponse
    ) -> None:
        """What is not sent in one piece: made while it is written, without an end yet, or cut in the middle."""
        body = reply.body
        if isinstance(body, AsyncIterator):
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):  # the client has heard enough
                async for portion in body:
                    await response.write(portion)
                    if self._recording is not None:
                        self._recording.append(number, portion)
                    if reply.line == "half":
                        break
            return
        response.content_length = len(body)
        await response.prepare(request)
        left = len(body) // 2 if reply.line == "half" else len(body)
        for portion in (body,) if isinstance(body, bytes) else body:
            await response.write(portion[:left])
            left -= len(portion)
            if left <= 0:
                break
