"""What the conformance suite of `IncomingMailbox` and `IncomingTransport` runs on: an implementation, and under it a
mailbox that a test can fill, disturb and look into. Another implementation is another class here, and a line in BEDS.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from email.message import EmailMessage
from typing import Literal, Protocol

import pytest

from tests.contract.beds import ANNA, unobserved
from tests.simulation.inbox import Damage, Inboxes, InboxFaults
from tests.simulation.inbox import Item as SimulatedItem
from worker.clock import SystemClock
from worker.ews.client import EwsTransport
from worker.ews.endpoint import BasicSignIn, Endpoint
from worker.mail.address import Address
from worker.mail.incoming import File, IncomingMail, IncomingMailbox, IncomingTransport
from worker.sandbox.exchange import Exchange
from worker.sandbox.faults import Order
from worker.sandbox.item import Item
from worker.sandbox.server import Sandbox
from worker.sandbox.users import invented
from worker.settings import SecretReference

SENDER = "x@customer.example"
OPERATIONS = (
    "CreateUserConfiguration",
    "DeleteItem",
    "FindFolder",
    "FindItem",
    "GetAttachment",
    "GetConversationItems",
    "GetItem",
    "GetUserConfiguration",
    "MoveItem",
    "SyncFolderItems",
    "UpdateItem",
    "UpdateUserConfiguration",
)


class Bed(Protocol):
    """Mails are known by their subjects. Each has a file if it is given one, and the mail `inner` as an attachment."""

    @property
    def transport(self) -> IncomingTransport: ...

    def mailbox(self) -> IncomingMailbox:
        """Anna's, as one more worker sees it."""

    def deliver(self, subject: str, *, damage: Damage = "", file: bytes = b"", inner: str = "") -> None: ...

    def move_out(self, subject: str) -> None:
        """Somebody moves it into another folder."""

    def move_back(self, subject: str) -> None: ...

    def place(self, subject: str) -> str:
        """The folder it lies in, by the name people see; "" for the Inbox."""

    def is_read(self, subject: str) -> bool: ...

    def touch(self, subject: str) -> None:
        """Somebody reads it."""

    def forget_states(self) -> None:
        """The server does not know any state any more."""

    def losing(self, what: Literal["request", "answer"]) -> AbstractContextManager[None]:
        """While it lasts, no request gets an answer; with "answer" its work is done all the same."""

    def busy(self) -> AbstractContextManager[None]:
        """While it lasts, the server says that it is busy."""

    def denied(self) -> AbstractContextManager[None]:
        """While it lasts, the Inbox may not be read."""

    def deafen(self) -> None:
        """From now on nobody can listen."""


class SandboxBed:
    """EWS against the sandbox, over real sockets; the account impersonates."""

    def __init__(self, sandbox: Sandbox, transport: EwsTransport) -> None:
        self.exchange = sandbox.exchange
        self.transport: IncomingTransport = transport
        self._items: dict[str, Item] = {}

    def mailbox(self) -> IncomingMailbox:
        return self.transport.incoming(ANNA)

    def deliver(self, subject: str, *, damage: Damage = "", file: bytes = b"", inner: str = "") -> None:
        kind = {"": "", "body": "+corruptbody", "all": "+corrupt"}[damage]
        source = _mime(subject, SENDER.replace("@", f"{kind}@"), file)
        if inner:
            source.add_attachment(_mime(inner, SENDER, b"inner file"))
        self._items[subject] = self.exchange.arrive(ANNA.address, source.as_bytes())

    def move_out(self, subject: str) -> None:
        self.exchange.store.move(self._items[subject], self.exchange.mailbox(ANNA.address).folders["drafts"])

    def move_back(self, subject: str) -> None:
        self.exchange.store.move(self._items[subject], self.exchange.mailbox(ANNA.address).folders["inbox"])

    def place(self, subject: str) -> str:
        folder = self._items[subject].folder
        assert folder is not None
        return "" if folder is self.exchange.mailbox(ANNA.address).folders["inbox"] else folder.display_name

    def is_read(self, subject: str) -> bool:
        return self._items[subject].is_read

    def touch(self, subject: str) -> None:
        self._items[subject].is_read = True
        self.exchange.store.touch(self._items[subject], read_flag_only=True)

    def forget_states(self) -> None:
        self.exchange.forget_sync_states(ANNA.address)

    @contextmanager
    def losing(self, what: Literal["request", "answer"]) -> Iterator[None]:
        with self._ordered("cut" if what == "request" else "lost"):
            yield

    @contextmanager
    def busy(self) -> Iterator[None]:
        with self._ordered("busy"):
            yield

    @contextmanager
    def denied(self) -> Iterator[None]:
        with self._ordered("denied"):
            yield

    def deafen(self) -> None:
        self.exchange.options.notifications = "refused"

    @contextmanager
    def _ordered(self, kind: str) -> Iterator[None]:
        orders = self.exchange.faults.orders
        orders += [Order(kind, operation=operation) for operation in OPERATIONS]
        yield
        orders.clear()


class SimulatedBed:
    """The mailboxes of the simulation."""

    def __init__(self) -> None:
        self._faults = InboxFaults(latency_seconds=0.002)
        self._inboxes = Inboxes(1, self._faults)
        self.transport: IncomingTransport = self._inboxes
        self._inbox = self._inboxes.inbox(ANNA.address)
        self._items: dict[str, SimulatedItem] = {}

    def mailbox(self) -> IncomingMailbox:
        return self.transport.incoming(ANNA)

    def deliver(self, subject: str, *, damage: Damage = "", file: bytes = b"", inner: str = "") -> None:
        number = len(self._items)
        files = _files(f"file-{number}", file)
        embedded = {}
        if inner:
            files = (*files, File(f"inner-{number}", inner, "message/rfc822", item=True, content=b"Subject: "))
            embedded[f"inner-{number}"] = _mail(inner, _files(f"inner-file-{number}", b"inner file"))
        self._items[subject] = self._inboxes.deliver(
            ANNA.address,
            _mail(subject, files),
            damage=damage,
            source=_mime(subject, SENDER, file).as_bytes(),
            embedded=embedded,
        )

    def move_out(self, subject: str) -> None:
        self._inboxes.move_out(ANNA.address, self._items[subject])

    def move_back(self, subject: str) -> None:
        self._inboxes.move_back(ANNA.address, self._items[subject])

    def place(self, subject: str) -> str:
        return self._items[subject].place

    def is_read(self, subject: str) -> bool:
        return self._items[subject].read

    def touch(self, subject: str) -> None:
        self._items[subject].read = True

    def forget_states(self) -> None:
        self._inboxes.lose_state(ANNA.address)

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

    @contextmanager
    def denied(self) -> Iterator[None]:
        self._inbox.denied = True
        yield
        self._inbox.denied = False

    def deafen(self) -> None:
        self._inbox.deaf = True


def _mail(subject: str, files: tuple[File, ...]) -> IncomingMail:
    """What `_mime` says, as a server shows it."""
    return IncomingMail(
        id="",
        received_at=None,
        item_class="IPM.Note",
        message_id=f"<{subject}@customer.example>",
        from_=Address(SENDER, "X Ä"),
        to=(Address(ANNA.address),),
        subject=subject,
        text="Good morning\n",
        headers=(("Subject", subject), ("X-Campaign", "autumn")),
        files=files,
    )


def _files(file_id: str, content: bytes) -> tuple[File, ...]:
    return (File(file_id, "a.bin", "application/zip", len(content), content=content),) if content else ()


def _mime(subject: str, sender: str, file: bytes) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = f'"X Ä" <{sender}>', ANNA.address, subject
    mail["Message-ID"], mail["X-Campaign"] = f"<{subject}@customer.example>", "autumn"
    mail.set_content("Good morning\n")
    if file:
        mail.add_attachment(file, maintype="application", subtype="zip", filename="a.bin")
    return mail


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
