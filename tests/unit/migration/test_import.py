"""From the Email Router's file to profiles that hold, once the secrets are set; and what is said of the rest."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.cli import group
from worker.migration.conversion import convert
from worker.migration.email_router import EmailRouter, Owner, Provider, read
from worker.migration.writing import written
from worker.profiles.directory import Directory
from worker.profiles.edition import edition_of
from worker.settings import ConfigurationError

SAMPLE: Final = Path(__file__).parent / "Microsoft.Crm.Tools.EmailAgent.xml"
MADE: Final = convert(read(SAMPLE))
TEXT: Final = written(MADE, SAMPLE.name)
TOLD: Final = [(each.kind, each.what, each.text) for each in MADE.notes]

EWS: Final = "https://mail.contoso.example/EWS/Exchange.asmx"


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Directory:
    for variable in re.findall(r'"env:(\w+)"', TEXT):
        monkeypatch.setenv(variable, "set")
    return edition_of(TEXT, "made").directory


def test_profiles_hold_once_the_secrets_are_set(directory: Directory) -> None:
    told = {
        name: (each.server, each.authentication, each.credentials, each.user_type, each.access)
        for name, each in directory.profiles.items()
    }
    other = "other-specified"
    assert told == {
        "IncomingExchangeOnline": ("exchange-online", "oauth2", other, "administrator", "impersonation"),
        "IncomingPremises": ("exchange", "ntlm", other, "administrator", "delegate"),
        "Forwarded": ("exchange", "ntlm", other, "user", "impersonation"),
        "Own": ("exchange", "clear-text", "user-specified", "administrator", "impersonation"),
        "OutgoingExchangeOnline": ("exchange-online", "oauth2", other, "administrator", "send-as"),
        "OutgoingPremises": ("exchange", "ntlm", other, "administrator", "delegate"),
    }
    assert {each.poll_seconds for each in directory.profiles.values() if each.direction == "incoming"} == {15}
    assert directory.profiles["Forwarded"].after == "delete"
    assert directory.profiles["IncomingPremises"].location == "https://ex1.contoso.example/EWS/Exchange.asmx"
    assert directory.profiles["Own"].autodiscover


def test_users_and_queues_have_both_ways_though_the_outgoing_one_knows_their_ids_only(directory: Directory) -> None:
    told = {each.address: (each.kind, each.outgoing, each.incoming) for each in directory.mailboxes.values()}
    assert told == {
        "anna@contoso.example": ("user", "OutgoingExchangeOnline", "IncomingExchangeOnline"),
        "Support@contoso.example": ("queue", "OutgoingExchangeOnline", "IncomingExchangeOnline"),
        "bob@contoso.example": ("user", "OutgoingPremises", "IncomingPremises"),
        "forwarded@contoso.example": ("forward", None, "Forwarded"),
        "carl@contoso.example": ("user", "OutgoingPremises", "Own"),
    }
    carl = directory.mailboxes["carl@contoso.example"]
    assert carl.username == "CONTOSO\\carl"
    assert carl.password is not None
    assert carl.password.reference == "env:CONTOSO_CARL_PASSWORD"


@pytest.mark.parametrize(
    ("kind", "what", "text"),
    [
        ("left out", "ProviderConfiguration 6 (dora@contoso.example)", "POP3 (pop.contoso.example): only Exchange"),
        ("left out", "ProviderConfiguration 9", "SMTP (smtp.contoso.example): only Exchange"),
        ("left out", "user 6c0a2b1e-3e4c-4c9b-9e0f-000000000099", "the file has no mail address for this id"),
        ("left out", "<FolderToWatch>", "is not known here"),
        ("left out", "SendingStatusDelay", "a mail whose fate is unknown is looked for"),
        ("carried over", "MaximumDeliveryAttempts", "12: set MAILROUTER_MAX_ATTEMPTS=12"),
        ("carried over", "SchedulingPeriod", "15000 ms: poll_seconds = 15"),
        ("changed", "profile IncomingPremises", "Local System Account is not spoken"),
        ("changed", "profile IncomingPremises", "Windows authentication: NTLM"),
        ("changed", "profile OutgoingExchangeOnline", "Exchange Online takes OAuth2 only"),
        ("to do", "profile IncomingExchangeOnline", "tenant_id, client_id"),
        ("to do", "env:CONTOSO_FORWARDED_PASSWORD", "password of CONTOSO\\forwarded: it is encrypted there"),
    ],
)
def test_what_became_of_it_is_said(kind: str, what: str, text: str) -> None:
    assert any((each[0], each[1]) == (kind, what) and each[2].startswith(text) for each in TOLD), TOLD


def test_nothing_of_a_password_is_copied() -> None:
    assert "hunter2" not in TEXT + repr(MADE) + repr(read(SAMPLE))


def test_every_tunable_and_every_provider_is_accounted_for() -> None:
    router = read(SAMPLE)
    assert set(router.tunables) <= {each[1] for each in TOLD}
    numbers = {each.number for each in router.providers}
    assert numbers == set(range(1, 10))


def one(given: Mapping[str, str], *owners: Owner) -> Provider:
    return Provider(
        1, {"class": "ExchangeWSPollingMailboxProvider", "address": "anna@contoso.example", **given}, owners
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"location": EWS}, {"location": EWS, "authentication": "ntlm"}),
        ({"location": "https://mail.contoso.example:8443/ews/exchange.asmx?x#y"}, {}),
        ({"location": "mail.contoso.example"}, {"location": EWS}),
        (
            {"location": "http://mail.contoso.example/exchange/", "port": "8443"},
            {"location": EWS.replace(".example", ".example:8443")},
        ),
        ({}, {"autodiscover": True}),
        ({"location": EWS, "autodiscover": "True"}, {"autodiscover": True}),
        ({"location": EWS, "authentication": "Anonymous"}, {"authentication": "ntlm"}),
        ({"location": EWS, "authentication": "Clear Text"}, {"authentication": "clear-text"}),
        ({"location": EWS, "polling": "60000"}, {"poll_seconds": 60}),
        ({"location": EWS, "polling": "1000"}, {"poll_seconds": 10}),
        ({"location": EWS, "accept": "EmailMessagesInResponseToCrmEmail"}, {"accept": "replies"}),
    ],
)
def test_what_the_words_become(given: dict[str, str], expected: dict[str, object]) -> None:
    conversion = convert(EmailRouter({}, (one(given),), {}))
    (profile,) = edition_of(written(conversion, "x"), "made", here=False).directory.profiles.values()
    assert {key: getattr(profile, key) for key in expected} == expected


def test_an_account_without_a_mail_address_cannot_send_as_others() -> None:
    provider = {"class": "ExchangeWSSendEmailProvider", "username": "CONTOSO\\router", "access": "Delegate Access"}
    conversion = convert(EmailRouter({}, (one(provider | {"location": EWS}),), {}))
    (profile,) = conversion.profiles
    assert profile.keys["access"] == "impersonation"
    assert any("needs the account's mail address as username" in each.text for each in conversion.notes)


_WORDS: Final = ("Exchange Online", "Administrator", "Send As", "UserSpecified", "NTLM", "true", "60000", "POP3", EWS)
_TEXTS: Final = st.sampled_from(_WORDS) | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=30)
_KEYS: Final = (
    *("name", "direction", "class", "server", "location", "autodiscover", "authentication", "credentials", "username"),
    *("user_type", "access", "port", "address", "polling", "accept", "delete", "enabled"),
)


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(_KEYS), _TEXTS.map(str.split).map(" ".join).filter(bool)),
            st.lists(
                st.builds(Owner, st.sampled_from(["user", "queue"]), st.sampled_from(["1", "2", "3"])), max_size=3
            ),
        ),
        max_size=4,
    )
)
@settings(max_examples=100, deadline=None)
def test_whatever_stands_there_the_result_holds(given: list[tuple[dict[str, str], list[Owner]]]) -> None:
    providers = tuple(Provider(number, each, tuple(owners)) for number, (each, owners) in enumerate(given, 1))
    conversion = convert(EmailRouter({"SchedulingPeriod": "1000", "LogLevel": "x"}, providers, {}))
    if conversion.profiles:
        edition_of(written(conversion, "x"), "made", here=False)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"<Configuration><", "line 1: is not XML"),
        (b"", "is not XML"),
        (b"<html/>", "its root is <html>, not <Configuration>"),
        (b'<!DOCTYPE Configuration [<!ENTITY b "c">]><Configuration>&b;</Configuration>', "declares a document type"),
        (b"<a>" * 5000, "is not XML"),
        (b"<Configuration/>" + b" " * (32 * 2**20), "is larger than 32 MiB"),
    ],
)
def test_other_files_are_one_line(tmp_path: Path, content: bytes, cause: str) -> None:
    file = tmp_path / "file.xml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=cause) as refused:
        read(file)
    assert len(refused.value.faults) == 1
    assert "\n" not in str(refused.value)


def test_names_are_known_in_any_case_and_namespace_and_urls_lose_their_passwords(tmp_path: Path) -> None:
    file = tmp_path / "file.xml"
    file.write_text(
        '<configuration xmlns="urn:x"><PROVIDERCONFIGURATION><Server><emailserver>https://r:hunter2@m.example/'
        "</emailserver></Server><EmailAddress>anna@contoso.example</EmailAddress></PROVIDERCONFIGURATION></configuration>"
    )
    (provider,) = read(file).providers
    assert provider.given == {"location": "https://m.example/", "address": "anna@contoso.example"}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["profiles", "import", *arguments])


def test_the_command_writes_once_and_says_what_is_to_be_done(tmp_path: Path) -> None:
    output = tmp_path / "profiles.toml"
    first = run(str(SAMPLE), "--output", str(output))
    assert first.exit_code == 0, first.output
    assert output.read_text() == TEXT
    assert first.stdout == ""
    assert "to do\tenv:CONTOSO_FORWARDED_PASSWORD\t" in first.stderr
    again = run(str(SAMPLE), "--output", str(output))
    assert isinstance(again.exception, ConfigurationError)
    assert "give --force to write over it" in str(again.exception)
    assert run(str(SAMPLE), "--output", str(output), "--force").exit_code == 0
    assert run(str(SAMPLE), "--output", "-").stdout == TEXT
    nowhere = run(str(SAMPLE), "--output", str(tmp_path / "none" / "profiles.toml"))
    assert "cannot be written" in str(nowhere.exception)


def test_a_file_of_which_nothing_is_left(tmp_path: Path) -> None:
    file = tmp_path / "file.xml"
    file.write_text("<Configuration><SystemConfiguration/></Configuration>")
    result = run(str(file), "--output", str(tmp_path / "profiles.toml"))
    assert isinstance(result.exception, ConfigurationError)
    assert "nothing in it could be carried over" in str(result.exception)
    assert not (tmp_path / "profiles.toml").exists()
