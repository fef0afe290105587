"""Test Access, fault by fault as the administrators' page lists them: each is brought about in a sandbox, named with
its step, code and remedy, then put right by that remedy, and the check passes.
"""

import asyncio
import json
import os
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.access_world import ANNA, APPLICATION, DESK, PASSWORD, TENANT, World
from tests.unit.docs import Row, spans, table
from worker.cli.access import AT_ONCE, DIRECTIONS, Access, Subject, check_access, subjects
from worker.mail.checks import INCOMING, SENDING, Step, Verdict, passed
from worker.mail.transport import WorkingMailbox
from worker.profiles.loader import load, parse
from worker.profiles.model import SCOPE
from worker.sandbox.application import FULL_ACCESS as FULL_ACCESS_AS_APP
from worker.sandbox.options import Autodiscover
from worker.settings import ConfigurationError

ROWS: Final[dict[str, Row]] = {row[0]: row for row in table("docs/exchange-administrators.md", "Test Access")}

Act = Callable[[World], object]


@dataclass(frozen=True)
class Fault:
    """`given` makes a world in which the check passes, `broken` brings the fault about, `mended` puts it right."""

    broken: Act
    mended: Act
    given: Act = lambda _: None


def password(text: str) -> Act:
    return lambda world: world.password(text)


def use(**keys: object) -> Act:
    return lambda world: world.use(**keys)


def url(host: str = "127.0.0.1", path: str = "/EWS/Exchange.asmx", port: int | None = None) -> Act:
    return lambda world: world.use(location=f"https://{host}:{port or world.sandbox.port}{path}")


def state(of: str, value: Any) -> Act:
    return lambda world: setattr(getattr(world, of), "state", value)


def rights(of: str, **given: set[str]) -> Act:
    def give(world: World) -> None:
        for right, mailboxes in given.items():
            setattr(getattr(world, of), right, mailboxes)

    return give


def option(name: str, value: object) -> Act:
    return lambda world: setattr(world.sandbox.exchange.options, name, value)


def both(*acts: Act) -> Act:
    return lambda world: [act(world) for act in acts]


FULL_ACCESS: Final = both(use(user_type="user"), rights("router", full_access={ANNA}, send_as={ANNA}))
SEND_AS: Final = both(use(username=DESK, access="send-as"), rights("desk", send_as={ANNA}))
ON_BEHALF: Final = both(use(username=DESK, access="delegate"), rights("desk", send_on_behalf={ANNA}))
OWN: Final = both(
    use(credentials="user-specified", username=None, password=None),
    lambda world: world.mailbox.update(username=ANNA, password=f"file:{world.directory / 'password'}"),
)
READING: Final = use(direction="incoming")
READING_NOTHING: Final = use(direction="incoming", accept="none")


def application(**keys: object) -> Act:
    """The application has these now (an `Application` of the sandbox)."""

    def set_up(world: World) -> None:
        for key, value in keys.items():
            setattr(world.application, key, value)

    return set_up


def online(world: World) -> None:
    """Exchange Online, as far as a sandbox is it: an application signs in, at the sandbox's own sign-in service."""
    secret = f"file:{world.directory / 'password'}"
    world.use(server="exchange-online", username=None, password=None, tenant_id=TENANT, client_id=APPLICATION)
    world.use(client_secret=secret, authority=world.sandbox.authority)


def by_certificate(days: float = 365) -> Act:
    """The application signs in by a certificate that is good for so many days, registered just now."""

    def renew(world: World) -> None:
        world.use(client_secret=None, certificate=f"file:{world.application_certificate(days)}")

    return renew


FAULTS: Final[dict[str, Fault]] = {
    "no profile leads to the mailbox": Fault(
        lambda world: world.mailbox.update(outgoing=None), lambda world: world.mailbox.pop("outgoing")
    ),
    "the user does not lend credentials": Fault(
        lambda world: world.mailbox.update(allow_credentials=False),
        lambda world: world.mailbox.update(allow_credentials=True),
        OWN,
    ),
    "nobody may send on the user's behalf": Fault(
        lambda world: world.mailbox.update(allow_send_on_behalf=False),
        lambda world: world.mailbox.update(allow_send_on_behalf=True),
        SEND_AS,
    ),
    "Autodiscover finds nothing": Fault(
        option("autodiscover", Autodiscover(json=False, soap=False, pox=False)),
        both(url(), use(autodiscover=None)),
        use(location=None, autodiscover=True),
    ),
    "Autodiscover knows no such address": Fault(
        option("autodiscover", Autodiscover(knows_addresses=False)),
        option("autodiscover", Autodiscover()),
        use(location=None, autodiscover=True),
    ),
    "host name unknown": Fault(url("mail.contoso.invalid"), url()),
    "server unreachable": Fault(url(port=1), url()),
    "untrusted CA": Fault(use(ca_file=None), lambda world: world.use(ca_file=str(world.directory / "ca.pem"))),
    "host name not in the certificate": Fault(url("localhost"), url()),
    "server's certificate expired": Fault(lambda world: world.certify(days=-1), lambda world: world.certify()),
    "wrong path": Fault(url(path="/EWS/Exchange.asm"), url()),
    "wrong password": Fault(password("another"), password(PASSWORD)),
    "password expired": Fault(state("router", "password-expired"), state("router", "ok")),
    "account locked": Fault(state("router", "locked"), state("router", "ok")),
    "account disabled": Fault(state("router", "disabled"), state("router", "ok")),
    "way of signing in not offered": Fault(option("sign_in", ("ntlm",)), option("sign_in", ("ntlm", "basic"))),
    "wrong password, NTLM": Fault(password("another"), password(PASSWORD), use(authentication="ntlm")),
    "wrong tenant": Fault(use(tenant_id="fabrikam.example"), use(tenant_id=TENANT), online),
    "wrong client id": Fault(use(client_id=TENANT), use(client_id=APPLICATION), online),
    "wrong client secret": Fault(password("another"), password(PASSWORD), online),
    "client secret expired": Fault(application(secret_expired=True), application(secret_expired=False), online),
    "application's certificate expired": Fault(by_certificate(-1), by_certificate(), both(online, by_certificate())),
    "application's certificate not uploaded": Fault(
        application(certificate=None), by_certificate(), both(online, by_certificate())
    ),
    "wrong scope": Fault(use(scope="https://graph.example/.default"), use(scope=SCOPE), online),
    "scope of another service": Fault(use(scope="https://graph.microsoft.com/.default"), use(scope=SCOPE), online),
    "no consent to the application": Fault(application(roles=()), application(roles=(FULL_ACCESS_AS_APP,)), online),
    "sign-in service away": Fault(option("tokens_given", False), option("tokens_given", True), online),  # noqa: FBT003 - the option's value
    "application not allowed EWS": Fault(
        option("ews_allowed_app_ids", ()), option("ews_allowed_app_ids", (APPLICATION,)), online
    ),
    "EWS off for the mailbox": Fault(state("anna", "ews-disabled"), state("anna", "ok")),
    "EWS off for the organisation": Fault(option("ews_enabled", False), option("ews_enabled", True)),  # noqa: FBT003 - the option's value
    "no impersonation": Fault(rights("router", impersonates=set()), rights("router", impersonates={ANNA})),
    "mailbox not in the application's scope": Fault(
        application(mailboxes=set()), application(mailboxes={ANNA}), online
    ),
    "no full access": Fault(rights("router", full_access=set()), rights("router", full_access={ANNA}), FULL_ACCESS),
    "no full access, reading": Fault(
        rights("router", full_access=set()), rights("router", full_access={ANNA}), both(READING, FULL_ACCESS)
    ),
    "mailbox moved to other servers": Fault(state("anna", "moved"), state("anna", "ok")),
    "mailbox gone": Fault(state("anna", "gone"), state("anna", "ok")),
    "mailbox being moved": Fault(state("anna", "moving"), state("anna", "ok")),
    "mailbox full": Fault(state("anna", "quota"), state("anna", "ok")),
    "mailbox full, reading": Fault(state("anna", "quota"), state("anna", "ok"), READING),
    "no send-as": Fault(rights("desk", send_as=set()), rights("desk", send_as={ANNA}), SEND_AS),
    "no send-as besides full access": Fault(
        rights("router", send_as=set()), rights("router", send_as={ANNA}), FULL_ACCESS
    ),
    "no send-as, Exchange Online": Fault(
        rights("desk", send_as=set()), rights("desk", send_as={ANNA}), both(online, SEND_AS)
    ),
    "no on-behalf": Fault(rights("desk", send_on_behalf=set()), rights("desk", send_on_behalf={ANNA}), ON_BEHALF),
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.start()
    yield world
    await world.sandbox.stop()


def test_each_fault_of_the_page_is_walked_through_and_no_other() -> None:
    assert list(FAULTS) == list(ROWS)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_named_with_its_remedy_and_that_helps(world: World, name: str) -> None:
    fault, (_, step, code, remedy) = FAULTS[name], ROWS[name]
    fault.given(world)
    assert (await world.check()).failed is None
    fault.broken(world)

    failed = the_only_failure(await world.check())

    assert (failed.name, failed.finding.code) == (step.strip("`"), code.strip("`"))
    assert failed.finding.cause
    assert [each for each in spans(remedy) if each not in failed.finding.remedy] == []
    for place in ("<account>", "<mailbox>", "<sender>", "<application>", "<server>"):
        assert place not in failed.finding.remedy
    fault.mended(world)
    assert (await world.check(send=fault.given is not READING)).failed is None
    assert world.left_behind() == []


def the_only_failure(access: Access) -> Step:
    """The step that failed: those before it passed, those behind it were skipped."""
    failed = access.failed
    assert failed is not None, access
    place = access.steps.index(failed)
    assert all(each.finding.verdict in (Verdict.PASS, Verdict.SKIPPED) for each in access.steps[:place])
    assert all(each.finding.verdict is Verdict.SKIPPED for each in access.steps[place + 1 :])
    return failed


async def test_a_mailbox_in_order_passes_every_step_and_nothing_is_left_behind(world: World) -> None:
    access = await world.check(send=True)

    assert [step.name for step in access.steps] == ["profile", *SENDING]
    assert {step.finding.verdict for step in access.steps} == {Verdict.PASS}
    assert {mail.sent_from for mail in world.sandbox.sent} == {ANNA}
    world.use(direction="incoming")
    access = await world.check()
    assert [step.name for step in access.steps] == ["profile", *INCOMING]
    assert {step.finding.verdict for step in access.steps} == {Verdict.PASS}
    assert world.left_behind() == []


async def test_a_certificate_near_its_end_is_warned_of(world: World) -> None:
    world.certify(days=3)

    access = await world.check()

    assert access.failed is None
    assert access.warned is not None
    assert (access.warned.name, access.warned.finding.code) == ("tls", "certificate-expires")


async def test_a_server_that_does_not_tell_what_is_submitted_is_warned_of_and_sends(world: World) -> None:
    world.sandbox.exchange.options.tells_submitted = False

    access = await world.check(send=True)

    assert access.failed is None
    assert access.warned is not None
    assert (access.warned.name, access.warned.finding.code) == ("draft", "state-not-shown")
    assert len(world.sandbox.sent) == 1
    assert world.left_behind() == []


async def test_a_secret_that_has_gone_since_is_named(world: World) -> None:
    directory = load(world.file)
    (world.directory / "password").unlink()

    failed = the_only_failure(await world.check(directory))

    assert (failed.name, failed.finding.code) == ("sign-in", "secret-missing")
    assert "password" in failed.finding.cause
    world.password(PASSWORD)
    assert (await world.check(directory)).failed is None


@pytest.mark.parametrize(
    ("given", "operation"),
    [
        (SEND_AS, "CreateItem"),
        (SEND_AS, "UpdateItem"),
        (SEND_AS, "DeleteItem"),
        (SEND_AS, "SendItem"),
        (READING, "CreateUserConfiguration"),
        (READING, "GetUserConfiguration"),
    ],
)
async def test_what_is_interrupted_leaves_nothing_behind(world: World, given: Act, operation: str) -> None:
    given(world)
    gate = world.sandbox.gates.close(operation, "after")
    checking = asyncio.create_task(world.check())
    await gate.reached.wait()
    checking.cancel()
    world.sandbox.gates.open_all()

    with pytest.raises(asyncio.CancelledError):
        await checking

    assert world.left_behind() == []


class _Slow:
    """Checks that wait until so many are at it, and a moment longer for one too many."""

    def __init__(self, many: int) -> None:
        self._many = many
        self._enough = asyncio.Event()
        self._now = self.most = 0

    def outgoing(self, mailbox: WorkingMailbox, sender: str, *, send: bool) -> AsyncIterator[Step]:
        return self._steps()

    def incoming(self, mailbox: WorkingMailbox) -> AsyncIterator[Step]:
        return self._steps()

    async def _steps(self) -> AsyncIterator[Step]:
        self._now += 1
        self.most = max(self.most, self._now)
        if self._now == self._many:
            self._enough.set()
        await self._enough.wait()
        await asyncio.sleep(0)
        self._now -= 1
        yield Step("name", passed())


async def test_many_mailboxes_are_checked_side_by_side_but_not_all_at_once(world: World) -> None:
    world.use(direction="outgoing")
    text = world.file.read_text()
    text += "".join(f'[[mailbox]]\naddress = "user{n}@contoso.example"\noutgoing = "P"\n' for n in range(20))
    directory = parse(tomllib.loads(text + '[[mailbox]]\naddress = "*@contoso.example"\noutgoing = "P"\n'), "given")
    checks, found = _Slow(AT_ONCE), list[Access]()
    chosen = subjects(directory, [], DIRECTIONS)

    await check_access(directory, checks, chosen, send=False, done=found.append)

    assert checks.most == AT_ONCE
    assert {each.subject for each in found} == set(chosen)
    assert Subject("*@contoso.example", "outgoing") not in chosen
    assert len(chosen) == 21


def test_what_cannot_be_checked_is_refused(world: World) -> None:
    directory = load(world.file)
    with pytest.raises(ConfigurationError, match=r"--mailbox x@other\.example: no \[\[mailbox\]\] entry"):
        subjects(directory, ["x@other.example"], DIRECTIONS)
    with pytest.raises(ConfigurationError, match="give their entries outgoing or incoming"):
        subjects(directory, [], ["incoming"])
    world.mailbox["address"] = "*@contoso.example"
    with pytest.raises(ConfigurationError, match="name mailboxes with --mailbox"):
        subjects(load(world.file), [], DIRECTIONS)


async def command(world: World, *arguments: str) -> tuple[int, str, str]:
    """The real one, as a process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "worker", "check", "--profiles", str(world.file), *arguments),
        env={**os.environ, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_passes_and_tells_every_step(world: World) -> None:
    status, out, err = await command(world, "--json", "--send", "--mailbox", ANNA.upper())

    (told,) = json.loads(out)
    assert (status, err) == (0, "")
    assert (told["mailbox"], told["direction"], told["profile"], told["pass"]) == (ANNA, "outgoing", "P", True)
    assert [(step["step"], step["verdict"]) for step in told["steps"]] == [
        (name, "pass") for name in ("profile", *SENDING)
    ]
    assert len(world.sandbox.sent) == 1


async def test_the_command_fails_with_cause_and_remedy(world: World) -> None:
    world.password("another")

    status, out, err = await command(world)

    (failed,) = [line.split("\t") for line in out.splitlines() if "\tfail\t" in line]
    assert (status, err) == (1, "")
    assert failed[:4] + failed[5:6] == [ANNA, "outgoing", "fail", "sign-in", "http-401"]
    assert "Unlock-ADAccount" in failed[7]
    assert "another" not in out


UNREAD: Final = {
    "accept": READING_NOTHING,
    "credentials": both(OWN, READING, lambda world: world.mailbox.update(allow_credentials=False)),
}


@pytest.mark.parametrize("given", UNREAD.values(), ids=UNREAD)
async def test_the_command_leaves_a_mailbox_alone_that_is_not_to_be_read(world: World, given: Act) -> None:
    given(world)

    status, out, err = await command(world)

    rows = [line.split("\t") for line in out.splitlines()]
    assert (status, err) == (0, "")
    assert [(*row[:2], row[3]) for row in rows] == [(ANNA, "incoming", name) for name in ("profile", *INCOMING)]
    assert {row[2] for row in rows} == {"skipped"}
    assert "accept" in rows[0][6] or "allow_credentials" in rows[0][6]
    (told,) = json.loads((await command(world, "--json"))[1])
    assert (told["pass"], {step["verdict"] for step in told["steps"]}) == (True, {"skipped"})
    assert (await command(world, "--direction", "incoming"))[0] == 1


async def test_the_command_tells_of_many_which_it_left_alone(world: World, tmp_path: Path) -> None:
    READING_NOTHING(world)
    others = "".join(f'[[mailbox]]\naddress = "user{n}@contoso.example"\nincoming = "P"\n' for n in range(3))
    (tmp_path / "many.toml").write_text(world.file.read_text() + others)

    status, out, _ = await command(world, "--profiles", str(tmp_path / "many.toml"))

    rows = [line.split("\t") for line in out.splitlines()]
    assert (status, len(rows)) == (0, 4)
    assert {(row[1], *row[3:5]) for row in rows} == {("incoming", "skipped", "profile")}
    assert all('accept = "none"' in row[6] for row in rows)


async def test_the_command_says_what_is_missing(world: World) -> None:
    status, out, err = await command(world, "--profiles", "nowhere.toml")

    assert (status, out) == (2, "")
    assert "nowhere.toml: cannot be read" in err
    assert len(err.splitlines()) == 1
