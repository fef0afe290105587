"""A client nobody here wrote: exchangelib signs in to the sandbox and does a person's everyday work with mail."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import requests.adapters
import trustme
from exchangelib import (
    IMPERSONATION,
    OAUTH2,
    Account,
    Configuration,
    FileAttachment,
    HTMLBody,
    Identity,
    Mailbox,
    Message,
    OAuth2Credentials,
    close_connections,
)
from exchangelib.errors import ErrorImpersonateUserDenied, ErrorSendAsDenied, UnauthorizedError
from exchangelib.protocol import BaseProtocol

from tests.exchangelib_account import account_of
from worker.sandbox import users
from worker.sandbox.exchange import Exchange
from worker.sandbox.server import Sandbox

pytestmark = pytest.mark.usefixtures("exchangelib_closed")

ANNA, BERT = "anna@contoso.example", "bert@contoso.example"


async def test_send_with_attachment_in_one_step(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url)
        mail = Message(
            account=account,
            folder=account.sent,
            subject="Offer",
            body=HTMLBody("<p>Here</p>"),
            to_recipients=[Mailbox(email_address="x@customer.example", name="X")],
            bcc_recipients=[BERT],
            importance="High",
        )
        mail.attach(FileAttachment(name="a.pdf", content=b"%PDF-1.7", content_type="application/pdf"))
        mail.send_and_save()
        found = account.sent.get(subject="Offer")
        assert found.attachments[0].content == b"%PDF-1.7"
        assert (found.importance, found.is_draft, str(found.body)) == ("High", False, "<p>Here</p>")
        assert found.to_recipients[0].email_address == "x@customer.example"
        assert b"Subject: Offer" in found.mime_content

    await asyncio.to_thread(work)
    (left,) = sandbox.sent
    assert (left.sent_from, left.to, left.bcc, left.attachments) == (ANNA, ("x@customer.example",), (BERT,), ("a.pdf",))


async def test_save_a_draft_change_it_send_it_read_it_back(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url)
        draft = Message(account=account, folder=account.drafts, subject="First", body="Text", to_recipients=[BERT])
        draft.attach(FileAttachment(name="a.txt", content=b"a"))
        draft.save()
        draft.attach(FileAttachment(name="b.txt", content=b"b"))
        draft.attachments[0].detach()
        draft.subject = "Second"
        draft.save(update_fields=["subject"])
        assert [each.subject for each in account.drafts.all()] == ["Second"]
        draft.send()
        assert account.drafts.all().count() == 0
        (copy,) = account.sent.filter(subject__contains="eco").order_by("-datetime_sent")
        assert [each.name for each in copy.attachments] == ["b.txt"]
        other = account_of(sandbox.url, BERT, BERT)
        (received,) = other.inbox.filter(is_read=False)
        assert (received.sender.email_address, received.subject) == (ANNA, "Second")
        received.delete()
        assert other.inbox.all().count() == 0

    await asyncio.to_thread(work)
    assert [each.attachments for each in sandbox.sent] == [("b.txt",)]


async def test_impersonation_and_its_refusal(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url, ANNA, "router@contoso.example", "sandbox-router", access_type=IMPERSONATION)
        Message(account=account, subject="As Anna", body="", to_recipients=["x@customer.example"]).send()
        refused = account_of(sandbox.url, ANNA, BERT, access_type=IMPERSONATION)
        with pytest.raises(ErrorImpersonateUserDenied):
            Message(account=refused, subject="No", body="", to_recipients=["x@customer.example"]).send()

    await asyncio.to_thread(work)
    assert [(each.subject, each.sent_from) for each in sandbox.sent] == [("As Anna", ANNA)]


async def test_a_token_and_impersonation(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # loopback
    (application,) = sandbox.exchange.directory.applications.values()

    class Ours(OAuth2Credentials):  # type: ignore[misc]
        token_url = f"{sandbox.authority}/contoso.example/oauth2/v2.0/token"

    def work() -> None:
        credentials = Ours(
            application.client_id, application.client_secret, "contoso.example", Identity(smtp_address=ANNA)
        )
        configuration = Configuration(
            service_endpoint=sandbox.url, credentials=credentials, auth_type=OAUTH2, max_connections=1
        )
        account = Account(ANNA, config=configuration, autodiscover=False, access_type=IMPERSONATION)
        Message(account=account, subject="By token", body="", to_recipients=["x@customer.example"]).send()

    await asyncio.to_thread(work)
    assert [(each.subject, each.sent_from) for each in sandbox.sent] == [("By token", ANNA)]


async def test_wrong_password_and_wrong_sender(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url, password="wrong")
        with pytest.raises(UnauthorizedError):
            account.inbox.all().count()
        account = account_of(sandbox.url)
        forged = Message(account=account, subject="No", body="", author=BERT, to_recipients=["x@customer.example"])
        with pytest.raises(ErrorSendAsDenied):
            forged.send()

    await asyncio.to_thread(work)
    assert not sandbox.sent


async def test_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    class Trusting(requests.adapters.HTTPAdapter):
        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
            super().cert_verify(conn, url, str(tmp_path / "ca.pem"), cert)  # type: ignore[no-untyped-call,unused-ignore]

    monkeypatch.setattr(BaseProtocol, "HTTP_ADAPTER_CLS", Trusting)

    def work(url: str) -> None:
        account = account_of(url)
        Message(account=account, subject="Safe", body="", to_recipients=["x@customer.example"]).send()
        close_connections()  # before the server goes: it would wait for the end of TLS

    async with Sandbox(Exchange(users.invented("contoso.example", None)), tls=context) as sandbox:
        assert sandbox.url.startswith("https://")
        await asyncio.to_thread(work, sandbox.url)
        assert [each.subject for each in sandbox.sent] == ["Safe"]
