"""What the conformance suite of `OutgoingMailbox` runs on: an implementation, and under it a mail system that a test
can watch and disturb. Another implementation is another class here, and a line in BEDS.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Literal, Protocol

import pytest

from tests.simulation import exchange as simulated
from worker.clock import SystemClock
from worker.ews.client import EwsTransport
from worker.ews.endpoint import BasicSignIn, Endpoint
from worker.mail.stamp import Stamp
from worker.mail.transport import Draft, OutgoingMailbox, WorkingMailbox
from worker.sandbox.exchange import Exchange
from worker.sandbox.faults import Order
from worker.sandbox.options import Dwell
from worker.sandbox.server import Sandbox
from worker.sandbox.users import invented
from worker.settings import SecretReference

ANNA = WorkingMailbox("P", "anna@contoso.example")


class Bed(Protocol):
    def mailbox(self) -> OutgoingMailbox:
        """The working mailbox, as one more worker sees it."""

    def left(self, stamp: Stamp) -> int:
        """How many mails left under this stamp."""

    def losing(self, what: Literal["request", "answer"]) -> AbstractContextManager[None]:
        """While it lasts, no request gets an answer; with "answer" its work is done all the same."""

    def busy(self) -> AbstractContextManager[None]:
        """While it lasts, the server says that it is busy."""

    def dwell(self, seconds: float) -> None:
        """From now on a submitted mail takes about so long on each stage of its way into the sent mail."""

    def change(self, draft: Draft) -> None:
        """Somebody changes the draft."""


class SandboxBed:
    """EWS against the sandbox, over real sockets; the account impersonates."""

    def __init__(self, sandbox: Sandbox, transport: EwsTransport) -> None:
        self.sandbox = sandbox
        self._transport = transport

    def mailbox(self) -> OutgoingMailbox:
        return self._transport.outgoing(ANNA)

    def left(self, stamp: Stamp) -> int:
        return sum(mail.stamp == stamp for mail in self.sandbox.sent)

    @contextmanager
    def losing(self, what: Literal["request", "answer"]) -> Iterator[None]:
        with self._ordered("cut" if what == "request" else "lost"):
            yield

    @contextmanager
    def busy(self) -> Iterator[None]:
        with self._ordered("busy"):
            yield

    def dwell(self, seconds: float) -> None:
        self.sandbox.exchange.options.dwell = Dwell(seconds, seconds)

    def change(self, draft: Draft) -> None:
        store = self.sandbox.exchange.store
        store.touch(store.item(draft.id))

    @contextmanager
    def _ordered(self, kind: str) -> Iterator[None]:
        orders = self.sandbox.exchange.faults.orders
        operations = ("CreateItem", "FindItem", "UpdateItem", "DeleteItem", "SendItem")
        orders += [Order(kind, operation=operation) for operation in operations]
        yield
        orders.clear()


class SimulatedBed:
    """The mailbox server of the simulation."""

    def __init__(self) -> None:
        self._faults = simulated.Faults(latency_seconds=0.002)
        self._exchange = simulated.Exchange(1, self._faults)

    def mailbox(self) -> OutgoingMailbox:
        return self._exchange.outgoing(ANNA)

    def left(self, stamp: Stamp) -> int:
        return len(self._exchange.left.get(stamp, ()))

    @contextmanager
    def losing(self, what: Literal["request", "answer"]) -> Iterator[None]:
        if what == "request":
            self._faults.lost_request = 1.0
        else:
            self._faults.lost_answer = 1.0
        yield
        self._faults.calm()

    @contextmanager
    def busy(self) -> Iterator[None]:
        self._faults.busy = 1.0
        yield
        self._faults.calm()

    def dwell(self, seconds: float) -> None:
        self._faults.dwell_seconds = seconds

    def change(self, draft: Draft) -> None:
        self._exchange.stores[ANNA.address].drafts[draft.id].change_key += 1


def unobserved(profile: str, operation: str, result: str, seconds: float) -> None:
    """For who does not count requests."""


@asynccontextmanager
async def _sandbox() -> AsyncIterator[Bed]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ROUTER_PASSWORD", "sandbox-router")
        async with Sandbox(Exchange(directory=invented("contoso.example", None))) as sandbox:
            sign_in = BasicSignIn("router@contoso.example", SecretReference("env:ROUTER_PASSWORD"))
            endpoint = Endpoint("P", sandbox.url, sign_in, impersonate=True, timeout_seconds=10)
            transport = EwsTransport(lambda _: endpoint, unobserved, SystemClock())
            yield SandboxBed(sandbox, transport)
            await transport.close()


@asynccontextmanager
async def _simulated() -> AsyncIterator[Bed]:
    yield SimulatedBed()


BEDS: dict[str, Callable[[], AbstractAsyncContextManager[Bed]]] = {"ews": _sandbox, "simulated": _simulated}
