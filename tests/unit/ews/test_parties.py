"""Remedies as they are told: for the kind of server, with the names of those they are about."""

import re

import pytest

from worker.ews import remedies
from worker.ews.codes import TABLE, verdict_on
from worker.ews.endpoint import BasicSignIn, Endpoint, OAuthSignIn
from worker.ews.parties import Parties
from worker.ews.trouble import Trail
from worker.settings import SecretReference

ANNA, ROUTER, APPLICATION = "anna@contoso.example", r"CONTOSO\mailrouter", "8d1a4c9e-0c1d-4a55-9a51-27c4a4e0f3b1"
SECRET = SecretReference("env:NOBODY_READS_IT")
URL = "https://mail.contoso.example/EWS/Exchange.asmx"
BASIC = Endpoint("P", URL, BasicSignIn(ROUTER, SECRET), impersonate=True)
ONLINE = Endpoint(
    "P", URL, OAuthSignIn("https://login", "contoso", APPLICATION, "scope", SECRET), impersonate=True, online=True
)
SHARED = Endpoint("P", URL, BasicSignIn("desk@contoso.example", SECRET), shared_mailbox=True)


def remedy(code: str, parties: Parties) -> str:
    return Trail("server", parties=parties).trouble(code, verdict_on(code), "").reason().remedy


def test_commands_name_the_account_and_the_mailbox() -> None:
    told = remedy("ErrorAccessDenied", BASIC.parties(ANNA))
    assert rf"Add-MailboxPermission {ANNA} -User {ROUTER} -AccessRights FullAccess" in told


def test_exchange_online_has_commands_of_its_own() -> None:
    there, here = (remedy("ErrorImpersonateUserDenied", each.parties(ANNA)) for each in (ONLINE, BASIC))
    assert f"-App {APPLICATION} -Role 'Application EWS.AccessAsApp'" in there
    assert f"-Role ApplicationImpersonation -User {ROUTER}" in here
    assert "EwsAllowedAppIDs" in remedy("ErrorOrganizationAccessBlocked", ONLINE.parties(ANNA))
    assert f"Add-RecipientPermission {ANNA}" in remedy("ErrorSendAsDenied", ONLINE.parties(ANNA))


def test_where_the_account_s_mailbox_sends_for_many_the_sender_is_left_to_be_named() -> None:
    parties = SHARED.parties("desk@contoso.example")
    assert "(Get-Mailbox <sender>).DistinguishedName -User desk@contoso.example" in remedy("ErrorSendAsDenied", parties)


def test_sending_on_behalf_is_another_right() -> None:
    told = remedy("ErrorSendAsDenied", Parties(account="desk@contoso.example", sender=ANNA, on_behalf=True))
    assert f'Set-Mailbox {ANNA} -GrantSendOnBehalfTo @{{Add="desk@contoso.example"}}' in told


@pytest.mark.parametrize(
    ("account", "found"),
    [(ROUTER, "Get-ADUser mailrouter |"), (ANNA, f"""Get-ADUser -Filter 'UserPrincipalName -eq "{ANNA}"' |""")],
)
def test_active_directory_has_other_names(account: str, found: str) -> None:
    assert found in remedy("ErrorAccountDisabled", Parties(account=account))


@pytest.mark.parametrize("sender", ["a;rm@contoso.example", "$(x)@contoso.example", "-a@contoso.example", "a b@c", ""])
def test_what_could_be_a_command_itself_is_not_put_into_one(sender: str) -> None:
    assert "(Get-Mailbox <sender>)" in remedy("ErrorSendAsDenied", Parties(account=ANNA, sender=sender))


def test_every_remedy_is_filled_in_as_far_as_one_can_know() -> None:
    texts = {verdict.remedy for verdict in TABLE.values()} | set(remedies.ONLINE.values())
    everybody = Parties(ANNA, APPLICATION, ANNA, ANNA, "mail.contoso.example", online=True)
    left = {place for text in texts for place in re.findall(r"<[^>]+>", everybody.told(text))}
    assert left == {"<number>", "<id of the enterprise application>", "<scope>"}
