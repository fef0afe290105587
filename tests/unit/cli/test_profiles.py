"""`mailrouter profiles validate` and `show`: what is in effect, with secrets as references."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from worker.cli import group

PROFILES = """
[[profile]]
name = "Out"
direction = "outgoing"
server = "exchange"
location = "https://mail.contoso.example/EWS/Exchange.asmx"
username = "router@contoso.example"
password = "env:OUR_PASSWORD"
access = "send-as"
poll_seconds = 5

[[profile]]
name = "Online"
direction = "incoming"
server = "exchange-online"
tenant_id = "contoso.example"
client_id = "the-client"
client_secret = "env:OUR_PASSWORD"

[[mailbox]]
address = "*@contoso.example"
outgoing = "Out"

[[mailbox]]
address = "anna@contoso.example"
outgoing = "Out"
incoming = "Online"
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "profiles.toml"
    path.write_text(PROFILES)
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner(env={"OUR_PASSWORD": "hunter2"}).invoke(group, ["profiles", *arguments])


def test_warnings_are_no_faults(file: str) -> None:
    result = run("validate", file, "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["profiles"], told["mailboxes"]) == (2, 2)
    assert told["warnings"] == ["[[profile]] 1 (Out): poll_seconds: has no effect: it is for incoming profiles"]


def test_faults_as_json(tmp_path: Path) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text(PROFILES.replace('"outgoing"', '"upwards"'))
    result = run("validate", str(path), "--json")
    assert result.exit_code == 2
    (fault,) = json.loads(result.stdout)["faults"]
    assert fault == f'{path}: [[profile]] 1 (Out): direction: must be "outgoing" or "incoming"'


def test_what_is_in_effect(file: str) -> None:
    result = run("show", file, "--json")
    assert "hunter2" not in result.output
    told = json.loads(result.stdout)
    out, online = told["profiles"]
    assert out["password"] == "env:OUR_PASSWORD"
    assert not {"poll_seconds", "scope"} & out.keys()
    assert online["location"] == "https://outlook.office365.com/EWS/Exchange.asmx"
    anna = told["mailboxes"][1]
    assert anna["sends"] == "by Out: router@contoso.example sends as or on behalf of the sender"
    assert anna["reads"] == "by Online: anna@contoso.example opened by application the-client, impersonating it"


def test_the_entry_that_wins(file: str) -> None:
    (row,) = json.loads(run("show", file, "--mailbox", "bea@contoso.example", "--json").stdout)["mailboxes"]
    assert (row["mailbox"], row["entry"], row["reads"]) == ("bea@contoso.example", "*@contoso.example", "not")
    missing = run("show", file, "--mailbox", "bea@fabrikam.example")
    assert missing.exit_code == 1
    assert "no [[mailbox]] entry covers bea@fabrikam.example" in missing.output
