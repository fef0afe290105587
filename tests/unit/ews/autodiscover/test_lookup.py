"""The lookup over real sockets and real TLS: above all, who gets to see credentials."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from tests.unit.ews.autodiscover.hosts import Internet, Serve, internet, only, says, to_signed_in
from tests.unit.ews.autodiscover.told import EWS, in_json, soap, user
from worker.clock import SystemClock
from worker.ews.auth import sign_in
from worker.ews.autodiscover.answers import Failure, Servers
from worker.ews.autodiscover.lookup import MOST_BYTES, Lookup
from worker.ews.autodiscover.steps import Findings, Result
from worker.ews.endpoint import BasicSignIn, OAuthSignIn
from worker.settings import SecretReference

ANNA = "anna@contoso.example"
OWN, SUB, EVIL = "contoso.example", "autodiscover.contoso.example", "mail.evil.example"
ROUTER = BasicSignIn("router@contoso.example", SecretReference("env:ROUTER_PASSWORD"))
TELLS = says(200, in_json(Protocol="Ews", Url=EWS))
TELLS_SIGNED_IN = to_signed_in(says(200, soap(user(ExternalEwsUrl=EWS))))


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_PASSWORD", "secret")


async def no_record(name: str) -> Servers | Failure:
    return Failure(Result.NOTHING, "there is no such record")


async def names_evil(name: str) -> Servers | Failure:
    return Servers((EVIL,))


async def find(online: Internet, *, evil_record: bool = False, signs_in: bool = True, **limits: float) -> Findings:
    services = names_evil if evil_record else no_record
    lookup = Lookup(SystemClock(), resolver=online.resolver, services=services, **limits)  # type: ignore[arg-type]
    if not signs_in:
        return await lookup.find(ANNA, ca_file=online.ca_file)
    return await lookup.find(ANNA, ROUTER, sign_in(ROUTER), online.ca_file)


async def test_found_without_credentials_nobody_gets_any(tmp_path: Path) -> None:
    async with internet(tmp_path, {SUB: TELLS, OWN: TELLS_SIGNED_IN}) as online:
        findings = await find(online)

    assert findings.url == EWS
    assert [each.authorization for each in online.seen] == [""]


async def test_only_who_wants_credentials_gets_them(tmp_path: Path) -> None:
    """The web site of the domain answers everything, and sees nothing."""
    website = only({})
    async with internet(tmp_path, {OWN: website, SUB: only({".svc": TELLS_SIGNED_IN})}) as online:
        findings = await find(online)

    assert findings.url == EWS
    assert online.credentials_of(OWN) == []
    assert len(online.credentials_of(SUB)) == 1


async def test_what_is_asked_without_credentials_gets_none_whoever_wants_them(tmp_path: Path) -> None:
    wants = only({".json": says(401)})
    async with internet(tmp_path, {SUB: wants, OWN: wants}, {SUB: says(401)}) as online:
        findings = await find(online)

    assert findings.url == ""
    assert [each.authorization for each in online.seen] == [""] * len(online.seen)
    assert [each.host for each in online.seen if each.method == "GET"] == [SUB, OWN, SUB]


async def test_a_refused_sign_in_is_told_and_tried_no_more_often_than_it_must(tmp_path: Path) -> None:
    async with internet(tmp_path, {SUB: only({".svc": says(401), ".xml": says(401)})}) as online:
        findings = await find(online)

    assert findings.telling.result is Result.DENIED
    assert len(online.credentials_of(SUB)) == 1


async def test_plain_http_leads_no_credentials_astray(tmp_path: Path) -> None:
    """Whoever answers for the name over plain HTTP names a host of his own, with a certificate that is valid for it."""
    astray = says(302, Location=f"https://{EVIL}/autodiscover/autodiscover.xml")
    async with internet(tmp_path, {EVIL: to_signed_in(TELLS)}, {SUB: astray}) as online:
        findings = await find(online)

    assert findings.url == ""
    assert findings.telling.result is Result.REFUSED
    assert [(each.host, each.method, each.authorization) for each in online.seen] == [(SUB, "GET", "")]


async def test_neither_does_a_record_of_the_dns(tmp_path: Path) -> None:
    async with internet(tmp_path, {EVIL: to_signed_in(TELLS)}) as online:
        findings = await find(online, evil_record=True)

    assert findings.telling.result is Result.REFUSED
    assert online.seen == []


async def test_a_certificate_of_another_name_gets_none(tmp_path: Path) -> None:
    async with internet(tmp_path, {OWN: TELLS, SUB: TELLS}, certified=False) as online:
        findings = await find(online)

    assert findings.telling.result is Result.CERTIFICATE
    assert "another name" in findings.telling.remedy
    assert online.seen == []


async def test_named_over_tls_another_host_gets_them(tmp_path: Path) -> None:
    to_other = only({".svc": says(302, Location="https://mail.other.example/autodiscover/autodiscover.svc")})
    async with internet(tmp_path, {OWN: to_other, "mail.other.example": TELLS_SIGNED_IN}) as online:
        findings = await find(online)

    assert findings.url == EWS
    assert len(online.credentials_of("mail.other.example")) == 1


async def test_without_an_account_nobody_is_shown_any(tmp_path: Path) -> None:
    async with internet(tmp_path, {OWN: TELLS_SIGNED_IN}) as online:
        findings = await find(online, signs_in=False)

    assert findings.telling.result is Result.DENIED
    assert "--profile" in findings.telling.remedy
    assert online.credentials_of(OWN) == []


async def test_an_application_asks_first_where_its_token_is_meant_for(tmp_path: Path) -> None:
    application = OAuthSignIn("https://login.example", "t", "c", "https://outlook.office365.com/.default")
    async with internet(tmp_path, {"outlook.office365.com": TELLS, SUB: says(500)}) as online:
        lookup = Lookup(SystemClock(), resolver=online.resolver, services=no_record)
        findings = await lookup.find(ANNA, application, ca_file=online.ca_file)

    assert findings.url == EWS
    assert [each.host for each in online.seen] == ["outlook.office365.com"]


async def test_a_missing_secret_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROUTER_PASSWORD")
    async with internet(tmp_path, {OWN: TELLS_SIGNED_IN}) as online:
        findings = await find(online)

    assert "ROUTER_PASSWORD" in findings.telling.text


def endless(seconds: float) -> Serve:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)
            await asyncio.sleep(seconds)

    return serve


async def test_an_endless_answer_is_not_read_to_its_end(tmp_path: Path) -> None:
    async with internet(tmp_path, {SUB: endless(0)}) as online:
        findings = await find(online)

    assert f"exceeds {MOST_BYTES} bytes" in findings.steps[0].text


async def test_a_server_that_drips_is_given_up(tmp_path: Path) -> None:
    async with internet(tmp_path, {SUB: endless(0.2)}) as online:
        findings = await find(online, question_seconds=1.0)

    assert findings.steps[0].result is Result.TIMEOUT
    assert [each.path for each in online.seen if each.host == SUB] == ["/autodiscover/autodiscover.json"]


async def test_the_whole_has_an_end(tmp_path: Path) -> None:
    async with internet(tmp_path, {SUB: endless(0.2), OWN: endless(0.2)}) as online:
        findings = await find(online, question_seconds=0.6, whole_seconds=0.9)

    assert findings.steps[-1].result is Result.TIMEOUT
    assert len(findings.steps) == 2


async def test_a_ca_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with internet(tmp_path, {SUB: TELLS}) as online:
        online.ca_file = str(tmp_path / "none.pem")
        findings = await find(online)

    assert "the CA file cannot be used" in findings.telling.text
