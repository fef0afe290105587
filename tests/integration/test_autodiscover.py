"""Mail through a profile without a location: Autodiscover, EWS and the command, against sandboxes with real TLS."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from tests.contract.beds import unobserved
from worker.cli import group
from worker.clock import SystemClock
from worker.ews.autodiscover.answers import Failure, Servers
from worker.ews.autodiscover.locator import AGAIN_SECONDS
from worker.ews.autodiscover.lookup import Lookup
from worker.ews.autodiscover.steps import Result as StepResult
from worker.ews.client import EwsTransport
from worker.ews.connect_to import ConnectTo, Place
from worker.ews.endpoint import Account, BasicSignIn, Endpoint, NtlmSignIn
from worker.mail.address import Address
from worker.mail.message import Message
from worker.mail.outcome import Deferred, Delivered, Scope
from worker.mail.stamp import stamp_of
from worker.mail.transport import Drafted, Look, WorkingMailbox
from worker.sandbox.exchange import Exchange
from worker.sandbox.faults import Order
from worker.sandbox.server import Sandbox
from worker.sandbox.users import invented
from worker.settings import ConfigurationError, SecretReference

ANNA, BOB = (WorkingMailbox("P", f"{name}@contoso.example") for name in ("anna", "bob"))
AUTODISCOVER, FIRST, SECOND = (f"{name}.contoso.example" for name in ("autodiscover", "mail", "mail2"))
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = SecretReference("env:ROUTER_PASSWORD")
BASIC = BasicSignIn("router@contoso.example", PASSWORD)
NTLM = NtlmSignIn("router@contoso.example", PASSWORD)


def message(mailbox: WorkingMailbox, name: str) -> Message:
    return Message(
        stamp=stamp_of("/crm/contoso", name),
        message_id=f"<crm.{name}@contoso.example>",
        sender=Address(mailbox.address),
        subject=name,
        to=(Address("x@customer.example"),),
        text="Good morning",
    )


class SetClock(SystemClock):
    """Time as it is, and what a test adds to it."""

    added = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.added


async def no_record(name: str) -> Servers | Failure:
    return Failure(StepResult.NOTHING, "there is no such record")


@dataclass
class Contoso:
    """An organisation of two servers, each a sandbox of its own, and a worker's transport to it."""

    servers: dict[str, Sandbox]
    ca_file: Path
    places: dict[Place, Place] = field(default_factory=dict)
    clock: SetClock = field(default_factory=SetClock)

    @property
    def told(self) -> dict[str, str]:
        """What Autodiscover tells, by address."""
        return self.servers[FIRST].exchange.options.autodiscover.ews_urls

    def tells(self, mailbox: WorkingMailbox, host: str) -> None:
        self.told[mailbox.address] = f"https://{host}/EWS/Exchange.asmx"

    def without_mailbox(self) -> WorkingMailbox:
        nobody = self.servers[FIRST].exchange.directory.find("nobody@contoso.example")
        assert nobody is not None
        nobody.state = "gone"
        return WorkingMailbox("P", nobody.address)

    def transport(self, account: Account = BASIC) -> EwsTransport:
        endpoint = Endpoint("P", "", account, impersonate=True, ca_file=str(self.ca_file), timeout_seconds=5)
        resolver = ConnectTo(self.places)
        lookup = Lookup(self.clock, resolver=resolver, services=no_record)
        return EwsTransport(lambda _: endpoint, unobserved, self.clock, resolver=resolver, lookup=lookup)

    def sent_by(self, host: str) -> list[str]:
        return [mail.subject for mail in self.servers[host].sent]


@pytest.fixture
async def contoso(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Contoso]:
    monkeypatch.setenv("ROUTER_PASSWORD", "sandbox-router")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with AsyncExitStack() as running:
        servers = {}
        for host in (FIRST, SECOND):
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(host, AUTODISCOVER).configure_cert(tls)
            exchange = Exchange(directory=invented("contoso.example", None))
            servers[host] = await running.enter_async_context(Sandbox(exchange, tls=tls))
        here = Contoso(servers, tmp_path / "ca.pem")
        for host, sandbox in servers.items():
            here.places[host, 443] = ("127.0.0.1", sandbox.port)
        here.places[AUTODISCOVER, 443] = here.places[FIRST, 443]
        here.places["contoso.example", 443] = here.places[AUTODISCOVER, 80] = ("127.0.0.1", 9)
        here.tells(ANNA, FIRST)
        here.tells(BOB, SECOND)
        yield here


@asynccontextmanager
async def mailboxes(transport: EwsTransport) -> AsyncIterator[EwsTransport]:
    yield transport
    await transport.close()


async def send(transport: EwsTransport, mailbox: WorkingMailbox, name: str) -> object:
    """The outcome of the last act that there was."""
    outgoing, mail = transport.outgoing(mailbox), message(mailbox, name)
    (drafted,) = await outgoing.draft([mail])
    if not isinstance(drafted, Drafted):
        return drafted
    look = await outgoing.look({mail.stamp: LONG_AGO})
    assert isinstance(look, Look)
    (sent,) = await outgoing.send(look.of(mail.stamp).live)
    return sent


async def test_each_mail_goes_by_the_server_of_its_mailbox(contoso: Contoso) -> None:
    async with mailboxes(contoso.transport()) as transport:
        assert isinstance(await send(transport, ANNA, "from anna"), Delivered)
        assert isinstance(await send(transport, BOB, "from bob"), Delivered)

    assert contoso.sent_by(FIRST) == ["from anna"]
    assert contoso.sent_by(SECOND) == ["from bob"]


@pytest.mark.parametrize("account", [BASIC, NTLM])
@pytest.mark.parametrize("way", ["soap", "pox"])
async def test_signed_in_where_it_is_not_told_without(contoso: Contoso, account: Account, way: str) -> None:
    options = contoso.servers[FIRST].exchange.options
    options.autodiscover.json = False
    options.autodiscover.soap = way == "soap"
    options.extended_protection = "require"
    async with mailboxes(contoso.transport(account)) as transport:
        assert isinstance(await send(transport, ANNA, "from anna"), Delivered)


async def test_a_mailbox_that_moves_is_found_again(contoso: Contoso) -> None:
    async with mailboxes(contoso.transport()) as transport:
        assert isinstance(await send(transport, ANNA, "before"), Delivered)
        contoso.tells(ANNA, SECOND)
        contoso.servers[FIRST].exchange.faults.orders.append(Order("gone"))
        contoso.clock.added += AGAIN_SECONDS + 1
        failed = await send(transport, ANNA, "while it moves")
        assert isinstance(failed, Deferred)
        assert isinstance(await send(transport, ANNA, "after"), Delivered)

    assert contoso.sent_by(SECOND) == ["after"]


async def test_a_server_that_goes_away_is_left(contoso: Contoso) -> None:
    async with mailboxes(contoso.transport()) as transport:
        assert isinstance(await send(transport, BOB, "before"), Delivered)
        await contoso.servers[SECOND].stop()
        contoso.tells(BOB, FIRST)
        contoso.clock.added += AGAIN_SECONDS + 1
        outcomes = [await send(transport, BOB, f"after {number}") for number in range(3)]

    assert isinstance(outcomes[-1], Delivered)
    assert contoso.sent_by(FIRST)


async def test_a_lost_autodiscover_holds_nothing_up(contoso: Contoso) -> None:
    async with mailboxes(contoso.transport()) as transport:
        assert isinstance(await send(transport, BOB, "before"), Delivered)
        contoso.places[AUTODISCOVER, 443] = ("127.0.0.1", 9)
        contoso.clock.added += 2 * 24 * 3600
        assert isinstance(await send(transport, BOB, "after"), Delivered)


async def test_a_mailbox_that_nobody_knows_pauses_alone(contoso: Contoso) -> None:
    unknown = contoso.without_mailbox()
    async with mailboxes(contoso.transport()) as transport:
        failed = await send(transport, unknown, "never")

    assert isinstance(failed, Deferred)
    assert (failed.reason.code, failed.reason.scope) == ("autodiscover-failed", Scope.MAILBOX)
    assert "nobody@contoso.example" in failed.reason.message
    assert "mailrouter autodiscover" in failed.reason.remedy
    assert "location" in failed.reason.remedy


async def test_listening_goes_to_each_server_by_itself(contoso: Contoso) -> None:
    heard: list[WorkingMailbox] = []
    unknown = contoso.without_mailbox()
    async with mailboxes(contoso.transport()) as transport:
        done = await transport.listen([ANNA, BOB, unknown], heard.append, 3.0)

    assert {ANNA, BOB} <= set(heard)
    assert [(mailbox, reason.code) for mailbox, reason in done.deaf] == [(unknown, "autodiscover-failed")]
    for sandbox in contoso.servers.values():
        assert sandbox.exchange.requests["Subscribe"] == 1
        assert sandbox.exchange.requests["GetStreamingEvents"] == 1


def profiles(contoso: Contoso, folder: Path) -> str:
    file = folder / "profiles.toml"
    file.write_text(
        f"""
[[profile]]
name = "Found"
direction = "outgoing"
server = "exchange"
autodiscover = true
username = "router@contoso.example"
password = "env:ROUTER_PASSWORD"
ca_file = "{contoso.ca_file}"

[[mailbox]]
address = "*@contoso.example"
outgoing = "Found"
"""
    )
    return str(file)


async def command(contoso: Contoso, *arguments: str) -> Result:
    """`mailrouter autodiscover`, in a thread of its own: it runs its own event loop."""
    there = ",".join(f"{host}:{port}={to}:{at}" for (host, port), (to, at) in contoso.places.items())
    environment = {"MAILROUTER_CONNECT_TO": there, "SSL_CERT_FILE": str(contoso.ca_file)}
    runner = CliRunner(env=environment)
    result = await asyncio.to_thread(runner.invoke, group, ["autodiscover", *arguments])
    assert "sandbox-router" not in result.output
    return result


async def test_the_command_shows_each_step(contoso: Contoso, tmp_path: Path) -> None:
    contoso.servers[FIRST].exchange.options.autodiscover.json = False
    shown = await command(contoso, ANNA.address, "--profiles", profiles(contoso, tmp_path))

    rows = [line.split("\t") for line in shown.stdout.splitlines()]
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert [(row[0], row[2]) for row in rows[:-1]] == [
        ("json", "nothing"), ("json", "unreachable"), ("soap", "found"),
    ]  # fmt: skip
    assert rows[-1] == ["url", f"https://{FIRST}/EWS/Exchange.asmx"]


async def test_the_command_in_json_and_without_a_profile(contoso: Contoso, tmp_path: Path) -> None:
    shown = await command(contoso, ANNA.address, "--json", "--profiles", str(tmp_path / "none.toml"))

    told = json.loads(shown.stdout)
    assert shown.exit_code == 0
    assert "without credentials" in shown.stderr
    assert (told["url"], told["profile"]) == (f"https://{FIRST}/EWS/Exchange.asmx", None)
    assert told["steps"][-1]["result"] == "found"


async def test_the_command_finds_nothing(contoso: Contoso, tmp_path: Path) -> None:
    contoso.servers[FIRST].exchange.options.autodiscover.knows_addresses = False
    shown = await command(contoso, ANNA.address, "--profiles", profiles(contoso, tmp_path))

    assert shown.exit_code == 1
    assert "no EWS URL for anna@contoso.example" in shown.stderr
    assert "Remedy: Check the address" in shown.stderr
    assert "url\t" not in shown.stdout


async def test_the_command_used_wrongly(contoso: Contoso, tmp_path: Path) -> None:
    shown = await command(contoso, ANNA.address, "--profiles", profiles(contoso, tmp_path), "--profile", "Other")

    assert isinstance(shown.exception, ConfigurationError)
    assert str(shown.exception).startswith("--profile: ")


async def test_the_command_by_what_is_published(contoso: Contoso, tmp_path: Path, amqp_url: str) -> None:
    contoso.servers[FIRST].exchange.options.autodiscover.json = False
    by_broker = (ANNA.address, "--json", "--profiles", "broker", "--amqp-url", amqp_url)
    nothing_yet = await command(contoso, *by_broker)
    assert "without credentials" in nothing_yet.stderr
    named = await command(contoso, *by_broker, "--profile", "Found")
    assert isinstance(named.exception, ConfigurationError)
    assert "no profiles are published" in str(named.exception)

    publish = ["profiles", "publish", "--amqp-url", amqp_url, profiles(contoso, tmp_path)]
    assert (await asyncio.to_thread(CliRunner().invoke, group, publish)).exit_code == 0
    for arguments in ((), ("--profile", "Found")):
        shown = await command(contoso, *by_broker, *arguments)
        told = json.loads(shown.stdout)
        assert (shown.exit_code, shown.stderr) == (0, "")
        assert (told["url"], told["profile"]) == (f"https://{FIRST}/EWS/Exchange.asmx", "Found")
