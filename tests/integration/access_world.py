"""A sandbox Exchange over real TLS, profiles for it, and Test Access of one mailbox: what the walk through the faults
breaks and mends.
"""

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import trustme
from cryptography import x509

from tests.unit.ews.autodiscover.hosts import Names
from worker.access import endpoint
from worker.cli.access import Access, check_access, subjects
from worker.clock import SystemClock
from worker.ews.autodiscover.answers import Failure
from worker.ews.autodiscover.lookup import Lookup
from worker.ews.autodiscover.steps import Result
from worker.ews.check import EwsChecks
from worker.mail.transport import WorkingMailbox
from worker.profiles.book import Book
from worker.profiles.directory import Directory
from worker.profiles.loader import load
from worker.sandbox.application import Application
from worker.sandbox.directory import Directory as Accounts
from worker.sandbox.directory import User
from worker.sandbox.exchange import Exchange
from worker.sandbox.server import Sandbox
from worker.settings import Settings

ANNA, ROUTER, DESK = "anna@contoso.example", "router@contoso.example", "desk@contoso.example"
APPLICATION: Final = "8d1a4c9e-0c1d-4a55-9a51-27c4a4e0f3b1"
TENANT: Final = "contoso.example"
PASSWORD: Final = "a password"
_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)


class World:
    """`profile` and `mailbox` are the keys of the two tables that lead to Anna's mailbox, None for one left out; what
    is changed there counts from the next check on.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = trustme.CA()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certify()
        accounts = Accounts()
        self.anna, self.router, self.desk = (accounts.add(User(each, PASSWORD)) for each in (ANNA, ROUTER, DESK))
        self.router.impersonates = {ANNA}
        self.application = accounts.register(Application(TENANT, APPLICATION, PASSWORD))
        self.sandbox = Sandbox(Exchange(accounts), tls=self.tls)
        self.profile: dict[str, Any] = {}
        self.mailbox: dict[str, Any] = {}

    async def start(self) -> None:
        await self.sandbox.start()
        (self.directory / "ca.pem").write_bytes(self.authority.cert_pem.bytes())
        self.password(PASSWORD)
        self.mailbox = {"address": ANNA}
        self.profile = {
            "name": "P",
            "server": "exchange",
            "location": self.sandbox.url,
            "ca_file": str(self.directory / "ca.pem"),
            "username": ROUTER,
            "password": f"file:{self.directory / 'password'}",
        }

    def certify(self, days: float = 365) -> None:
        """The server has a certificate from now on that is good for so many days."""
        until = datetime.now(UTC) + timedelta(days=days)
        names = ("127.0.0.1", "autodiscover.contoso.example")
        self.authority.issue_cert(*names, not_before=_LONG_AGO, not_after=until).configure_cert(self.tls)

    def application_certificate(self, days: float) -> Path:
        """Of a certificate that is good for so many days, key and all; the application is registered with it."""
        until = datetime.now(UTC) + timedelta(days=days)
        made = self.authority.issue_cert(
            "mailrouter.contoso.example", not_before=_LONG_AGO, not_after=until, key_type=trustme.KeyType.RSA
        )
        path = self.directory / "application.pem"
        path.write_bytes(made.private_key_and_cert_chain_pem.bytes())
        self.application.certificate = x509.load_pem_x509_certificate(made.cert_chain_pems[0].bytes())
        return path

    def password(self, text: str) -> None:
        """What stands in the file that the profile refers to."""
        (self.directory / "password").write_text(text)

    def use(self, **keys: object) -> None:
        """Keys of the profile from now on."""
        self.profile.update(keys)

    @property
    def file(self) -> Path:
        """The profiles file, as it would be written now."""
        direction = self.profile.get("direction", "outgoing")
        profile = {"direction": direction, **self.profile}
        mailbox = {direction: profile["name"], **self.mailbox}
        path = self.directory / "profiles.toml"
        path.write_text(f"[[profile]]\n{_toml(profile)}\n[[mailbox]]\n{_toml(mailbox)}")
        return path

    async def check(self, directory: Directory | None = None, *, send: bool = False, direction: str = "") -> Access:
        """Test Access of Anna's mailbox, as the command does it."""
        directory = directory or load(self.file)
        book, settings = Book(directory, ""), Settings(ews_timeout_seconds=10)

        def route(mailbox: WorkingMailbox) -> Any:
            return endpoint(book, mailbox, settings)

        port = self.sandbox.port
        here = dict.fromkeys((("localhost", port), ("autodiscover.contoso.example", 443)), ("127.0.0.1", port))
        clock, names = SystemClock(), Names(here)
        lookup = Lookup(clock, resolver=names, services=_no_record)
        checks = EwsChecks(route, clock, timedelta(days=7), resolver=names, lookup=lookup)
        found: list[Access] = []
        chosen = subjects(directory, [ANNA], [direction or self.profile.get("direction", "outgoing")])
        try:
            await check_access(directory, checks, chosen, send=send, done=found.append)
        finally:
            await checks.close()
        (access,) = found
        return access

    def left_behind(self) -> list[str]:
        """What lies in the mailboxes that a check uses: drafts, and notes on the Inbox."""
        found: list[str] = []
        for mailbox in self.sandbox.exchange.store.mailboxes.values():
            found += [f"draft of {mailbox.address}: {each.stamp}" for each in mailbox.folders["drafts"].items.values()]
            found += [f"note of {mailbox.address}: {each}" for each in mailbox.folders["inbox"].configurations]
        return found


def _toml(table: dict[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items() if value is not None)


async def _no_record(name: str) -> Failure:
    return Failure(Result.NOTHING, "there is no such record")
