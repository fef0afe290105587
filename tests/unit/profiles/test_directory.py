"""Which way the mail of a sender goes."""

from typing import Any

from worker.mail.outcome import Reason
from worker.mail.transport import WorkingMailbox
from worker.profiles.directory import Directory, Route
from worker.profiles.loader import parse


def directory(mailboxes: list[dict[str, Any]], **profile: Any) -> Directory:
    table = {
        "name": "Out",
        "direction": "outgoing",
        "server": "exchange",
        "location": "https://mail.contoso.example/EWS/Exchange.asmx",
        "username": "router@contoso.example",
        "password": "env:PATH",
    }
    return parse({"profile": [{**table, **profile}], "mailbox": mailboxes}, "test")


ANYBODY = {"address": "*@contoso.example", "outgoing": "Out"}


def route(subject: Directory, address: str) -> Route:
    found = subject.outgoing(address)
    assert isinstance(found, Route), found
    return found


def test_a_domain_covers_its_mailboxes_whatever_the_case() -> None:
    assert route(directory([ANYBODY]), "Anna@Contoso.Example").working == WorkingMailbox("Out", "anna@contoso.example")


def test_the_most_specific_entry_wins() -> None:
    queue = {"address": "sales@contoso.example", "kind": "queue", "outgoing": "Out"}
    subject = directory([ANYBODY, queue])
    assert route(subject, "sales@contoso.example").mailbox.kind == "queue"
    assert route(subject, "anna@contoso.example").mailbox.kind == "user"


def test_an_entry_without_outgoing_profile_sends_nothing() -> None:
    found = directory([ANYBODY, {"address": "in@contoso.example"}]).outgoing("in@contoso.example")
    assert isinstance(found, Reason)
    assert found.code == "no-profile"


def test_an_unknown_sender_is_refused_with_a_remedy() -> None:
    found = directory([ANYBODY]).outgoing("anna@fabrikam.example")
    assert isinstance(found, Reason)
    assert found.code == "no-profile"
    assert "[[mailbox]]" in found.remedy


def test_impersonation_works_in_the_users_mailbox() -> None:
    found = route(directory([ANYBODY], access="impersonation"), "anna@contoso.example")
    assert found.profile.impersonates
    assert found.working.address == "anna@contoso.example"


def test_send_as_works_in_the_accounts_mailbox() -> None:
    found = route(directory([ANYBODY], access="send-as"), "anna@contoso.example")
    assert not found.profile.impersonates
    assert found.working.address == "router@contoso.example"


def test_own_credentials_are_the_mailboxes() -> None:
    anna = {"address": "anna@contoso.example", "outgoing": "Out", "username": "CONTOSO\\anna", "password": "env:HOME"}
    subject = directory([anna], credentials="user-specified")
    found = route(subject, "anna@contoso.example")
    assert found.working.address == "anna@contoso.example"
    assert not found.profile.impersonates
    credentials = subject.credentials(found.working)
    assert (credentials.username, credentials.password.reference) == ("CONTOSO\\anna", "env:HOME")


def test_credentials_that_may_not_be_used_are_not() -> None:
    anna = {
        "address": "anna@contoso.example",
        "outgoing": "Out",
        "username": "anna",
        "password": "env:HOME",
        "allow_credentials": False,
    }
    found = directory([anna], credentials="user-specified").outgoing("anna@contoso.example")
    assert isinstance(found, Reason)
    assert found.code == "credentials-not-allowed"


def test_other_credentials_are_the_profiles() -> None:
    subject = directory([ANYBODY])
    assert subject.credentials(route(subject, "anna@contoso.example").working).username == "router@contoso.example"
