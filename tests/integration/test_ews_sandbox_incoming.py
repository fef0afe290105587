"""Reading over EWS and the sandbox, each written without the other: what the contract suite does not reach."""

import asyncio
import random
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from tests.contract.beds import unobserved
from worker.clock import SystemClock
from worker.ews.client import EwsTransport
from worker.ews.endpoint import BasicSignIn, Endpoint
from worker.mail.address import Address
from worker.mail.incoming import IncomingMail, SentCopy, Unreadable, Vanished
from worker.mail.message import Message
from worker.mail.outcome import Deferred, Scope
from worker.mail.stamp import stamp_of
from worker.mail.transport import Drafted, Look, WorkingMailbox
from worker.sandbox.faults import Order
from worker.sandbox.server import Sandbox
from worker.settings import SecretReference

EVER = datetime(2000, 1, 1, tzinfo=UTC)
ANNA, BERT = WorkingMailbox("P", "anna@contoso.example"), WorkingMailbox("P", "bert@contoso.example")
ROUTER = BasicSignIn("router@contoso.example", SecretReference("env:ROUTER_PASSWORD"))


@pytest.fixture(autouse=True)
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_PASSWORD", "sandbox-router")
    monkeypatch.setenv("ANNA_PASSWORD", "sandbox")


@pytest.fixture
async def endpoint(sandbox: Sandbox) -> Endpoint:
    return Endpoint("P", sandbox.url, ROUTER, impersonate=True, timeout_seconds=5.0)


@pytest.fixture
async def transport(endpoint: Endpoint) -> AsyncIterator[EwsTransport]:
    transport = EwsTransport(lambda _: endpoint, unobserved, SystemClock())
    yield transport
    await transport.close()


def a_mail(subject: str = "Hello", **headers: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "x@customer.example", ANNA.address, subject
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content("Good morning")
    return mail


async def only_mail(transport: EwsTransport) -> IncomingMail:
    mailbox = transport.incoming(ANNA)
    (arrival,) = (await mailbox.newest(EVER)) or ()  # type: ignore[misc]
    (mail,) = await mailbox.fetch([arrival.id])
    assert isinstance(mail, IncomingMail)
    return mail


async def test_a_large_file_costs_none_of_its_size_in_memory(sandbox: Sandbox, transport: EwsTransport) -> None:
    size, mail, read = 24 * 2**20, a_mail(), 0
    mail.add_attachment(random.Random(1).randbytes(size), maintype="application", subtype="zip", filename="a")
    sandbox.exchange.arrive(ANNA.address, mail.as_bytes())
    (file,) = (await only_mail(transport)).files

    async def count(portion: bytes) -> None:
        nonlocal read
        read += len(portion)

    tracemalloc.start()
    try:
        assert await transport.incoming(ANNA).content(file, count) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert read == size
    assert peak < 6 * 2**20  # the sandbox's part of it included


async def test_our_own_mail_is_known_in_its_conversation(sandbox: Sandbox, transport: EwsTransport) -> None:
    message = Message(
        stamp_of("/crm/contoso", "event-1"),
        "<crm.bWFpbA.request.0@contoso.example>",
        Address(ANNA.address, "Anna"),
        "Your request",
        to=(Address("x@customer.example"),),
        text="Good morning",
    )
    outgoing = transport.outgoing(ANNA)
    assert await outgoing.draft([message]) == [Drafted()]
    look = await outgoing.look({message.stamp: sandbox.exchange.clock.now().replace(year=2020)})
    assert isinstance(look, Look)
    await outgoing.send(look.of(message.stamp).live)
    sandbox.exchange.arrive(
        ANNA.address,
        a_mail("Re: Your request", In_Reply_To=message.message_id, References=message.message_id).as_bytes(),
    )

    reply = await only_mail(transport)

    assert reply.in_reply_to == message.message_id
    assert await transport.incoming(ANNA).sent_in(reply.conversation_id) == (
        SentCopy(message.message_id, message.message_id),
    )


async def test_files_that_cannot_be_read_say_so(sandbox: Sandbox, transport: EwsTransport) -> None:
    mail = a_mail()
    mail.add_attachment(b"content", maintype="application", subtype="zip", filename="a")
    sandbox.exchange.arrive(ANNA.address, mail.as_bytes())
    (file,) = (await only_mail(transport)).files
    sandbox.exchange.faults.orders.append(Order("corruptfile", operation="GetAttachment", times=1))

    async def nowhere(portion: bytes) -> None:
        raise AssertionError

    outcome = await transport.incoming(ANNA).content(file, nowhere)

    assert isinstance(outcome, Unreadable)
    assert outcome.reason.code == "ErrorItemCorrupt"


async def test_a_mail_that_vanishes_in_the_very_moment_is_not_there(sandbox: Sandbox, transport: EwsTransport) -> None:
    sandbox.exchange.arrive(ANNA.address, a_mail().as_bytes())
    mail = await only_mail(transport)
    sandbox.exchange.faults.orders.append(Order("vanished", operation="GetItem", times=1))

    assert list(await transport.incoming(ANNA).fetch([mail.id])) == [Vanished()]


@pytest.mark.parametrize("impersonate", [True, False], ids=["not allowed to impersonate", "no access"])
async def test_a_mailbox_without_rights_is_deferred_with_the_command_that_grants_them(
    endpoint: Endpoint,
    impersonate: bool,  # noqa: FBT001 - a table
) -> None:
    bert = BasicSignIn(BERT.address, SecretReference("env:ANNA_PASSWORD"))
    changed = replace(endpoint, sign_in=bert, impersonate=impersonate)
    transport = EwsTransport(lambda _: changed, unobserved, SystemClock())
    mailbox = transport.incoming(ANNA)

    outcomes = [await mailbox.changes("", 10), await mailbox.recall(), await mailbox.newest(EVER)]
    heard = await transport.listen([ANNA], lambda _: None, 1)
    await transport.close()

    for outcome in outcomes:
        assert isinstance(outcome, Deferred)
        assert outcome.reason.scope is Scope.MAILBOX
        assert "Add-MailboxPermission" in outcome.reason.remedy or "ApplicationImpersonation" in outcome.reason.remedy
    assert [mailbox for mailbox, _ in heard.deaf] == [ANNA]


class Ear:
    """What was heard, and a wait until so much was."""

    def __init__(self) -> None:
        self.heard: list[WorkingMailbox] = []
        self._something = asyncio.Event()

    def add(self, mailbox: WorkingMailbox) -> None:
        self.heard.append(mailbox)
        self._something.set()

    async def until(self, number: int) -> None:
        async with asyncio.timeout(10):
            while len(self.heard) < number:
                self._something.clear()
                await self._something.wait()


async def test_a_server_that_forgets_its_subscriptions_is_listened_to_all_the_same(
    sandbox: Sandbox, transport: EwsTransport
) -> None:
    ear = Ear()
    listening = asyncio.create_task(transport.listen([ANNA, BERT], ear.add, 600))
    await ear.until(2)
    sandbox.exchange.subscriptions.drop_all()
    await ear.until(4)

    sandbox.exchange.arrive(BERT.address, a_mail().as_bytes())
    await ear.until(5)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)

    assert ear.heard[4] == BERT


async def test_two_hundred_mailboxes_share_one_connection(sandbox: Sandbox, transport: EwsTransport) -> None:
    everybody = [WorkingMailbox("P", f"user{number}@contoso.example") for number in range(200)]
    ear = Ear()
    listening = asyncio.create_task(transport.listen(everybody, ear.add, 600))
    await ear.until(200)

    for number in (0, 99, 199):
        sandbox.exchange.arrive(everybody[number].address, a_mail().as_bytes())
    await ear.until(203)
    connections = sandbox.exchange.subscriptions.connections
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)

    assert set(ear.heard[200:]) == {everybody[number] for number in (0, 99, 199)}
    assert connections == 1


async def test_when_the_time_is_up_the_subscriptions_are_given_back(sandbox: Sandbox, transport: EwsTransport) -> None:
    heard = await transport.listen([ANNA, BERT], lambda _: None, 1.1)

    assert heard.deaf == ()
    assert len(sandbox.exchange.subscriptions) == 0
