"""What an answer says, from whoever: every form, every error, and what nobody should have to read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ews.autodiscover.told import EWS, answer, in_json, moved, pox, protocol, soap, user
from worker.ews.autodiscover.answers import Elsewhere, Endpoint, Failure, OtherAddress, Reading, Reply, Servers, read
from worker.ews.autodiscover.questions import Question, at
from worker.ews.autodiscover.steps import Method, Result
from worker.ews.http_answer import NoAnswer

ANNA = "anna@contoso.example"
QUESTIONS = {question.method: question for question in at("contoso.example", ANNA)}
QUESTIONS["http"] = Question("http", "http://autodiscover.contoso.example/autodiscover/autodiscover.xml", ANNA)
QUESTIONS["srv"] = Question("srv", "_autodiscover._tcp.contoso.example", ANNA)
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><Autodiscover><Response><Account><Action>settings</Action><Protocol><Type>EXPR</Type>"
    b"<EwsUrl>&j;</EwsUrl></Protocol></Account></Response></Autodiscover>"
)
THIEF = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Autodiscover><Response><Account>'
    b"<Action>redirectAddr</Action><RedirectAddr>&a;</RedirectAddr></Account></Response></Autodiscover>"
)


def reading(method: Method, reply: Reply) -> Reading:
    return read(QUESTIONS[method], reply, "Sign in.")


@pytest.mark.parametrize(
    ("method", "reply", "expected"),
    [
        ("json", answer(200, in_json(Protocol="Ews", Url=EWS)), Endpoint(EWS)),
        ("json", moved("/autodiscover/other.json"), Elsewhere("https://contoso.example/autodiscover/other.json")),
        ("json", moved("https://b.example/x", 307), Elsewhere("https://b.example/x")),
        ("soap", answer(200, soap(user(ExternalEwsUrl=EWS, InternalEwsUrl="https://in/"))), Endpoint(EWS)),
        ("soap", answer(200, soap(user(ExternalEwsUrl="", InternalEwsUrl=EWS))), Endpoint(EWS)),
        ("soap", answer(200, soap(user("RedirectUrl", target="https://b.example/a.svc"))),
            Elsewhere("https://b.example/a.svc")),
        ("soap", answer(200, soap(user("RedirectAddress", target="a@b.example"))), OtherAddress("a@b.example")),
        ("pox", answer(200, pox("<Action>settings</Action>" + protocol("EXPR", EwsUrl=EWS))), Endpoint(EWS)),
        ("pox", answer(200, pox(protocol("EXCH", ASUrl="https://in/") + protocol("EXPR", EwsUrl=EWS))), Endpoint(EWS)),
        ("pox", answer(200, pox(protocol("EXCH", ASUrl=EWS) + protocol("EXPR"))), Endpoint(EWS)),
        ("pox", answer(200, pox(f"<Action>redirectUrl</Action><RedirectUrl>{EWS}</RedirectUrl>")), Elsewhere(EWS)),
        ("pox", answer(200, pox("<Action>redirectAddr</Action><RedirectAddr>a@b.example</RedirectAddr>")),
            OtherAddress("a@b.example")),
        ("http", moved("https://b.example/autodiscover/autodiscover.xml"),
            Elsewhere("https://b.example/autodiscover/autodiscover.xml")),
        ("srv", Servers(("mail.contoso.example",)), Servers(("mail.contoso.example",))),
    ],
)  # fmt: skip
def test_what_leads_on(method: Method, reply: Reply, expected: Reading) -> None:
    assert reading(method, reply) == expected


@pytest.mark.parametrize(
    ("method", "reply", "result", "text"),
    [
        ("json", answer(404, in_json(ErrorCode="UserNotFound", ErrorMessage="Not found")), Result.ERROR,
            "UserNotFound: Not found"),
        ("json", answer(400, in_json(ErrorCode="ProtocolNotSupported")), Result.ERROR, "ProtocolNotSupported"),
        ("json", answer(404, b"<html>nothing</html>"), Result.NOTHING, "HTTP 404"),
        ("json", answer(401), Result.NOTHING, "HTTP 401"),
        ("json", answer(200, b"<html>a home page</html>"), Result.UNREADABLE, "not what Autodiscover answers"),
        ("json", answer(200, b'["Url"]'), Result.UNREADABLE, "not what Autodiscover answers"),
        ("json", answer(200, in_json(Url=7)), Result.UNREADABLE, "not what Autodiscover answers"),
        ("json", answer(503), Result.UNREADABLE, "HTTP 503"),
        ("json", moved(""), Result.UNREADABLE, "leads nowhere"),
        ("json", moved("http://[broken"), Result.UNREADABLE, "leads nowhere"),
        ("soap", answer(401), Result.DENIED, "signing in was refused"),
        ("soap", answer(200, soap(user("InvalidUser", "Invalid user"))), Result.ERROR, "InvalidUser: Invalid user"),
        ("soap", answer(200, soap("", "InvalidRequest")), Result.ERROR, "InvalidRequest"),
        ("soap", answer(200, soap(user("ServerBusy"))), Result.ERROR, "busy"),
        ("soap", answer(200, soap(user())), Result.ERROR, "no URL of EWS"),
        ("soap", answer(200, soap(user("RedirectUrl"))), Result.ERROR, "RedirectUrl"),
        ("soap", answer(500, b"<e:Envelope xmlns:e='e'><e:Body><e:Fault><faultstring>It failed</faultstring></e:Fault>"
            b"</e:Body></e:Envelope>"), Result.ERROR, "It failed"),
        ("soap", answer(200, soap(user())[:-30]), Result.UNREADABLE, "not all of it"),
        ("soap", answer(200, b"\x00\xff garbage"), Result.UNREADABLE, "not what"),
        ("soap", answer(405), Result.NOTHING, "HTTP 405"),
        ("pox", answer(401), Result.DENIED, "signing in was refused"),
        ("pox", answer(200, pox("<Action>settings</Action>")), Result.ERROR, "no URL of EWS"),
        ("pox", answer(200, b"<Autodiscover><Response><Error><ErrorCode>500</ErrorCode><Message>No such address"
            b"</Message></Error></Response></Autodiscover>"), Result.ERROR, "500: No such address"),
        ("pox", answer(200, b"<html/>"), Result.UNREADABLE, "not what"),
        ("pox", answer(200, BOMB), Result.UNREADABLE, "not what"),
        ("pox", answer(200, THIEF), Result.ERROR, "no URL of EWS"),
        ("http", answer(200, b"a page"), Result.NOTHING, "HTTP 200"),
        ("soap", NoAnswer("unreachable", sent=False, text="refused"), Result.UNREACHABLE, "refused"),
        ("soap", NoAnswer("proxy", sent=False, text="proxy"), Result.UNREACHABLE, "proxy"),
        ("soap", NoAnswer("cut", sent=True, text="cut"), Result.UNREACHABLE, "cut"),
        ("soap", NoAnswer("certificate", sent=False, text="expired"), Result.CERTIFICATE, "expired"),
        ("soap", NoAnswer("certificate-name", sent=False, text="not for it"), Result.CERTIFICATE, "not for it"),
        ("soap", NoAnswer("timeout", sent=True, text=""), Result.TIMEOUT, "no answer in time"),
        ("soap", NoAnswer("too-large", sent=True, text="too large"), Result.UNREADABLE, "too large"),
    ],
)  # fmt: skip
def test_what_goes_wrong(method: Method, reply: Reply, result: Result, text: str) -> None:
    failure = reading(method, reply)
    assert isinstance(failure, Failure)
    assert failure.result is result
    assert text in failure.text


def test_who_is_not_let_in_is_told_what_to_do() -> None:
    denied = reading("soap", answer(401))
    assert isinstance(denied, Failure)
    assert denied.remedy == "Sign in."


@given(body=st.binary(max_size=200), status=st.sampled_from([200, 302, 400, 401, 500]))
def test_no_answer_makes_reading_fail(body: bytes, status: int) -> None:
    for method, question in QUESTIONS.items():
        if method != "srv":
            read(question, answer(status, body, Location=body.decode("latin-1")), "")


def test_requests_hold_an_address_as_text() -> None:
    soap_question, pox_question, json_question = (QUESTIONS[each] for each in ("soap", "pox", "json"))
    assert b"<a:Mailbox>anna@contoso.example</a:Mailbox>" in soap_question.body
    assert b"<EMailAddress>anna@contoso.example</EMailAddress>" in pox_question.body
    assert json_question.body == b""
    strange = {each.method: each for each in at("contoso.example", "a<&b@contoso.example")}
    assert b"a&lt;&amp;b@contoso.example" in strange["pox"].body
    assert "Email=a%3C%26b%40contoso.example&" in strange["json"].url
