"""What a refused sign-in says of its cause."""

import pytest

from worker.ews import remedies
from worker.ews.answer import trail_of
from worker.ews.http_answer import Answer
from worker.ews.http_status import of_status
from worker.ews.trouble import Trail, Trouble
from worker.mail.outcome import Scope


def refused(way: str, *challenges: str, diagnostics: str = "", own_credentials: bool = False) -> Trouble:
    answer = Answer(401, {"x-ms-diagnostics": diagnostics} if diagnostics else {}, b"", challenges=challenges)
    trail = Trail("mail.contoso.example", own_credentials=own_credentials, way=way)
    return of_status(answer, trail_of(answer, trail), 0)


@pytest.mark.parametrize(
    ("way", "challenges", "code", "remedy"),
    [
        ("basic", (), "http-401", remedies.SIGN_IN),
        ("basic", ('Basic realm="mail"',), "http-401", remedies.SIGN_IN),
        ("basic", ("Negotiate", "NTLM"), "http-401-way", remedies.WAY),
        ("basic", ("Negotiate, NTLM",), "http-401-way", remedies.WAY),
        ("ntlm", ('Basic realm="mail"',), "http-401-way", remedies.WAY),
        ("ntlm", ("Negotiate",), "http-401", remedies.SIGN_IN),
        ("bearer", ("NTLM",), "http-401-way", remedies.WAY),
        ("bearer", ('Bearer client_id="00000002-0000-0ff1-ce00-000000000000"',), "http-401", remedies.SIGN_IN),
    ],
)
def test_a_way_that_is_not_offered_is_told_from_a_wrong_password(
    way: str, challenges: tuple[str, ...], code: str, remedy: str
) -> None:
    trouble = refused(way, *challenges)

    assert (trouble.code, trouble.verdict.remedy, trouble.verdict.scope) == (code, remedy, Scope.PROFILE)


def test_what_is_offered_is_named() -> None:
    assert "negotiate, ntlm" in refused("basic", "NTLM", "Negotiate").message


@pytest.mark.parametrize(
    ("category", "remedy", "scope"),
    [
        ("invalid_token", remedies.REFUSED_BEARER, Scope.PROFILE),
        ("token_expired", remedies.REFUSED_BEARER, Scope.PROFILE),
        ("invalid_resource", remedies.SCOPE, Scope.PROFILE),
        ("invalid_tenant", remedies.TENANT, Scope.PROFILE),
        ("invalid_client", remedies.APPLICATION, Scope.PROFILE),
        ("invalid_grant", remedies.CONSENT, Scope.PROFILE),
        ("invalid_user", remedies.NO_MAILBOX, Scope.MAILBOX),
        ("anything_new", remedies.REFUSED_BEARER, Scope.PROFILE),
    ],
)
def test_what_exchange_says_of_a_token_is_read(category: str, remedy: str, scope: Scope) -> None:
    told = f'2000003;reason="The audience claim value is invalid, it says.";error_category="{category}"'
    trouble = refused("bearer", "Bearer", diagnostics=told)

    assert trouble.code == f"http-401-{category.replace('_', '-')}"
    assert (trouble.verdict.remedy, trouble.verdict.scope) == (remedy, scope)
    assert "The audience claim value is invalid, it says." in trouble.message
    assert "x-ms-diagnostics=2000003" in trouble.message


@pytest.mark.parametrize("diagnostics", ["", "nonsense", '4000000;reason="other"', ";".join("x" * 5000)])
def test_diagnostics_of_another_kind_change_nothing(diagnostics: str) -> None:
    assert refused("bearer", "Bearer", diagnostics=diagnostics).code == "http-401"


def test_with_credentials_of_its_own_it_is_that_mailbox_alone() -> None:
    assert refused("ntlm", "NTLM", own_credentials=True).verdict.scope is Scope.MAILBOX
