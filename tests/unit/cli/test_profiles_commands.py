"""`mailrouter profiles validate` and `show`, as an operator types them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from worker.cli import group, main

TEXT = """
[[profile]]
name        = "Online"
direction   = "outgoing"
server      = "exchange-online"
tenant_id   = "contoso.example"
client_id   = "8d1a4c9e-0c1d-4a55-9a51-27c4a4e0f3b1"
client_secret = "env:APPLICATION_SECRET"

[[profile]]
name        = "SendAs"
direction   = "outgoing"
server      = "exchange"
location    = "https://mail.contoso.example/EWS/Exchange.asmx"
username    = "router@contoso.example"
password    = "env:ROUTER_PASSWORD"
access      = "send-as"

[[profile]]
name        = "Own"
direction   = "incoming"
server      = "exchange"
location    = "https://mail.contoso.example/EWS/Exchange.asmx"
credentials = "user-specified"

[[mailbox]]
address  = "*@contoso.example"
outgoing = "Online"

[[mailbox]]
address  = "sales@contoso.example"
kind     = "queue"
outgoing = "SendAs"
incoming = "Own"
username = "CONTOSO\\\\sales"
password = "env:SALES_PASSWORD"
"""
SECRETS = {"APPLICATION_SECRET": "hunter2", "ROUTER_PASSWORD": "hunter2", "SALES_PASSWORD": "hunter2"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "given.toml"
    path.write_text(TEXT)
    return path


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner(env=SECRETS | environment).invoke(group, ["profiles", *map(str, arguments)])


def test_fine_is_said_and_is_0(file: Path) -> None:
    result = run("validate", file)
    assert result.exit_code == 0
    assert result.stdout.startswith(str(file))
    assert "warning" not in result.output


def test_the_file_of_the_settings_is_meant_where_none_is_given(file: Path) -> None:
    assert run("validate", MAILROUTER_PROFILES=str(file)).exit_code == 0


def test_what_has_no_effect_is_a_warning_and_is_0(file: Path) -> None:
    file.write_text(TEXT.replace('access      = "send-as"', 'access      = "send-as"\npoll_seconds = 5'))
    result = run("validate", file)
    assert result.exit_code == 0
    (warning,) = result.stderr.splitlines()
    for word in ("warning", str(file), "SendAs", "poll_seconds"):
        assert word in warning
    (told,) = json.loads(run("validate", file, "--json").stdout)["warnings"]
    assert "SendAs" in told


def test_faults_are_lines_on_stderr_and_are_2(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(TEXT.replace('"send-as"', '"hunter2"').replace('"env:SALES_PASSWORD"', '"hunter2"'))
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["mailrouter", "profiles", "validate", str(file)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    lines = said.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"mailrouter: {file}: [[") for line in lines)
    assert "(SendAs): access: " in lines[0]
    assert "(sales@contoso.example): password: " in lines[1]
    assert "hunter2" not in said.out + said.err


@pytest.mark.parametrize("more", [[], ["--json"], ["--mailbox", "sales@contoso.example"]])
def test_no_secret_is_shown(file: Path, more: list[str]) -> None:
    result = run("show", file, *more)
    assert result.exit_code == 0
    assert "env:ROUTER_PASSWORD" in result.stdout
    assert "hunter2" not in result.output


def test_what_the_server_fills_in_is_shown(file: Path) -> None:
    shown = json.loads(run("show", file, "--json").stdout)
    online = next(each for each in shown["profiles"] if each["name"] == "Online")
    assert online["location"] == "https://outlook.office365.com/EWS/Exchange.asmx"
    assert online["authentication"] == "oauth2"
    assert online["client_secret"] == "env:APPLICATION_SECRET"


def test_an_address_is_shown_by_the_entry_that_holds_for_it(file: Path) -> None:
    anybody = run("show", file, "--mailbox", "Bea@contoso.example").stdout
    assert "Online" in anybody
    assert "SendAs" not in anybody
    sales = run("show", file, "--mailbox", "Sales@Contoso.example").stdout
    assert "SendAs" in sales
    assert "Online" not in sales


def test_who_sends_and_reads_as_whom_is_said_in_words(file: Path) -> None:
    (row,) = json.loads(run("show", file, "--json", "--mailbox", "sales@contoso.example").stdout)["mailboxes"]
    assert "router@contoso.example" in row["sends"]
    assert "own credentials" in row["reads"]


def test_an_address_without_entry_is_1(file: Path) -> None:
    result = run("show", file, "--mailbox", "anna@fabrikam.example")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "anna@fabrikam.example" in line
    assert "Remedy" in line
