"""Listening, over a scripted server: subscriptions, connections that end in every way, and who is deaf."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ews.build import envelope, failure, response, success
from tests.unit.ews.server import Half, Request, Script, Server, cuts, http, says, serving
from worker.clock import SystemClock
from worker.ews.client import EwsTransport
from worker.ews.endpoint import BasicSignIn, Endpoint
from worker.ews.exchange import Exchange
from worker.ews.listen import Group
from worker.ews.portions import MOST_BYTES, Portions
from worker.ews.trouble import Unfit
from worker.mail.outcome import Scope
from worker.mail.transport import WorkingMailbox
from worker.settings import SecretReference

ANNA, BERT, CARL = (WorkingMailbox("P", f"{name}@contoso.example") for name in ("anna", "bert", "carl"))
ALL = [CARL, ANNA, BERT]
ENOUGH_SECONDS = 600.0


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_PASSWORD", "secret")


class QuickClock(SystemClock):
    """Waits take no time of ours, and are noted."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.ahead_seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_seconds

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.ahead_seconds += seconds

    def jitter(self) -> float:
        return 0.0


@dataclass
class Last:
    """A connection that is open until the time for listening is over."""

    portions: tuple[bytes, ...]

    async def __call__(self, request: Request) -> bytes:
        return http(200, b"".join((*self.portions, CLOSED)))


class World:
    """A server that holds subscriptions, with a script for its connections; the last one serves all that follow."""

    def __init__(self, *connections: Script, subscribing: Callable[[str], str] | None = None) -> None:
        self.heard: list[WorkingMailbox] = []
        self.clock = QuickClock()
        self.log: list[tuple[str, str]] = []
        self.requests: list[Request] = []
        self._connections = list(connections)
        self._subscribing = subscribing
        self._number = 0

    async def serve(self, request: Request) -> bytes | None:
        operation = request.headers["soapaction"].rpartition("/")[2].strip('"')
        self.requests.append(request)
        found = re.search(rb"<t:EmailAddress>(.*?)</t:EmailAddress>", request.body)
        address = found.group(1).decode() if found else ""
        ids = [each.decode() for each in re.findall(rb"SubscriptionId>([^<]+)</", request.body)]
        self.log.append((operation, address or " ".join(ids)))
        if operation == "GetStreamingEvents":
            script = self._connections.pop(0) if len(self._connections) > 1 else self._connections[0]
            if isinstance(script, Last):
                self.clock.ahead_seconds += ENOUGH_SECONDS
            return await script(request)
        if operation == "Unsubscribe":
            return http(200, response(operation, success(operation)))
        if self._subscribing is not None and (code := self._subscribing(address)):
            return http(200, response(operation, failure(operation, code)))
        self._number += 1
        answer = success(operation, f"<m:SubscriptionId>{address.partition('@')[0]}-{self._number}</m:SubscriptionId>")
        return http(200, response(operation, answer), "Set-Cookie: X-BackEndOverrideCookie=MB1~9; path=/; secure\r\n")

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.log]

    def of(self, operation: str) -> list[str]:
        return [what for each, what in self.log if each == operation]


@asynccontextmanager
async def group_in(world: World, *mailboxes: WorkingMailbox, quiet: float = 5.0) -> AsyncIterator[Group]:
    async with serving(world.serve) as server:
        exchange = Exchange(endpoint(server), lambda *_: None, world.clock)
        yield Group(exchange, list(mailboxes) or ALL, world.heard.append, world.clock, quiet)
        await exchange.close()


def endpoint(server: Server, username: str = "router@contoso.example") -> Endpoint:
    sign_in = BasicSignIn(username, SecretReference("env:ROUTER_PASSWORD"))
    return Endpoint("P", server.url, sign_in, impersonate=True, timeout_seconds=5)


def told(inner: str) -> bytes:
    return response("GetStreamingEvents", success("GetStreamingEvents", inner))


def event(subscription: str, kind: str = "NewMailEvent", prefix: str = "t") -> bytes:
    notification = (
        f"<{prefix}:Notification><t:SubscriptionId>{subscription}</t:SubscriptionId><t:{kind}/></{prefix}:Notification>"
    )
    return told(f"<m:Notifications>{notification}</m:Notifications>")


CLOSED = told("<m:ConnectionStatus>Closed</m:ConnectionStatus>")
OK = told("<m:ConnectionStatus>OK</m:ConnectionStatus>")


def lasts(*portions: bytes) -> Script:
    return Last(portions)


def stays(*portions: bytes) -> Script:
    """What a connection tells, before it falls silent and stays open."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(f"{len(each):x}\r\n".encode() + each + b"\r\n" for each in portions)
    return says(head + body)


def refuses(code: str, *unknown: str) -> Script:
    listed = "".join(f"<t:SubscriptionId>{each}</t:SubscriptionId>" for each in unknown)
    extra = f"<m:ErrorSubscriptionIds>{listed}</m:ErrorSubscriptionIds>" if unknown else ""
    return says(http(200, response("GetStreamingEvents", failure("GetStreamingEvents", code, xml=extra))))


async def test_each_is_subscribed_one_connection_carries_all_and_the_end_is_orderly() -> None:
    world = World(lasts(OK, event("bert-2"), event("carl-3", prefix="m")))
    async with group_in(world) as group:
        deaf = await group.listen(ENOUGH_SECONDS)

    assert deaf == {}
    assert world.of("Subscribe") == [ANNA.address, BERT.address, CARL.address]
    assert world.of("GetStreamingEvents") == ["anna-1 bert-2 carl-3"]
    assert sorted(world.of("Unsubscribe")) == ["anna-1", "bert-2", "carl-3"]
    assert [each.address[:4] for each in world.heard] == ["anna", "bert", "carl", "bert", "carl"]


async def test_all_requests_of_a_group_go_to_one_server() -> None:
    world = World(lasts(OK))
    async with group_in(world) as group:
        await group.listen(ENOUGH_SECONDS)

    assert {request.headers["x-anchormailbox"] for request in world.requests} == {ANNA.address}
    assert {request.headers["x-preferserveraffinity"] for request in world.requests} == {"true"}
    cookies = [request.headers.get("cookie") for request in world.requests]
    assert cookies == [None, *["X-BackEndOverrideCookie=MB1~9"] * (len(cookies) - 1)]
    (connection,) = [each for each in world.requests if b"GetStreamingEvents" in each.body]
    assert b"<t:PrimarySmtpAddress>anna@contoso.example</t:PrimarySmtpAddress>" in connection.body


@pytest.mark.parametrize("kind", ["CreatedEvent", "MovedEvent", "NewMailEvent", "NoveltyEvent"])
async def test_whatever_happened_is_heard(kind: str) -> None:
    world = World(lasts(OK, event("anna-1", kind)))
    async with group_in(world, ANNA) as group:
        await group.listen(ENOUGH_SECONDS)

    assert world.heard == [ANNA, ANNA]


async def test_signs_of_life_and_strangers_are_not_heard() -> None:
    world = World(lasts(OK, event("anna-1", "StatusEvent"), event("stranger-7")))
    async with group_in(world, ANNA) as group:
        await group.listen(ENOUGH_SECONDS)

    assert world.heard == [ANNA]


async def test_who_cannot_be_subscribed_is_deaf_and_the_others_are_heard() -> None:
    world = World(
        lasts(OK, event("carl-1")),
        subscribing=lambda address: "" if address == CARL.address else "ErrorSubscriptionDelegateAccessNotSupported",
    )
    async with group_in(world) as group:
        deaf = await group.listen(ENOUGH_SECONDS)

    assert deaf.keys() == {ANNA, BERT}
    assert {reason.scope for reason in deaf.values()} == {Scope.MAILBOX}
    assert all(reason.remedy for reason in deaf.values())
    assert world.of("GetStreamingEvents") == ["carl-1"]


@pytest.mark.parametrize("script", [says(http(401)), cuts])
async def test_a_server_that_lets_nobody_in_is_not_asked_for_each(script: Script) -> None:
    async with serving(script) as server:
        transport = EwsTransport(lambda _: endpoint(server), lambda *_: None, SystemClock())
        heard = await transport.listen(ALL, lambda _: None, 5)
        await transport.close()

    assert {mailbox for mailbox, _ in heard.deaf} == set(ALL)
    assert len(server.requests) == 1


async def test_connections_are_made_anew_with_the_same_subscriptions_when_the_server_ends_them() -> None:
    world = World(says(http(200, OK + CLOSED)), lasts(OK, event("anna-1")))
    async with group_in(world, ANNA) as group:
        assert await group.listen(ENOUGH_SECONDS) == {}

    assert world.of("GetStreamingEvents") == ["anna-1", "anna-1"]
    assert world.of("Subscribe") == [ANNA.address]
    assert world.heard == [ANNA, ANNA]


async def test_after_a_lost_line_everybody_may_have_mail() -> None:
    half = says(Half(http(200, OK, length=10_000)))
    world = World(half, lasts(OK))
    async with group_in(world, ANNA, BERT) as group:
        assert await group.listen(ENOUGH_SECONDS) == {}

    assert world.heard == [ANNA, BERT, ANNA, BERT]
    assert len(world.of("Subscribe")) == 2


async def test_a_connection_that_shows_no_life_is_lost() -> None:
    world = World(stays(OK), lasts(OK))
    async with group_in(world, ANNA, quiet=0.1) as group:
        assert await group.listen(ENOUGH_SECONDS) == {}

    assert len(world.of("GetStreamingEvents")) == 2


async def test_when_the_time_is_up_an_open_connection_is_left() -> None:
    world = World(stays(OK))
    async with group_in(world, ANNA) as group:
        assert await group.listen(1.1) == {}

    assert world.operations == ["Subscribe", "GetStreamingEvents", "Unsubscribe"]


@pytest.mark.parametrize("named", [["anna-1"], []])
async def test_what_the_server_has_forgotten_is_subscribed_anew_once(named: list[str]) -> None:
    forgets = refuses("ErrorSubscriptionNotFound", *named)
    world = World(forgets, lasts(OK, event("anna-2")))
    async with group_in(world, ANNA) as group:
        assert await group.listen(ENOUGH_SECONDS) == {}

    assert world.of("GetStreamingEvents") == ["anna-1", "anna-2"]
    assert world.heard == [ANNA, ANNA, ANNA]


async def test_what_is_forgotten_again_is_deaf() -> None:
    world = World(refuses("ErrorExpiredSubscription"))
    async with group_in(world, ANNA) as group:
        deaf = await group.listen(ENOUGH_SECONDS)

    assert deaf[ANNA].code == "ErrorExpiredSubscription"
    assert world.of("GetStreamingEvents") == ["anna-1", "anna-2"]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (says(http(503)), "http-503"),
        (refuses("ErrorExceededConnectionCount"), "ErrorExceededConnectionCount"),
        (says(http(200, b"<html>Sign in</html>")), "answer-unreadable"),
        (says(http(200, envelope("") * 2)), "answer-unreadable"),
        (says(http(200, b"x" * (MOST_BYTES + 1))), "answer-unreadable"),
        (cuts, "no-answer-cut"),
    ],
)
async def test_a_connection_that_is_never_had_is_given_up_with_the_reason(script: Script, code: str) -> None:
    world = World(script)
    async with group_in(world, ANNA) as group:
        deaf = await group.listen(ENOUGH_SECONDS)

    assert deaf[ANNA].code == code
    assert len(world.of("GetStreamingEvents")) == 4
    assert world.clock.waits == sorted(world.clock.waits)


async def test_a_connection_that_never_lasts_is_given_up_early_and_nobody_is_deaf() -> None:
    world = World(says(http(200, OK + CLOSED)))
    async with group_in(world, ANNA) as group:
        assert await group.listen(ENOUGH_SECONDS) == {}

    assert len(world.of("GetStreamingEvents")) == 4


async def test_who_was_listened_to_is_not_deaf_when_the_line_is_lost_for_good() -> None:
    world = World(says(Half(http(200, OK, length=10_000))), cuts)
    async with group_in(world, ANNA) as group:
        assert await group.listen(ENOUGH_SECONDS) == {}

    assert len(world.of("GetStreamingEvents")) == 4


async def test_the_server_is_left_alone_for_as_long_as_it_wants() -> None:
    world = World(says(http(503, b"", "Retry-After: 33\r\n")))
    async with group_in(world, ANNA) as group:
        await group.listen(ENOUGH_SECONDS)

    assert world.clock.waits == [33.0, 33.0, 33.0]


async def test_nobody_is_asked_to_go_when_listening_is_cancelled() -> None:
    connected = asyncio.Event()

    async def connects(request: Request) -> bytes | None:
        connected.set()
        return await stays(OK)(request)

    world = World(connects)
    async with group_in(world, ANNA) as group:
        listening = asyncio.create_task(group.listen(ENOUGH_SECONDS))
        await connected.wait()
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening

    assert "Unsubscribe" not in world.operations


async def test_mailboxes_with_credentials_of_their_own_have_a_connection_each() -> None:
    world = World(stays(OK))
    async with serving(world.serve) as server:
        transport = EwsTransport(lambda each: endpoint(server, each.address), lambda *_: None, world.clock)
        heard = await transport.listen([ANNA, BERT], world.heard.append, 1.1)
        await transport.close()

    assert heard.deaf == ()
    assert len(world.of("GetStreamingEvents")) == 2


@given(st.lists(st.integers(0, 2000), max_size=10))
def test_envelopes_are_cut_out_wherever_portions_end(cuts: list[int]) -> None:
    stream = (
        OK
        + b"\r\n"
        + event("anna-1")
        + CLOSED.replace(b"s:Envelope", b"Envelope ").replace(b"</Envelope >", b"</E:Envelope\n>")
    )
    places = [0, *sorted(cuts), len(stream)]
    portions, found = Portions(), []

    for start, end in zip(places, [*places[1:], len(stream)], strict=True):
        found += list(portions.cut(stream[start:end]))

    assert len(found) == 3
    assert found[0] == OK
    assert b"".join(found) == stream.replace(b"\r\n", b"")


def test_an_envelope_without_an_end_is_not_waited_for() -> None:
    with pytest.raises(Unfit):
        list(Portions().cut(b"<" * (MOST_BYTES + 1)))
