"""Which mailboxes are read, and as whom."""

import pytest

from worker.mail.transport import WorkingMailbox
from worker.profiles.directory import Directory
from worker.profiles.loader import parse


def directory(mailbox: dict[str, object], **profile: object) -> Directory:
    whole: dict[str, object] = {
        "name": "In",
        "direction": "incoming",
        "server": "exchange",
        "location": "https://mail.contoso.example/EWS/Exchange.asmx",
        "username": "router@contoso.example",
        "password": "env:PATH",
    }
    mailboxes = [{"address": "Anna@contoso.example", "incoming": "In", **mailbox}, {"address": "*@contoso.example"}]
    return parse({"profile": [whole | profile], "mailbox": mailboxes}, "test")


def test_a_mailbox_is_read_under_its_own_address() -> None:
    (route,) = directory({"kind": "queue"}).incoming()
    assert route.working == WorkingMailbox("In", "anna@contoso.example")
    assert route.mailbox.kind == "queue"


@pytest.mark.parametrize("access", ["delegate", "send-as", "impersonation"])
def test_an_account_reads_the_users_mailbox_and_not_its_own(access: str) -> None:
    found = directory({}, access=access, username="CONTOSO\\router")
    (route,) = found.incoming()
    assert route.working.address == "anna@contoso.example"
    assert not route.profile.sends_from_account
    assert found.credentials(route.working).username == "CONTOSO\\router"


def test_accept_none_is_not_read() -> None:
    assert directory({}, accept="none").incoming() == ()


@pytest.mark.parametrize("allowed", [True, False])
def test_own_credentials_are_used_only_where_that_is_allowed(allowed: bool) -> None:  # noqa: FBT001 - the parameter
    mailbox = {"username": "anna", "password": "env:PATH", "allow_credentials": allowed}
    found = directory(mailbox, credentials="user-specified", user_type="user", username=None, password=None)
    assert len(found.incoming()) == allowed
    assert found.withheld() == (() if allowed else ("Anna@contoso.example",))
