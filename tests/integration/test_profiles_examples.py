"""The profiles in the administrators' page, as they stand there but for the server's address: a mail goes out by each,
and the mailboxes that are to be read are.
"""

import re
import ssl
import tomllib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import trustme

from tests.unit.docs import examples
from worker.access import endpoint
from worker.cli.access import Access, check_access, subjects
from worker.clock import SystemClock
from worker.ews.check import EwsChecks
from worker.ews.endpoint import Endpoint
from worker.mail.transport import WorkingMailbox
from worker.profiles.book import Book
from worker.profiles.loader import parse
from worker.sandbox.application import Application
from worker.sandbox.directory import ALL, Directory, User
from worker.sandbox.exchange import Exchange
from worker.sandbox.server import Sandbox
from worker.settings import Settings

EXAMPLES = dict(examples("docs/exchange-administrators.md", "profiles"))
APPLICATION = Application("contoso.example", "8d1a4c9e-0c1d-4a55-9a51-27c4a4e0f3b1", "secret")
GUIDE = {"OutgoingExchangeOnline", "IncomingExchangeOnline", "AdministratorDelegateAccess", "AdministratorSendAs"}


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    accounts = Directory(("contoso.example",), "secret")
    mailrouter = accounts.add(User("mailrouter@contoso.example", "secret"))
    mailrouter.impersonates = mailrouter.full_access = mailrouter.send_as = {ALL}
    accounts.add(User("delegate@contoso.example", "secret", send_as={ALL}))
    accounts.add(User("behalf@contoso.example", "secret", send_on_behalf={ALL}))
    accounts.register(APPLICATION)
    async with Sandbox(Exchange(accounts), tls=tls) as started:
        yield started


def test_those_of_the_email_routers_guide_are_there() -> None:
    assert set(re.findall(r'name += "(\w+)"', "".join(EXAMPLES.values()))) >= {*GUIDE, "PerUser"}


@pytest.mark.parametrize("name", EXAMPLES)
async def test_a_mail_goes_out_and_comes_in(
    name: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = EXAMPLES[name]
    for variable in re.findall(r'"env:(\w+)"', text):
        monkeypatch.setenv(variable, "secret")
    data = tomllib.loads(text)
    for profile in data["profile"]:
        profile |= {"location": sandbox.url, "ca_file": str(tmp_path / "ca.pem")}
        profile.pop("autodiscover", None)
        if "client_id" in profile:
            profile["authority"] = sandbox.authority
    directory, settings, clock = parse(data, name), Settings(), SystemClock()
    book = Book(directory, "")

    def route(mailbox: WorkingMailbox) -> Endpoint:
        reached = endpoint(book, mailbox, settings)
        assert reached is not None
        return reached

    checks = EwsChecks(route, clock, timedelta(days=7))
    found: list[Access] = []
    addresses = [each.address.replace("*", "anna") for each in directory.mailboxes.values()]
    try:
        chosen = subjects(directory, addresses, ("outgoing", "incoming"))
        await check_access(directory, checks, chosen, send=True, done=found.append)
    finally:
        await checks.close()
    failed = [step for each in found for step in each.steps if step.failed]
    assert failed == []
    assert len(sandbox.sent) == sum(each.subject.direction == "outgoing" for each in found)
