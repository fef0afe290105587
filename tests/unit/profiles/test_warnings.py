"""What has no effect is said, and is no reason to stop."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.profiles.test_faults import MAILBOX, PROFILE
from worker.profiles.loader import parse
from worker.profiles.warnings import warnings

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
IN = {"direction": "incoming", "name": "In"}
ONLINE = {
    "server": "exchange-online",
    "location": "https://outlook.office365.com/EWS/Exchange.asmx",
    "tenant_id": "contoso.example",
    "client_id": "router",
    "client_secret": "env:PATH",
}
OWN = {"credentials": "user-specified"}
ANNA = {"address": "anna@contoso.example"}
NAMED = {"username": "anna", "password": "env:PATH"}


def told(*mailboxes: dict[str, Any], without: tuple[str, ...] = (), **profile: Any) -> list[str]:
    """Of the profile `Out`, changed, and an incoming one, `In`, that `anna` is read with."""
    first = {key: value for key, value in {**PROFILE, **profile}.items() if key not in without}
    data = {"profile": [first, PROFILE | IN], "mailbox": [*mailboxes, ANNA | {"incoming": "In"}]}
    return list(warnings(parse(data, "f"), NOW))


def test_nothing_is_said_of_what_has_its_effect() -> None:
    assert told(MAILBOX) == []


@pytest.mark.parametrize(
    ("change", "without", "begins"),
    [
        ({"location": "http://127.0.0.1:8480/EWS/Exchange.asmx"}, (), "location: is without TLS"),
        ({"poll_seconds": 5}, (), "poll_seconds: has no effect: it is for incoming profiles"),
        ({"after": "leave"}, (), "after: has no effect"),
        ({"user_type": "user", "access": "send-as"}, (), 'access: has no effect with user_type = "user"'),
        (ONLINE, ("username",), "password: has no effect with oauth2"),
        (ONLINE | {"password": None}, ("password",), "username: has no effect with oauth2"),
    ],
)
def test_of_a_profile(change: dict[str, Any], without: tuple[str, ...], begins: str) -> None:
    (warning,) = told(MAILBOX, without=without, **change)
    assert warning.startswith(f"[[profile]] 1 (Out): {begins}")


def test_an_application_reads_by_impersonation_whatever_access_says() -> None:
    reading = {
        key: value for key, value in (PROFILE | ONLINE | IN | {"access": "send-as"}).items() if key != "password"
    }
    (profile,) = parse({"profile": [reading], "mailbox": [ANNA | {"incoming": "In"}]}, "f").profiles.values()
    assert profile.impersonates


@pytest.mark.parametrize("start", ["2026-11-01T00:00:00Z", "2026-11-01T01:00:00+01:00"])
def test_a_time_to_start_at_may_stand_in_quotes(start: str) -> None:
    reading = PROFILE | IN | {"start": start}
    (profile,) = parse({"profile": [reading], "mailbox": [ANNA | {"incoming": "In"}]}, "f").profiles.values()
    assert profile.start == datetime(2026, 11, 1, tzinfo=UTC)


def test_of_reading() -> None:
    later = NOW + timedelta(seconds=1)
    reading = PROFILE | IN | {"access": "send-as", "start": later, "messages_per_minute": 30}
    found = list(warnings(parse({"profile": [reading], "mailbox": [ANNA | {"incoming": "In"}]}, "f"), NOW))
    assert [each.removeprefix("[[profile]] 1 (In): ").partition(":")[0] for each in found] == [
        "messages_per_minute",
        "access",
        "start",
    ]


def test_a_profile_that_nobody_has() -> None:
    assert told() == ["[[profile]] 1 (Out): name: no mailbox has this profile"]


@pytest.mark.parametrize(
    ("mailbox", "profile", "begins"),
    [
        ({"outgoing": None}, {}, "outgoing: neither outgoing nor incoming is given"),
        (NAMED, {}, "username: has no effect"),
        (NAMED | {"allow_credentials": False}, OWN, "allow_credentials: is false: its mail is refused"),
        (
            {"allow_send_on_behalf": False},
            {"access": "delegate"},
            "allow_send_on_behalf: is false: its mail is refused",
        ),
        (NAMED, OWN, "username: opens every mailbox of the domain"),
    ],
)
def test_of_a_mailbox(mailbox: dict[str, Any], profile: dict[str, Any], begins: str) -> None:
    entry = {key: value for key, value in (MAILBOX | mailbox).items() if value is not None}
    found = told(entry, without=("username", "password") if profile == OWN else (), **profile)
    assert any(each.startswith(f"[[mailbox]] 1 (*@contoso.example): {begins}") for each in found), found
