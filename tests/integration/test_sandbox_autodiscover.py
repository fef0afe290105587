"""Autodiscover of the sandbox in its three languages; exchangelib, which nobody here wrote, speaks SOAP with it."""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests.adapters
import trustme
from exchangelib import BASIC, NTLM, Configuration, Credentials, close_connections
from exchangelib.autodiscover.protocol import AutodiscoverProtocol
from exchangelib.errors import ErrorNonExistentMailbox, UnauthorizedError
from exchangelib.protocol import BaseProtocol
from lxml import etree

from worker.sandbox import users
from worker.sandbox.exchange import Exchange
from worker.sandbox.options import Autodiscover
from worker.sandbox.server import Sandbox

ANNA, BERT = "anna@contoso.example", "bert@contoso.example"
A = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook"
FRAME = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
ELSEWHERE = "https://other.example"


async def _ask(
    sandbox: Sandbox, path: str, body: str = "", username: str = ANNA, password: str = "sandbox"
) -> tuple[int, str, bytes]:
    """Status, Location, body."""
    method, url = "POST" if body else "GET", f"{sandbox.authority}{path}"
    headers = {"Authorization": aiohttp.encode_basic_auth(username, password)} if username else {}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=body or None, headers=headers, allow_redirects=False) as response,
    ):
        return response.status, response.headers.get("Location", ""), await response.read()


async def _json(sandbox: Sandbox, query: str = f"Email={ANNA}&Protocol=EWS") -> tuple[int, str, Any]:
    path = f"/autodiscover/autodiscover.json?{query}"
    status, location, body = await _ask(sandbox, path, username="")
    return status, location, json.loads(body) if body.startswith(b"{") else None


async def _soap(sandbox: Sandbox, address: str = ANNA, **how: str) -> Any:
    """Code, target, settings of the one user; the status and Location where it is no 200."""
    names = ("ExternalEwsUrl", "GroupingInformation", "EwsSupportedSchemas", "UserDN")
    settings = "".join(f"<a:Setting>{each}</a:Setting>" for each in names)
    body = (
        f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:a="{A}"><s:Body>'
        f"<a:GetUserSettingsRequestMessage><a:Request><a:Users><a:User><a:Mailbox>{address}</a:Mailbox></a:User>"
        f"</a:Users><a:RequestedSettings>{settings}</a:RequestedSettings></a:Request>"
        "</a:GetUserSettingsRequestMessage></s:Body></s:Envelope>"
    )
    status, location, answer = await _ask(sandbox, "/autodiscover/autodiscover.svc", body, **how)
    if status != 200:
        return status, location
    (user,) = etree.fromstring(answer).iter(f"{{{A}}}UserResponse")
    told = {each.findtext(f"{{{A}}}Name"): each.findtext(f"{{{A}}}Value") for each in user.iter(f"{{{A}}}UserSetting")}
    return user.findtext(f"{{{A}}}ErrorCode"), user.findtext(f"{{{A}}}RedirectTarget"), told


async def _pox(sandbox: Sandbox, address: str = ANNA, **how: str) -> Any:
    """Action and URL or target; or the code of the error; the status and Location where it is no 200."""
    body = (
        f'<Autodiscover xmlns="{OUTLOOK}/requestschema/2006"><Request><EMailAddress>{address}</EMailAddress>'
        f"<AcceptableResponseSchema>{OUTLOOK}/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>"
    )
    status, location, answer = await _ask(sandbox, "/Autodiscover/Autodiscover.xml", body, **how)
    if status != 200:
        return status, location
    tree = etree.fromstring(answer)
    error = tree.findtext(f".//{{{FRAME}}}ErrorCode")
    texts = [
        tree.findtext(f".//{{{OUTLOOK}/responseschema/2006a}}{name}")
        for name in ("Action", "EwsUrl", "ASUrl", "RedirectUrl", "RedirectAddr")
    ]
    return error or [each for each in texts if each]


async def test_the_url_in_three_languages(sandbox: Sandbox) -> None:
    assert await _json(sandbox) == (200, "", {"Protocol": "Ews", "Url": sandbox.url})
    path = f"/autodiscover/autodiscover.json/v1.0/{ANNA}?Protocol=ews"
    assert (await _ask(sandbox, path, username=""))[0] == 200
    code, target, settings = await _soap(sandbox)
    assert (code, target) == ("NoError", "")
    assert settings["ExternalEwsUrl"] == sandbox.url
    assert settings.keys() == {"ExternalEwsUrl", "GroupingInformation", "EwsSupportedSchemas"}
    assert await _pox(sandbox) == ["settings", sandbox.url, sandbox.url]


async def test_signing_in_is_needed_but_for_json(sandbox: Sandbox) -> None:
    assert await _soap(sandbox, password="wrong") == (401, "")
    assert await _pox(sandbox, password="wrong") == (401, "")
    assert (await _ask(sandbox, "/autodiscover/autodiscover.xml", username=""))[0] == 401
    sandbox.exchange.directory.find(ANNA).state = "locked"  # type: ignore[union-attr]
    assert await _pox(sandbox) == (401, "")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("Email=nobody@elsewhere.example&Protocol=EWS", 404, "UserNotFound"),
        (f"Email={ANNA}&Protocol=XYZ", 400, "ProtocolNotSupported"),
        (f"Email={ANNA}", 400, "MandatoryParameterMissing"),
        ("Protocol=EWS", 400, "MandatoryParameterMissing"),
    ],
)
async def test_questions_that_json_does_not_answer(sandbox: Sandbox, query: str, status: int, code: str) -> None:
    got, _, told = await _json(sandbox, query)
    assert (got, told["ErrorCode"]) == (status, code)


async def test_no_such_address(sandbox: Sandbox) -> None:
    async def told() -> tuple[object, ...]:
        return (await _json(sandbox))[0], (await _soap(sandbox))[0], await _pox(sandbox)

    nobody = (404, "InvalidUser", "500")
    found = (200, "NoError", ["settings", sandbox.url, sandbox.url])
    assert await told() == found
    user = sandbox.exchange.directory.find(ANNA)
    assert user is not None
    user.state = "moved"
    assert await told() == found
    user.state = "gone"
    assert await told() == nobody
    user.state = "ok"
    sandbox.exchange.options.autodiscover.knows_addresses = False
    assert await told() == nobody


async def test_what_is_off_is_not_found(sandbox: Sandbox) -> None:
    sandbox.exchange.options.autodiscover = Autodiscover(json=False, soap=False, pox=False)
    assert ((await _json(sandbox))[0], await _soap(sandbox), await _pox(sandbox)) == (404, (404, ""), (404, ""))
    assert (await _ask(sandbox, "/autodiscover/autodiscover.xml"))[0] == 404


async def test_which_url_is_told(sandbox: Sandbox) -> None:
    url, other = f"{ELSEWHERE}/EWS/Exchange.asmx", f"{ELSEWHERE}/moved/Exchange.asmx"
    sandbox.exchange.options.autodiscover = Autodiscover(ews_url=url, ews_urls={BERT: other})
    assert (await _json(sandbox))[2]["Url"] == (await _soap(sandbox))[2]["ExternalEwsUrl"] == url
    assert await _pox(sandbox, BERT) == ["settings", other, other]


async def test_redirects(sandbox: Sandbox) -> None:
    xml, svc = f"{ELSEWHERE}/Autodiscover/Autodiscover.xml", f"{ELSEWHERE}/autodiscover/autodiscover.svc"
    found = f"{ELSEWHERE}/autodiscover/autodiscover.json?Email={ANNA}&Protocol=EWS"
    sandbox.exchange.options.autodiscover = Autodiscover(redirect="http", redirect_to=ELSEWHERE)
    assert ((await _json(sandbox))[:2], await _soap(sandbox), await _pox(sandbox)) == (
        (302, found), (302, svc), (302, xml),
    )  # fmt: skip
    sandbox.exchange.options.autodiscover = Autodiscover(redirect="url", redirect_to=ELSEWHERE)
    assert await _soap(sandbox) == ("RedirectUrl", svc, {})
    assert await _pox(sandbox) == ["redirectUrl", xml]
    sandbox.exchange.options.autodiscover = Autodiscover(redirect="address", redirect_to=BERT)
    assert await _soap(sandbox) == ("RedirectAddress", BERT, {})
    assert await _pox(sandbox) == ["redirectAddr", BERT]
    assert (await _soap(sandbox, BERT))[0] == "NoError"
    sandbox.exchange.options.autodiscover = Autodiscover(plain_redirect_to=f"{ELSEWHERE}/a/b.xml")
    assert (await _ask(sandbox, "/autodiscover/autodiscover.xml", username=""))[:2] == (302, f"{ELSEWHERE}/a/b.xml")


@pytest.mark.parametrize("body", ["nonsense", "<nothing/>", "<!DOCTYPE a><a/>"])
async def test_nonsense(sandbox: Sandbox, body: str) -> None:
    assert (await _ask(sandbox, "/autodiscover/autodiscover.svc", body))[0] == 400
    status, _, answer = await _ask(sandbox, "/autodiscover/autodiscover.xml", body)
    assert (status, b"<ErrorCode>600</ErrorCode>" in answer) == (200, True)


async def test_it_is_set_over_http(sandbox: Sandbox) -> None:
    url = f"{sandbox.witness_url}/options"
    async with aiohttp.ClientSession() as session:
        for options, status in (({"soap": False, "ews_url": "https://x.example"}, 200), ({"nonsense": 1}, 400)):
            async with session.post(url, json={"autodiscover": options}) as response:
                assert response.status == status
    assert sandbox.exchange.options.autodiscover == Autodiscover(soap=False, ews_url="https://x.example")


@pytest.mark.usefixtures("exchangelib_closed")
@pytest.mark.parametrize("way", [BASIC, NTLM])
async def test_exchangelib_asks_in_soap(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    class Trusting(requests.adapters.HTTPAdapter):
        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
            super().cert_verify(conn, url, str(tmp_path / "ca.pem"), cert)  # type: ignore[no-untyped-call,unused-ignore]

    monkeypatch.setattr(BaseProtocol, "HTTP_ADAPTER_CLS", Trusting)

    def work(origin: str, address: str, password: str) -> Any:
        configuration = Configuration(
            service_endpoint=f"{origin}/autodiscover/autodiscover.svc",
            credentials=Credentials(ANNA, password),
            auth_type=way,
        )
        answer = AutodiscoverProtocol(config=configuration).get_user_settings(address)
        answer.raise_errors()
        close_connections()
        return answer

    async with Sandbox(Exchange(users.invented("contoso.example", None)), tls=context) as sandbox:
        answer = await asyncio.to_thread(work, sandbox.authority, ANNA, "sandbox")
        assert (answer.ews_url, answer.autodiscover_smtp_address) == (sandbox.url, ANNA)
        assert answer.version.api_version == "Exchange2016"
        with pytest.raises(ErrorNonExistentMailbox):
            await asyncio.to_thread(work, sandbox.authority, "nobody@elsewhere.example", "sandbox")
        with pytest.raises(UnauthorizedError):
            await asyncio.to_thread(work, sandbox.authority, ANNA, "wrong")
        await asyncio.to_thread(close_connections)
