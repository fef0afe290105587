"""`mailrouter sandbox` as a process: what it prints, its witness over HTTP, how it stops."""

import asyncio
import json
import os
import signal
import ssl
import sys
import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from tests.integration.ews_by_hand import Client
from worker.cli import main
from worker.profiles import loader
from worker.sandbox.server import Sandbox

ANNA = "anna@contoso.example"
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("MAILROUTER_")}


@asynccontextmanager
async def _process(*flags: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """It does not outlive the test, whatever becomes of that."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", "sandbox", *flags,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=ENVIRONMENT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def _running(*flags: str) -> AsyncIterator[dict[str, Any]]:
    """A sandbox as a process; what it says of itself. Stopped with SIGTERM, it must exit with 0 and no complaint."""
    async with _process("--listen", "127.0.0.1:0", "--json", *flags) as process:
        assert process.stdout is not None
        yield json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        process.send_signal(signal.SIGTERM)
        _, complaint = await asyncio.wait_for(process.communicate(), 10)
        assert (process.returncode, complaint) == (0, b"")


async def _get(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = await response.text()
        return [json.loads(line) for line in text.splitlines()]


async def _order(url: str, order: object, method: str = "POST") -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url, json=order) as response:
        return response.status, await response.text()


async def test_its_witness_over_http() -> None:
    async with _running() as told, Client(told["url"], "anna@contoso.example") as anna:
        for _ in range(2):
            await anna.send(await anna.draft(stamp="/crm 1"))
        await anna.send(await anna.draft())
        (stats,) = await _get(told["witness"] + "/stats")
        assert (stats["mails"], stats["stamps"], stats["unstamped"], stats["doubled"]) == (3, 1, 1, {"/crm 1": 2})
        assert stats["requests"] == {"CreateItem": 3, "SendItem": 3}
        mails = await _get(told["witness"] + "/mails?since=1&limit=1")
        assert [(each["number"], each["stamp"], each["to"]) for each in mails] == [
            (2, "/crm 1", ["x@customer.example"])
        ]


async def test_mail_comes_in() -> None:
    mail = b"From: x@customer.example\r\nSubject: Hello\r\nMessage-ID: <1@customer.example>\r\n\r\nText"
    async with _running("--notifications", "refused") as told, Client(told["url"], ANNA) as anna:
        assert {"reply", "bounce", "ooo"} <= set(told["answers"])
        url = f"{told['witness']}/arrivals?mailbox={ANNA}"
        async with aiohttp.ClientSession() as session, session.post(url, data=mail) as response:
            item = (await response.json())["id"]
        assert [each["id"] for each in await _get(f"{told['witness']}/inbox?mailbox={ANNA}")] == [item]
        for received, status in (("2020-01-02T03:04:05", 200), ("2020-01-02T04:04:05%2B01:00", 200), ("earlier", 400)):
            answer = await _order(f"{url}&received={received}", None)
            assert answer[0] == status, answer
        _, *earlier = await _get(f"{told['witness']}/inbox?mailbox={ANNA}")
        assert [each["received_at"] for each in earlier] == ["2020-01-02T03:04:05Z"] * 2
        await anna.send(await anna.draft(to="x+bounce@customer.example"))
        classes = (await anna.sync(fields=("item:ItemClass",))).texts("//t:ItemClass")
        assert classes == ["REPORT.IPM.Note.NDR", *["IPM.Note"] * 3]
        kinds = "<t:EventTypes><t:EventType>NewMailEvent</t:EventType></t:EventTypes>"
        folder = '<t:FolderIds><t:DistinguishedFolderId Id="inbox"/></t:FolderIds>'
        request = f"<m:StreamingSubscriptionRequest>{folder}{kinds}</m:StreamingSubscriptionRequest>"
        assert (await anna.ask(f"<m:Subscribe>{request}</m:Subscribe>")).codes == ["ErrorServerBusy"]


async def test_the_help_tells_what_can_be_ordered() -> None:
    async with _process("--help") as process:
        told, _ = await asyncio.wait_for(process.communicate(), 20)
    words = ("anna+lost-send-once@", "corruptbody", "x+bounce@customer.example", "postfix", "/sandbox/arrivals")
    for each in (*words, "GetEvents"):
        assert each in told.decode()


async def test_orders_over_http() -> None:
    async with _running() as told, Client(told["url"], "anna@contoso.example") as anna:
        witness = told["witness"]
        assert (await _order(witness + "/faults", {"kind": "busy", "operation": "FindItem"}))[0] == 200
        assert (await anna.find("drafts")).status == 503
        assert (await _order(witness + "/faults", None, "DELETE"))[0] == 200
        assert (await anna.find("drafts")).status == 200
        assert (await _order(witness + "/options", {"dwell": {"held": "outbox"}, "max_recipients": 1}))[0] == 200
        assert (await anna.send(await anna.draft())).codes == ["NoError"]
        assert await anna.counts("outbox", "sentitems") == [1, 0]
        assert (await _order(witness + "/release", None))[1] == '{"released":1}'
        rights = {"user": "anna@contoso.example", "send_as": ["Bert@contoso.example"]}
        assert (await _order(witness + "/rights", rights))[0] == 200
        assert (await anna.send(await anna.draft(sent_from="bert@contoso.example"))).codes == ["NoError"]
        for path, order in (
            ("/faults", {"kind": "nonsense-kind"}),
            ("/faults", {"rates": {"quota": {"*": 1}}}),
            ("/options", {"nonsense": 1}),
            ("/options", {"sign_in": ["smoke"]}),
            ("/options", {"extended_protection": "perhaps"}),
            ("/options", {"autodiscover": {"redirect": "perhaps"}}),
            ("/accounts", {"user": ANNA, "state": "tired"}),
            ("/applications", {"client_id": "new"}),
            ("/rights", {"user": "anna@contoso.example", "nonsense": []}),
        ):
            assert (await _order(witness + path, order))[0] == 400


async def test_users_from_a_file_and_recording(tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    users.write_text(
        '[[user]]\naddress = "a@own.example"\npassword = "p1"\n'
        '[[user]]\naddress = "svc@own.example"\npassword = "p2"\nimpersonates = ["a@own.example"]\n'
        '[[application]]\ntenant = "own.example"\nclient_id = "app"\nclient_secret = "s"\n',
        encoding="utf-8",
    )
    flags = ("--users", str(users), "--record", str(tmp_path / "record"), "--fault", "lost:DeleteItem=1")
    async with _running(*flags) as told:
        assert told["applications"] == [{"tenant": "own.example", "client_id": "app", "client_secret": "s"}]
        assert [each["address"] for each in told["users"]] == ["a@own.example", "svc@own.example"]
        async with Client(told["url"], "svc@own.example", "p2", acting_as="a@own.example") as client:
            draft = await client.draft()
            with pytest.raises(aiohttp.ClientError):
                await client.delete(draft)
            assert await client.counts("drafts") == [0]
    names = sorted(each.name for each in (tmp_path / "record").iterdir())
    assert names[:2] == ["000001-answer.xml", "000001-request.xml"]
    assert len(names) == 6


@pytest.mark.parametrize("flags", [(), ("--count", "3")])
async def test_the_profiles_it_prints_are_good(flags: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async with _running(*flags) as told:
        monkeypatch.setenv("SANDBOX_PASSWORD", "sandbox-router")
        directory = loader.parse(tomllib.loads(told["profiles"]), "printed")
    assert directory.profiles["Sandbox"].location == told["url"]
    read = [each.mailbox.address for each in directory.incoming()]
    assert read == (["user1@contoso.example", "user2@contoso.example", "user3@contoso.example"] if flags else [ANNA])


async def test_where_it_listens_on_every_address_it_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Sandbox(host="::", port=1).url.startswith("http://[::1]:1/")
    async with _running("--listen", "0.0.0.0:0") as told:
        assert told["url"].startswith("http://127.0.0.1:")
        assert await _get(told["witness"] + "/stats")
    monkeypatch.setenv("SANDBOX_PASSWORD", "sandbox-router")
    assert loader.parse(tomllib.loads(told["profiles"]), "printed").profiles["Sandbox"].location == told["url"]


async def test_with_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    flags = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    async with _running(*flags) as told, aiohttp.ClientSession() as session:
        assert told["url"].startswith("https://127.0.0.1:")
        async with session.post(told["url"], ssl=trusting) as response:
            assert response.status == 401


async def test_for_a_person() -> None:
    async with _process("--listen", "127.0.0.1:0") as process:
        assert process.stdout is not None
        text = (await asyncio.wait_for(process.stdout.readuntil(b'outgoing = "Sandbox"'), 20)).decode()
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0
    assert "Sandbox Exchange: http://127.0.0.1:" in text
    assert "router@contoso.example               password sandbox-router" in text
    assert "of contoso.example, secret sandbox-application" in text


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--listen", "nowhere"), "--listen nowhere: must be HOST:PORT"),
        (("--users", "/nonexistent.toml"), "/nonexistent.toml: cannot be read: No such file or directory"),
        (("--fault", "nonsense-kind=1"), "not a fault of requests: nonsense-kind"),
        (("--fault", "lost=often"), "--fault lost=often"),
        (("--tls-cert", "/nonexistent.pem"), "--tls-cert and --tls-key go together"),
        (("--message-id", "burn"), "--message-id"),
        (("--sign-in", "smoke"), "--sign-in"),
    ],
)
def test_wrong_usage(
    flags: Sequence[str], complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["mailrouter", "sandbox", *flags])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert complaint in said.err


async def test_an_address_that_is_not_ours() -> None:
    async with _process("--listen", "192.0.2.1:1") as process:
        _, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert b"cannot listen there" in error
    assert b"Traceback" not in error
