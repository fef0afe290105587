"""From the Email Router's file to profiles that hold, once the secrets are set; and what is said of the rest."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from worker.cli import group
from worker.migration.email_agent import read
from worker.migration.profiles import make
from worker.profiles.edition import edition_of
from worker.profiles.model import Profile
from worker.settings import ConfigurationError

SAMPLE = Path(__file__).parent / "EmailAgent.xml"
MADE = make(read(SAMPLE))


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch) -> dict[str, Profile]:
    for secret in MADE.secrets:
        monkeypatch.setenv(secret, "set")
    return edition_of(MADE.text, "made").directory.profiles


def test_the_result_holds_once_the_secrets_are_set(profiles: dict[str, Profile]) -> None:
    assert list(profiles) == [
        "Outgoing on premises",
        "Incoming on premises",
        "Incoming own",
        "Incoming Online",
        "Outgoing on premises2",
    ]


def test_what_the_words_become(profiles: dict[str, Profile]) -> None:
    outgoing, incoming = profiles["Outgoing on premises"], profiles["Incoming on premises"]
    assert (outgoing.authentication, outgoing.access) == ("clear-text", "send-as")
    assert (incoming.authentication, incoming.access, incoming.poll_seconds) == ("ntlm", "delegate", 15)
    assert incoming.location == "https://mail.contoso.example/EWS/Exchange.asmx"
    assert profiles["Incoming own"].autodiscover
    assert profiles["Incoming own"].credentials == "user-specified"
    assert profiles["Incoming Online"].authentication == "oauth2"


def test_mailboxes_have_both_directions_and_their_kind() -> None:
    entries = {each.address: each for each in edition_of(MADE.text, "made", here=False).directory.mailboxes.values()}
    anna = entries["anna@contoso.example"]
    assert (anna.outgoing, anna.incoming) == ("Outgoing on premises", "Incoming on premises")
    kinds = {address: each.kind for address, each in entries.items()}
    assert kinds == {
        "anna@contoso.example": "user",
        "sales@contoso.example": "queue",
        "forwarded@contoso.example": "forward",
        "bea@contoso.example": "user",
    }


def test_what_is_lost_is_said() -> None:
    told = "\n".join(MADE.notes)
    for what in ("POP3 is not spoken", "Local System", "OAuth2 only", "maxthreads = 50", "configupdateperiod"):
        assert what in told
    assert "AQAAANCM" not in MADE.text + told


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("<Configuration><", "not XML"),
        ("<html/>", "it is no EmailAgent.xml"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><SystemConfiguration>&b;</SystemConfiguration>', "it is no EmailAgent.xml"),
    ],
)
def test_other_files(tmp_path: Path, content: str, cause: str) -> None:
    file = tmp_path / "file.xml"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=cause):
        read(file)


def test_the_command_writes_once_and_says_what_is_to_be_done(tmp_path: Path) -> None:
    output = tmp_path / "profiles.toml"
    arguments = ["profiles", "import", str(SAMPLE), "--output", str(output)]
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 0, result.output
    assert output.read_text() == MADE.text
    assert "to be set: CRM_ROUTER_PASSWORD_ROUTER_CONTOSO_EXAMPLE" in result.output
    again = CliRunner().invoke(group, arguments)
    assert isinstance(again.exception, ConfigurationError)
    assert CliRunner().invoke(group, [*arguments, "--force"]).exit_code == 0
