"""Signing in by NTLM, against an acceptor that is not ours, over TLS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trustme
from spnego.channel_bindings import GssChannelBindings

from tests.unit.ews.build import response, success
from tests.unit.ews.ntlm_server import NtlmServer, letting_in
from worker.clock import SystemClock
from worker.ews.endpoint import Endpoint, NtlmSignIn
from worker.ews.exchange import Exchange, Request
from worker.ews.http_answer import Answer
from worker.ews.lines import MOST
from worker.ews.template import Filled
from worker.ews.trouble import Trail, Trouble
from worker.settings import SecretReference

CA = trustme.CA()
MAIL = b"<mail>" * 100_000
SIGNED_IN = ["greeting", "proof"]


@pytest.fixture
def password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the router's is; the acceptor has its own list."""
    accounts = tmp_path / "accounts"
    accounts.write_text("CONTOSO:router:right\n:router@contoso.example:right\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(accounts))
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "password").write_text("right")
    return tmp_path / "password"


@asynccontextmanager
async def exchange_with(
    password: Path, username: str = "CONTOSO\\router"
) -> AsyncIterator[tuple[Exchange, NtlmServer]]:
    async with letting_in(CA, response("SendItem", success("SendItem"))) as server:
        account = NtlmSignIn(username, SecretReference(f"file:{password}"))
        endpoint = Endpoint("P", server.url, account, ca_file=str(password.parent / "ca.pem"), timeout_seconds=10)
        exchange = Exchange(endpoint, lambda *_: None, SystemClock())
        try:
            yield exchange, server
        finally:
            await exchange.close()


def put(path: Path, text: str) -> None:
    path.write_text(text)


async def ask(exchange: Exchange, body: bytes = b"mail") -> str:
    """What comes of a request: "done", or the code of what went wrong."""
    got = await exchange.call("SendItem", "anna@contoso.example", cast(Filled, [body]), 1)
    if isinstance(got, Trouble):
        return got.code
    assert [each.succeeded for each in got] == [True]
    return "done"


async def test_a_mail_goes_over_the_wire_once_and_the_connection_stays_signed_in(password: Path) -> None:
    async with exchange_with(password) as (exchange, server):
        assert [await ask(exchange, MAIL) for _ in range(3)] == ["done"] * 3

    assert server.seen == [
        ("greeting", 1, 0),
        ("proof", 1, len(MAIL)),
        ("nothing", 1, len(MAIL)),
        ("nothing", 1, len(MAIL)),
    ]


async def test_several_connections_sign_in_once_each_and_there_is_an_end_to_them(password: Path) -> None:
    async with exchange_with(password) as (exchange, server):
        bodies = [f"mail {number}".encode() for number in range(2 * MOST)]
        for _ in range(2):
            assert set(await asyncio.gather(*(ask(exchange, body) for body in bodies))) == {"done"}

    assert sorted(server.done) == sorted(2 * bodies)
    assert server.kinds.count("greeting") == server.kinds.count("proof") == len(server.lines) <= MOST


async def test_a_connection_that_was_closed_between_requests_is_replaced_and_greeted_first(password: Path) -> None:
    async with exchange_with(password) as (exchange, server):
        await ask(exchange, b"one")
        async with exchange._wires.to(server.url) as wire:
            kept = wire.connection
        server.lines[0].transport.close()
        while kept.signed_in:  # noqa: ASYNC110 - nothing tells; pytest's timeout bounds it
            await asyncio.sleep(0)
        assert await ask(exchange, b"two") == "done"

    assert server.kinds == SIGNED_IN * 2
    assert server.done == [b"one", b"two"]


async def test_a_connection_that_is_cut_under_a_request_leaves_it_open_and_is_not_asked_again(password: Path) -> None:
    async with exchange_with(password) as (exchange, server):
        await ask(exchange, b"one")
        server.cuts = True
        assert await ask(exchange, b"two") == "no-answer-cut"
        assert server.kinds == [*SIGNED_IN, "nothing"]
        assert await ask(exchange, b"three") == "done"

    assert server.kinds == [*SIGNED_IN, "nothing", *SIGNED_IN]
    assert server.done == [b"one", b"three"]


async def test_a_server_that_forgets_who_signed_in_is_told_anew(password: Path) -> None:
    async with exchange_with(password) as (exchange, server):
        await ask(exchange, b"one")
        server.lines[0].signed_in = False
        assert await ask(exchange, b"two") == "done"

    assert server.kinds == [*SIGNED_IN, "nothing", *SIGNED_IN]
    assert server.done == [b"one", b"two"]


@pytest.mark.parametrize("username", ["CONTOSO\\router", "router@contoso.example"])
async def test_a_wrong_password_is_tried_once_and_read_anew(password: Path, username: str) -> None:
    put(password, "wrong")
    async with exchange_with(password, username) as (exchange, server):
        assert await ask(exchange) == "http-401"
        assert server.kinds == SIGNED_IN
        assert not server.done
        put(password, "right")
        assert await ask(exchange) == "done"


async def test_another_channel_than_the_server_sees_is_refused(password: Path) -> None:
    """As where somebody sits in between."""
    async with exchange_with(password) as (exchange, server):
        server.bindings = GssChannelBindings(application_data=b"tls-server-end-point:" + bytes(32))
        assert await ask(exchange) == "http-401"

    assert server.kinds == SIGNED_IN
    assert not server.done


async def test_what_is_streamed_has_a_connection_of_its_own(password: Path) -> None:
    heard: list[bytes] = []

    async def hear(portion: bytes) -> None:
        heard.append(portion)

    async def conclude(answer: Answer, _trail: Trail) -> int:
        return answer.status

    async with exchange_with(password) as (exchange, server):
        request = Request("GetStreamingEvents", "anna@contoso.example", cast(Filled, [b"hold"]))
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            pouring = tasks.create_task(exchange.pour(request, hear, conclude, quiet_seconds=10))
            await server.holding.wait()
            assert await ask(exchange) == "done"
            server.held.set()

    assert pouring.result() == 200
    assert b"".join(heard) == b"firstlast"
    assert len(server.lines) == 2
