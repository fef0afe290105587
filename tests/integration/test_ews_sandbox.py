"""The EWS transport and the sandbox, each written without the other: every fault and refusal the sandbox knows."""

import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from tests.contract.beds import unobserved
from worker.clock import SystemClock
from worker.ews.client import EwsTransport
from worker.ews.endpoint import BasicSignIn, Endpoint
from worker.ews.mailbox import EwsMailbox
from worker.mail.address import Address
from worker.mail.message import Attachment, Message
from worker.mail.outcome import Deferred, Delivered, Rejected, Scope, Unknown
from worker.mail.stamp import stamp_of
from worker.mail.transport import Draft, Drafted, Look, WorkingMailbox
from worker.sandbox.exchange import Exchange
from worker.sandbox.faults import Order
from worker.sandbox.server import Sandbox
from worker.sandbox.users import invented
from worker.settings import SecretReference

ANNA = "anna@contoso.example"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
ROUTER = BasicSignIn("router@contoso.example", SecretReference("env:ROUTER_PASSWORD"))


@pytest.fixture(autouse=True)
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_PASSWORD", "sandbox-router")
    monkeypatch.setenv("ANNA_PASSWORD", "sandbox")
    monkeypatch.setenv("WRONG_PASSWORD", "guess")


@pytest.fixture
async def endpoint(sandbox: Sandbox) -> Endpoint:
    return Endpoint("P", sandbox.url, ROUTER, impersonate=True, timeout_seconds=1.0)


@pytest.fixture
async def transport(endpoint: Endpoint) -> AsyncIterator[EwsTransport]:
    transport = EwsTransport(lambda _: endpoint, unobserved, SystemClock())
    yield transport
    await transport.close()


@pytest.fixture
def mailbox(transport: EwsTransport) -> EwsMailbox:
    return transport.outgoing(WorkingMailbox("P", ANNA))


MESSAGE = Message(
    stamp=stamp_of("/crm/contoso", "event-1"),
    message_id="<crm.1@contoso.example>",
    sender=Address(ANNA, "Anna"),
    subject="Your request",
    to=(Address("x@customer.example", "X"),),
    html="<p>Good morning</p>",
)


async def drafted(mailbox: EwsMailbox, message: Message = MESSAGE) -> list[Draft]:
    assert await mailbox.draft([message]) == [Drafted()]
    return await live(mailbox, message)


async def live(mailbox: EwsMailbox, message: Message = MESSAGE) -> list[Draft]:
    look = await mailbox.look({message.stamp: LONG_AGO})
    assert isinstance(look, Look)
    return list(look.of(message.stamp).live)


DRAFTING = {
    # fault: (outcome, code, drafts that are there afterwards)
    "busy": (Deferred, "http-503", 0),
    "busyfault": (Deferred, "ErrorServerBusy", 0),
    "busyanswer": (Deferred, "ErrorServerBusy", 0),
    "batchstop": (Deferred, "ErrorServerBusy", 0),
    "fault200": (Unknown, "ErrorInternalServerTransientError", 0),
    "slow": (Unknown, "no-answer-timeout", 0),
    "cut": (Unknown, "no-answer-cut", 0),
    "lost": (Unknown, "no-answer-cut", 1),
    "half": (Unknown, "no-answer-cut", 1),
    "nonsense": (Unknown, "answer-unreadable", 1),
    "html200": (Unknown, "answer-unreadable", 0),
    "html502": (Unknown, "http-502", 0),
    "unauthorized": (Deferred, "http-401", 0),
    "forbidden": (Deferred, "http-403", 0),
    "quota": (Deferred, "ErrorQuotaExceeded", 0),
    "gone": (Deferred, "ErrorNonExistentMailbox", 0),
    "moving": (Deferred, "ErrorMailboxMoveInProgress", 0),
}


@pytest.mark.parametrize("kind", DRAFTING)
async def test_what_comes_of_a_draft(sandbox: Sandbox, mailbox: EwsMailbox, kind: str) -> None:
    expected, code, there = DRAFTING[kind]
    sandbox.exchange.faults.orders.append(Order(kind, operation="CreateItem", times=1))

    (outcome,) = await mailbox.draft([MESSAGE])

    assert isinstance(outcome, expected)
    assert isinstance(outcome, Deferred | Unknown)
    assert outcome.reason.code == code
    assert outcome.reason.remedy
    assert outcome.reason.request_id
    assert len(await live(mailbox)) == there
    assert sandbox.exchange.requests["CreateItem"] <= 1


SENDING = {
    # fault: (outcome, code, mails that left)
    "busy": (Deferred, "http-503", 0),
    "busyfault": (Deferred, "ErrorServerBusy", 0),
    "busyanswer": (Deferred, "ErrorServerBusy", 0),
    "batchstop": (Deferred, "ErrorServerBusy", 0),
    "fault200": (Unknown, "ErrorInternalServerTransientError", 0),
    "cut": (Unknown, "no-answer-cut", 0),
    "lost": (Unknown, "no-answer-cut", 1),
    "half": (Unknown, "no-answer-cut", 1),
    "nonsense": (Unknown, "answer-unreadable", 1),
    "html200": (Unknown, "answer-unreadable", 0),
    "html502": (Unknown, "http-502", 0),
    "unauthorized": (Deferred, "http-401", 0),
    "forbidden": (Deferred, "http-403", 0),
    "internal": (Unknown, "ErrorInternalServerError", 0),
    "timeout": (Unknown, "ErrorTimeoutExpired", 1),
    "stale": (Unknown, "ErrorStaleObject", 0),
    "sendasdenied": (Deferred, "ErrorSendAsDenied", 0),
    "toolarge": (Rejected, "ErrorMessageSizeExceeded", 0),
    "badrecipients": (Rejected, "ErrorInvalidRecipients", 0),
    "toomany": (Rejected, "ErrorExceededMaxRecipientLimit", 0),
}


@pytest.mark.parametrize("kind", SENDING)
async def test_what_comes_of_a_send(sandbox: Sandbox, mailbox: EwsMailbox, kind: str) -> None:
    expected, code, left = SENDING[kind]
    drafts = await drafted(mailbox)
    sandbox.exchange.faults.orders.append(Order(kind, operation="SendItem", times=1))

    (outcome,) = await mailbox.send(drafts)

    assert isinstance(outcome, expected)
    assert isinstance(outcome, Deferred | Rejected | Unknown)
    assert outcome.reason.code == code
    assert outcome.reason.remedy
    assert len(sandbox.sent) == left
    assert len(await live(mailbox)) == 1 - left
    assert sandbox.exchange.requests["SendItem"] <= 1


@pytest.mark.parametrize(
    "kind", ["busy", "busyfault", "cut", "lost", "half", "nonsense", "html200", "html502", "unauthorized", "fault200"]
)
async def test_a_look_that_fails_is_deferred_and_the_next_one_sees(
    sandbox: Sandbox, mailbox: EwsMailbox, kind: str
) -> None:
    await mailbox.draft([MESSAGE])
    sandbox.exchange.faults.orders.append(Order(kind, operation="FindItem", times=1))

    outcome = await mailbox.look({MESSAGE.stamp: LONG_AGO})

    assert isinstance(outcome, Deferred)
    assert outcome.reason.scope.beyond_message
    assert len(await live(mailbox)) == 1


async def test_in_a_batch_each_item_stands_for_itself(sandbox: Sandbox, mailbox: EwsMailbox) -> None:
    denied = replace(MESSAGE, stamp=stamp_of("/crm", "2"), to=(Address("y+sendasdenied@customer.example"),))
    stopped = replace(MESSAGE, stamp=stamp_of("/crm", "3"), to=(Address("y+batchstop-send@customer.example"),))
    after = replace(MESSAGE, stamp=stamp_of("/crm", "4"))
    messages = [MESSAGE, denied, stopped, after]
    assert await mailbox.draft(messages) == [Drafted()] * 4
    look = await mailbox.look({message.stamp: LONG_AGO for message in messages})
    assert isinstance(look, Look)

    outcomes = await mailbox.send([look.of(message.stamp).live[0] for message in messages])

    assert [type(outcome) for outcome in outcomes] == [Delivered, Deferred, Deferred, Unknown]
    assert [mail.stamp for mail in sandbox.sent] == [MESSAGE.stamp]


async def test_the_server_names_the_time_to_wait(sandbox: Sandbox, mailbox: EwsMailbox) -> None:
    sandbox.exchange.options.back_off_milliseconds = 4500
    sandbox.exchange.faults.orders.append(Order("busyanswer", operation="CreateItem", times=1))

    (outcome,) = await mailbox.draft([MESSAGE])

    assert isinstance(outcome, Deferred)
    assert outcome.retry_after_seconds == 4.5


async def test_a_mail_arrives_as_it_was_ordered(sandbox: Sandbox, mailbox: EwsMailbox) -> None:
    files = (
        Attachment("a.pdf", "application/pdf", b64encode(b"PDF" * 1000)),
        Attachment("logo.png", "image/png", b64encode(b"PNG"), content_id="logo", inline=True),
        Attachment("large.bin", "application/octet-stream", b64encode(bytes(range(256)) * 8000)),
    )
    message = replace(
        MESSAGE,
        subject="Überraschung \x0b\ud800 & <mehr>",
        cc=(Address("cc@customer.example"),),
        bcc=(Address("bcc@customer.example"),),
        headers=(("X-Campaign", "autumn"),),
        importance="high",
        attachments=files,
    )

    outcomes = await mailbox.send(await drafted(mailbox, message))

    assert [type(outcome) for outcome in outcomes] == [Delivered]
    (mail,) = sandbox.sent
    assert mail.subject == "Überraschung  \ufffd & <mehr>"
    assert (mail.mailbox, mail.sent_from, mail.sender) == (ANNA, ANNA, ANNA)
    assert (mail.to, mail.cc, mail.bcc) == (
        ("x@customer.example",),
        ("cc@customer.example",),
        ("bcc@customer.example",),
    )
    assert mail.attachments == ("a.pdf", "logo.png", "large.bin")
    headers = {name.casefold(): value for name, value in mail.headers}  # the sandbox, like Exchange, keeps no case
    assert (headers["x-campaign"], headers["x-crm-mail-router"]) == ("autumn", "crm.1")
    assert mail.message_id == message.message_id
    (kept,) = sandbox.exchange.store.mailbox(ANNA).folders["sentitems"].items.values()
    assert [one.content for one in kept.attachments] == [b"PDF" * 1000, b"PNG", bytes(range(256)) * 8000]


async def test_a_server_that_names_mails_itself_is_taken_at_its_word(sandbox: Sandbox, mailbox: EwsMailbox) -> None:
    sandbox.exchange.options.message_id = "refuse"

    (first,) = await mailbox.draft([MESSAGE])
    drafts = await drafted(mailbox)
    (outcome,) = await mailbox.send(drafts)

    assert isinstance(first, Unknown)
    assert outcome == Delivered("")
    look = await mailbox.look({MESSAGE.stamp: LONG_AGO})
    assert isinstance(look, Look)
    assert look.of(MESSAGE.stamp).left_as == sandbox.sent[0].message_id


async def test_a_server_that_renames_mails_on_sending_is_found_out(sandbox: Sandbox, mailbox: EwsMailbox) -> None:
    sandbox.exchange.options.message_id = "overwrite"

    for number in range(2):
        message = replace(MESSAGE, stamp=stamp_of("/crm", f"renamed-{number}"))
        outcomes = await mailbox.send(await drafted(mailbox, message))
        look = await mailbox.look({message.stamp: LONG_AGO})

        assert outcomes == [Delivered("")]
        assert isinstance(look, Look)
        assert look.of(message.stamp).left_as == sandbox.sent[number].message_id != message.message_id


@pytest.mark.parametrize(
    ("sign_in", "impersonate", "own", "outcome"),
    [
        (ROUTER, True, False, Delivered),
        (BasicSignIn(ANNA, SecretReference("env:ANNA_PASSWORD")), False, True, Delivered),
        (replace(ROUTER, password=SecretReference("env:WRONG_PASSWORD")), True, False, Scope.PROFILE),
        (BasicSignIn(ANNA, SecretReference("env:WRONG_PASSWORD")), False, True, Scope.MAILBOX),
        (BasicSignIn("bert@contoso.example", SecretReference("env:ANNA_PASSWORD")), True, False, Scope.MAILBOX),
        (BasicSignIn("bert@contoso.example", SecretReference("env:ANNA_PASSWORD")), False, False, Scope.MAILBOX),
    ],
    ids=["impersonating", "own", "wrong", "own wrong", "not allowed to impersonate", "no access"],
)
async def test_who_may_send(
    endpoint: Endpoint,
    sign_in: BasicSignIn,
    impersonate: bool,  # noqa: FBT001 - a table
    own: bool,  # noqa: FBT001
    outcome: type | Scope,
) -> None:
    changed = replace(endpoint, sign_in=sign_in, impersonate=impersonate, own_credentials=own)
    transport = EwsTransport(lambda _: changed, unobserved, SystemClock())
    mailbox = transport.outgoing(WorkingMailbox("P", ANNA))

    (made,) = await mailbox.draft([MESSAGE])
    if isinstance(outcome, Scope):
        assert isinstance(made, Deferred)
        assert made.reason.scope is outcome
        assert made.reason.remedy
    else:
        assert made == Drafted()
        (sent,) = await mailbox.send(await live(mailbox))
        assert isinstance(sent, outcome)
    await transport.close()


async def test_a_busy_day_in_one_mailbox_costs_as_many_rows_as_mails(sandbox: Sandbox, mailbox: EwsMailbox) -> None:
    for number in range(40):
        message = replace(MESSAGE, stamp=stamp_of("/crm", f"{number}"))
        outcomes = await mailbox.send(await drafted(mailbox, message))
        assert isinstance(outcomes[0], Delivered)

    assert len(sandbox.sent) == 40
    assert sandbox.exchange.requests["FindItem"] < 60


async def test_over_tls_with_a_private_ca(tmp_path: Path, endpoint: Endpoint) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    exchange = Exchange(directory=invented("contoso.example", None))
    async with Sandbox(exchange, tls=context) as sandbox:
        secure = replace(endpoint, url=sandbox.url, ca_file=str(tmp_path / "ca.pem"))
        doubtful = replace(endpoint, url=sandbox.url)
        transport = EwsTransport(
            lambda mailbox: secure if mailbox.profile == "P" else doubtful, unobserved, SystemClock()
        )

        outcomes = await transport.outgoing(WorkingMailbox("P", ANNA)).draft([MESSAGE])
        (refused,) = await transport.outgoing(WorkingMailbox("Q", ANNA)).draft([MESSAGE])

        assert outcomes == [Drafted()]
        assert isinstance(refused, Deferred)
        assert (refused.reason.code, refused.reason.scope) == ("certificate-untrusted", Scope.SERVER)
        await transport.close()
