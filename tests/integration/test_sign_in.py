"""Signing in for real: against the sandbox's token endpoint and NTLM acceptor, over TLS of a private CA."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.unit.outbound.build import entry
from worker.clock import SystemClock
from worker.ews.client import EwsTransport
from worker.ews.endpoint import Account, Endpoint, NtlmSignIn, OAuthSignIn
from worker.mail.message import Message
from worker.mail.outcome import Deferred
from worker.mail.transport import Drafted, DraftOutcome, WorkingMailbox
from worker.sandbox import users
from worker.sandbox.exchange import Exchange
from worker.sandbox.options import Options
from worker.sandbox.server import Sandbox
from worker.settings import SecretReference

ANNA = WorkingMailbox("P", "anna@contoso.example")
CA = trustme.CA()
SCOPE = "https://outlook.office365.com/.default"


class Moved(SystemClock):
    """Time as it is, and what a test adds to it."""

    added = timedelta()

    def now(self) -> datetime:
        return super().now() + self.added

    def monotonic(self) -> float:
        return super().monotonic() + self.added.total_seconds()


def message(number: int = 1) -> Message:
    return entry(f"event-{number}").message


class Scene:
    """A sandbox over TLS, a secret in a file, and a transport that signs in by it. They go by one clock."""

    def __init__(self, sandbox: Sandbox, directory: Path, account: Account, *, impersonate: bool) -> None:
        self.sandbox = sandbox
        self.directory = directory
        self.options = sandbox.exchange.options
        endpoint = Endpoint("P", sandbox.url, account, impersonate=impersonate, ca_file=str(directory / "ca.pem"))
        self.clock = sandbox.exchange.clock
        self.transport = EwsTransport(lambda _: endpoint, lambda *_: None, self.clock)
        self.mailbox = self.transport.outgoing(ANNA)

    async def draft(self, number: int = 1) -> DraftOutcome:
        (outcome,) = await self.mailbox.draft([message(number)])
        return outcome

    def later(self, **time: float) -> None:
        assert isinstance(self.clock, Moved)
        self.clock.added += timedelta(**time)

    async def renewed(self) -> None:
        """What is asked for beside the work has come."""
        (exchange,) = self.transport._exchanges.values()
        assert exchange.tokens is not None
        assert exchange.tokens._renewal is not None
        await exchange.tokens._renewal

    async def refused(self) -> str:
        outcome = await self.draft()
        assert isinstance(outcome, Deferred), outcome
        assert outcome.reason.remedy
        return outcome.reason.code


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    CA.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("127.0.0.1").configure_cert(tls)

    @asynccontextmanager
    async def starting(make: Callable[[Sandbox, Path], Account], *, impersonate: bool, **options: Any):  # type: ignore[no-untyped-def]  # noqa: ANN202
        exchange = Exchange(users.invented("contoso.example", None), Options(**options), clock=Moved())
        async with Sandbox(exchange, tls=tls) as sandbox:
            scene = Scene(sandbox, tmp_path, make(sandbox, tmp_path), impersonate=impersonate)
            try:
                yield scene
            finally:
                await scene.transport.close()

    return starting


def by_secret(sandbox: Sandbox, directory: Path, **other: Any) -> OAuthSignIn:
    application = next(iter(sandbox.exchange.directory.applications.values()))
    secret = directory / "secret"
    secret.write_text(application.client_secret)
    right = OAuthSignIn(sandbox.authority, application.tenant, application.client_id, SCOPE)
    return replace(right, client_secret=SecretReference(f"file:{secret}"), **other)


def certificate(days: int) -> tuple[x509.Certificate, bytes]:
    key, now = rsa.generate_private_key(65537, 2048), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "router")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(30), now + timedelta(days))
    made = builder.sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(serialization.Encoding.PEM)
    return made, pem


def by_certificate(days: int) -> Callable[[Sandbox, Path], OAuthSignIn]:
    def make(sandbox: Sandbox, directory: Path) -> OAuthSignIn:
        application = next(iter(sandbox.exchange.directory.applications.values()))
        application.certificate, pem = certificate(days)
        (directory / "certificate.pem").write_bytes(pem)
        reference = SecretReference(f"file:{directory / 'certificate.pem'}")
        return OAuthSignIn(sandbox.authority, application.tenant, application.client_id, SCOPE, certificate=reference)

    return make


async def test_an_application_signs_in_by_its_secret(start: Start) -> None:
    async with start(by_secret, impersonate=True) as scene:
        assert await scene.draft(1) == Drafted()
        assert await scene.draft(2) == Drafted()


async def test_an_application_signs_in_by_its_certificate(start: Start) -> None:
    async with start(by_certificate(30), impersonate=True) as scene:
        assert await scene.draft() == Drafted()


async def test_when_a_profiles_token_and_certificate_end_is_told_while_it_is_in_use(start: Start) -> None:
    async with start(by_certificate(30), impersonate=True) as scene:
        assert (scene.transport.tokens_end(), scene.transport.certificates_end()) == ({}, {})
        await scene.draft()
        now = scene.clock.now()
        assert timedelta(0) < scene.transport.tokens_end()["P"] - now <= timedelta(hours=1, minutes=30)
        assert timedelta(days=29) < scene.transport.certificates_end()["P"] - now <= timedelta(days=30)
        scene.transport.renew()
        assert (scene.transport.tokens_end(), scene.transport.certificates_end()) == ({}, {})


async def test_a_certificate_that_has_expired_is_not_even_tried(start: Start) -> None:
    async with start(by_certificate(-1), impersonate=True) as scene:
        assert await scene.refused() == "token-certificate"


async def test_a_token_that_exchange_takes_for_expired_is_replaced_at_once(start: Start) -> None:
    async with start(by_secret, impersonate=True) as scene:
        assert await scene.draft(1) == Drafted()
        scene.sandbox.exchange.tokens.forget()
        assert await scene.draft(2) == Drafted()


async def test_tokens_are_renewed_ahead_of_time(start: Start) -> None:
    async with start(by_secret, impersonate=True) as scene:
        for number, minutes in enumerate((0, 54, 2, 54, 2)):
            scene.later(minutes=minutes)
            assert await scene.draft(number) == Drafted()
            await scene.renewed()
        assert scene.sandbox.exchange.requests["token"] == 3


async def test_a_token_that_has_run_out_is_replaced_before_it_is_used(start: Start) -> None:
    async with start(by_secret, impersonate=True) as scene:
        assert await scene.draft(1) == Drafted()
        scene.later(hours=2)
        assert await scene.draft(2) == Drafted()
        assert "401" not in scene.sandbox.exchange.requests


async def test_a_sign_in_service_that_is_away_stops_nobody_who_has_a_token(start: Start) -> None:
    async with start(by_secret, impersonate=True) as scene:
        assert await scene.draft(1) == Drafted()
        scene.options.tokens_given = False
        scene.later(minutes=58)
        assert await scene.draft(2) == Drafted()
        await scene.renewed()
        scene.later(minutes=2)
        assert await scene.refused() == "token-unavailable"
        scene.options.tokens_given = True
        scene.later(seconds=1)
        assert await scene.draft(3) == Drafted()


async def test_a_changed_secret_is_read_anew(start: Start) -> None:
    async with start(by_secret, impersonate=True) as scene:
        secret = scene.directory / "secret"
        right = secret.read_text()
        secret.write_text("wrong")
        assert await scene.refused() == "token-wrong-secret"
        secret.write_text(right)
        scene.later(seconds=1)
        assert await scene.draft() == Drafted()


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"tenant_id": "fabrikam.example"}, "token-wrong-tenant"),
        ({"client_id": "00000000-0000-4000-8000-00000000dead"}, "token-unknown-application"),
        ({"scope": "https://nowhere.example/.default"}, "token-wrong-scope"),
        ({"scope": "https://graph.microsoft.com/.default"}, "http-401-invalid-resource"),
    ],
)
async def test_what_is_wrong_with_the_application_is_told(start: Start, other: dict[str, str], code: str) -> None:
    def make(sandbox: Sandbox, directory: Path) -> OAuthSignIn:
        return by_secret(sandbox, directory, **other)

    async with start(make, impersonate=True) as scene:
        assert await scene.refused() == code


async def test_a_sign_in_service_that_is_away_is_told(start: Start) -> None:
    async with start(by_secret, impersonate=True, tokens_given=False) as scene:
        assert await scene.refused() == "token-unavailable"


def by_ntlm(_sandbox: Sandbox, directory: Path) -> NtlmSignIn:
    (directory / "password").write_text("sandbox-router")
    return NtlmSignIn("CONTOSO\\router", SecretReference(f"file:{directory / 'password'}"))


@pytest.mark.parametrize("offered", [("ntlm",), ("negotiate",), ("basic", "ntlm", "negotiate")])
async def test_ntlm_is_bound_to_its_channel(start: Start, offered: tuple[str, ...]) -> None:
    async with start(by_ntlm, impersonate=True, extended_protection="require", sign_in=frozenset(offered)) as scene:
        assert await scene.draft(1) == Drafted()
        assert await scene.draft(2) == Drafted()


async def test_several_connections_sign_in_once_each(start: Start) -> None:
    async with start(by_ntlm, impersonate=True, extended_protection="require") as scene:
        mailboxes = [scene.transport.outgoing(WorkingMailbox("P", f"user{n}@contoso.example")) for n in range(30)]
        for _ in range(2):
            outcomes = await asyncio.gather(*(each.draft([message()]) for each in mailboxes))
            assert outcomes == [[Drafted()]] * 30
        # Each connection: one greeting that is refused with a challenge; nothing else is.
        assert scene.sandbox.exchange.requests["401"] <= 20


async def test_a_connection_that_is_lost_is_signed_in_anew(start: Start) -> None:
    async with start(by_ntlm, impersonate=True) as scene:
        assert await scene.draft(1) == Drafted()
        port, exchange = scene.sandbox.port, scene.sandbox.exchange
        await scene.sandbox.stop()
        scene.sandbox.port = port
        await scene.sandbox.start()
        outcomes = [await scene.draft(2), await scene.draft(3)]
        assert outcomes[-1] == Drafted()
        assert len(exchange.mailbox("anna@contoso.example").folders["drafts"].items) >= 2


async def test_a_wrong_ntlm_password_is_told_and_a_changed_one_read(start: Start) -> None:
    async with start(by_ntlm, impersonate=True) as scene:
        (scene.directory / "password").write_text("wrong")
        assert await scene.refused() == "http-401"
        (scene.directory / "password").write_text("sandbox-router")
        assert await scene.draft() == Drafted()


async def test_a_way_that_is_not_offered_is_told(start: Start) -> None:
    async with start(by_ntlm, impersonate=True, sign_in=frozenset({"basic"})) as scene:
        assert await scene.refused() == "http-401-way"
