"""The search: in which order what is asked, and whom it trusts. Worlds are tables of answers; nothing is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.unit.ews.autodiscover.told import EWS, GONE, answer, in_json, moved, pox, protocol, soap, user
from worker.ews.autodiscover.answers import Failure, Reply, Servers
from worker.ews.autodiscover.entitled import Entitled
from worker.ews.autodiscover.search import MOST_REDIRECTS, Search
from worker.ews.autodiscover.steps import Findings, Result
from worker.ews.http_answer import NoAnswer

ANNA = "anna@contoso.example"
OWN, SUB = "contoso.example", "autodiscover.contoso.example"
PLAIN = f"http://{SUB}/autodiscover/autodiscover.xml"
SRV = f"_autodiscover._tcp.{OWN}"
NO_RECORD = Failure(Result.NOTHING, "there is no such record")
TELLS = answer(200, in_json(Protocol="Ews", Url=EWS))
TELLS_SOAP = answer(200, soap(user(ExternalEwsUrl=EWS)))
TELLS_POX = answer(200, pox(protocol("EXPR", EwsUrl=EWS)))
MISSING = answer(404)


def at(host: str, method: str, address: str = ANNA) -> str:
    ending = {"json": f"json?Email={address.replace('@', '%40')}&Protocol=EWS", "soap": "svc", "pox": "xml"}[method]
    return f"https://{host}/autodiscover/autodiscover.{ending}"


@dataclass
class World:
    """What is answered where; elsewhere there is no connection. `asked` is everything that was asked."""

    answers: Mapping[str, Reply]
    default: Reply = GONE
    asked: list[str] = field(default_factory=list)

    def search(self, address: str = ANNA, hosts: frozenset[str] = frozenset(), online: str = "") -> Findings:
        questions = Search(address, Entitled(hosts, online=bool(online)), online=online).questions()
        try:
            question = next(questions)
            while True:
                assert len(self.asked) < 200
                self.asked.append(question.url)
                reply = self.answers.get(question.url)
                question = questions.send(reply or (NO_RECORD if question.method == "srv" else self.default))
        except StopIteration as end:
            findings: Findings = end.value
            return findings


ORDER = [
    at(SUB, "json"), at(OWN, "json"), at(OWN, "soap"), at(OWN, "pox"), at(SUB, "soap"), at(SUB, "pox"), PLAIN, SRV,
]  # fmt: skip


def test_the_order_from_safe_to_doubtful() -> None:
    world = World({}, default=MISSING)
    findings = world.search()

    assert world.asked == ORDER
    assert findings.url == ""
    assert [step.url for step in findings.steps] == ORDER


@pytest.mark.parametrize("number", range(6))
def test_the_first_that_tells_is_the_last_asked(number: int) -> None:
    tells = {"json": TELLS, "svc": TELLS_SOAP, "xml": TELLS_POX}
    url = ORDER[number]
    world = World({url: next(each for ending, each in tells.items() if f"autodiscover.{ending}" in url)}, MISSING)
    findings = world.search()

    assert findings.url == EWS
    assert world.asked == ORDER[: number + 1]
    assert findings.steps[-1].result is Result.FOUND


def test_a_place_that_does_not_answer_is_asked_once() -> None:
    for silent in (GONE, NoAnswer("certificate", sent=False, text=""), NoAnswer("timeout", sent=True, text="")):
        world = World({}, default=silent)
        world.search()
        assert world.asked == [at(SUB, "json"), at(OWN, "json"), PLAIN, SRV]


def test_credentials_that_a_place_has_refused_are_not_offered_it_again() -> None:
    world = World({at(OWN, "soap"): answer(401), at(SUB, "soap"): answer(401)}, default=MISSING)
    findings = world.search()

    assert at(OWN, "pox") not in world.asked
    assert at(SUB, "pox") not in world.asked
    assert findings.telling.result is Result.DENIED


def test_what_servers_say_cannot_command_a_terminal() -> None:
    told = answer(404, in_json(ErrorCode="\x1b]0;title\x07", ErrorMessage="\u202eleft"))
    findings = World({at(SUB, "json"): told, PLAIN: moved("https://other.example/\x1b[2J")}, MISSING).search()

    assert [step for step in findings.steps if not step.text.isprintable()] == []
    assert any("]0;title" in step.text for step in findings.steps)
    assert any("[2J" in step.text for step in findings.steps)


def test_exchange_online_is_asked_first_and_may_lead_home() -> None:
    online = "outlook.office365.com"
    world = World({at(online, "json"): moved(at(SUB, "json")), at(SUB, "json"): TELLS})

    assert world.search(online=online).url == EWS
    assert world.asked == [at(online, "json"), at(SUB, "json")]


@pytest.mark.parametrize(
    ("method", "redirect"),
    [
        ("soap", moved("https://mail.other.example/autodiscover/autodiscover.svc")),
        ("soap", answer(200, soap(user("RedirectUrl", target="https://mail.other.example/autodiscover/autodiscover.svc")))),
    ],
)  # fmt: skip
def test_whoever_is_entitled_may_name_others_over_tls(method: str, redirect: Reply) -> None:
    world = World({at(OWN, method): redirect, at("mail.other.example", method): TELLS_SOAP}, MISSING)
    findings = world.search()

    assert findings.url == EWS
    assert [step.result for step in findings.steps[-2:]] == [Result.REDIRECTED, Result.FOUND]


def test_no_way_leads_from_https_to_http() -> None:
    world = World({at(OWN, "soap"): moved(f"http://{OWN}/autodiscover/autodiscover.svc")}, MISSING)
    findings = world.search()

    assert world.asked == ORDER
    (refused,) = (step for step in findings.steps if step.result is Result.REFUSED)
    assert "not https" in refused.text


@pytest.mark.parametrize(
    ("target", "hosts"),
    [
        ("mail.contoso.example", frozenset[str]()),
        ("mail.hoster.example", frozenset({"mail.hoster.example"})),
    ],
)
@pytest.mark.parametrize("way", ["http", "srv"])
def test_hosts_entitled_by_name_may_be_named_by_anybody(way: str, target: str, hosts: frozenset[str]) -> None:
    named: dict[str, Reply] = (
        {PLAIN: moved(at(target, "pox"))} if way == "http" else {SRV: Servers((target,))}
    )  # fmt: skip
    world = World({**named, at(target, "pox"): TELLS_POX}, MISSING)
    findings = world.search(hosts=hosts)

    assert findings.url == EWS
    assert world.asked[-3:] == [at(target, "json"), at(target, "soap"), at(target, "pox")]


@pytest.mark.parametrize(
    "target",
    [
        "evil.example",
        "autodiscover-s.outlook.com",  # Microsoft's: for an application that signs in there, not for a password
        "contoso.example.evil.example",
        "evilcontoso.example",
        "outlook.office365.com.evil.example",
        "contoso.example:443@evil.example",
        "evil.example:443/.contoso.example",
        "evil.example\\.contoso.example",
        "evil.example%2f.contoso.example",
        "evil.example#.contoso.example",
        "[::1]",
    ],
)
@pytest.mark.parametrize("way", ["http", "srv"])
def test_others_named_by_anybody_are_not_even_asked(way: str, target: str) -> None:
    named: Reply = moved(f"https://{target}/autodiscover/autodiscover.xml") if way == "http" else Servers((target,))
    world = World({PLAIN if way == "http" else SRV: named}, MISSING)
    findings = world.search()

    assert world.asked == ORDER
    refused = findings.telling
    assert refused.result is Result.REFUSED
    assert refused.remedy


def test_a_refused_host_says_how_to_trust_it() -> None:
    findings = World({PLAIN: moved(at("mail.hoster.example", "pox"))}).search()

    assert "mail.hoster.example is not under contoso.example" in findings.telling.text
    assert "MAILROUTER_AUTODISCOVER_HOSTS" in findings.telling.remedy
    assert "location" in findings.telling.remedy


def test_plain_http_may_not_lead_to_plain_http() -> None:
    findings = World({PLAIN: moved(f"http://mail.{OWN}/autodiscover/autodiscover.xml")}).search()
    assert "is not https" in findings.telling.text


def test_another_address_begins_anew_in_its_domain() -> None:
    other = "anna@other.example"
    to_other = answer(200, soap(user("RedirectAddress", target=other)))
    world = World({at(OWN, "soap"): to_other, at("other.example", "json", other): TELLS}, MISSING)
    findings = world.search()

    assert findings.url == EWS
    assert findings.address == ANNA
    assert world.asked == [
        *ORDER[:3], at("autodiscover.other.example", "json", other), at("other.example", "json", other),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "other", [ANNA, ANNA.upper(), "nobody", "anna@10.0.0.1", "anna@x/../y.example", "anna@example"]
)
def test_an_address_that_leads_nowhere(other: str) -> None:
    world = World({at(OWN, "soap"): answer(200, soap(user("RedirectAddress", target=other)))}, MISSING)
    findings = world.search()

    assert findings.url == ""
    assert findings.telling.result is Result.REFUSED
    assert set(world.asked) <= set(ORDER)


def test_two_addresses_that_name_each_other_have_an_end() -> None:
    first, second = "anna@contoso.example", "anna@other.example"
    world = World(
        {
            at("contoso.example", "soap", first): answer(200, soap(user("RedirectAddress", target=second))),
            at("other.example", "soap", second): answer(200, soap(user("RedirectAddress", target=first))),
        },
        MISSING,
    )
    assert world.search().url == ""


def test_a_circle_of_redirects_is_seen() -> None:
    there = "https://mail.contoso.example/a.svc"
    world = World({at(OWN, "soap"): moved(there), there: moved(at(OWN, "soap"))}, MISSING)
    findings = world.search()

    assert "a circle" in findings.telling.text
    assert len(world.asked) == len(ORDER) + 1


def test_redirects_that_never_end_have_an_end() -> None:
    class Endless(dict[str, Reply]):
        def get(self, url: str, default: object = None) -> Reply | None:  # type: ignore[override]
            return None if url == SRV else moved(f"https://{OWN}/{len(url)}{url[-300:].replace('/', '')}")

    world = World(Endless())
    findings = world.search()

    assert "too many redirects" in findings.telling.text
    assert len(world.asked) <= len(ORDER) + MOST_REDIRECTS


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.contoso.example/EWS/Exchange.asmx",
        "https://user:secret@mail.contoso.example/EWS/Exchange.asmx",
        "ftp://mail.contoso.example/",
        "/EWS/Exchange.asmx",
        "https://",
        "https://mail.contoso.example:99999/",
        "http://127.0.0.1.evil.example/",
    ],
)
def test_an_url_that_would_give_credentials_away_is_not_taken(url: str) -> None:
    findings = World({at(SUB, "json"): answer(200, in_json(Url=url))}, MISSING).search()

    assert findings.url == ""
    assert findings.telling.result is Result.REFUSED


def test_an_url_on_this_machine_is_taken() -> None:
    url = "http://127.0.0.1:8080/EWS/Exchange.asmx"
    assert World({at(SUB, "json"): answer(200, in_json(Url=url))}).search().url == url


@pytest.mark.parametrize(
    "address", ["anna", "@", "anna@", "anna@contoso", "anna@a..example", "anna@evil.example/x", "a@-b.example"]
)
def test_what_is_no_address_is_not_asked_about(address: str) -> None:
    world = World({})
    findings = world.search(address)

    assert world.asked == []
    assert findings.telling.result is Result.REFUSED


def test_a_domain_of_other_letters_is_asked_as_the_dns_has_it() -> None:
    world = World({})
    world.search("anna@münchen.example")
    assert world.asked[1].startswith("https://xn--mnchen-3ya.example/")


def test_the_telling_step_is_the_one_a_person_can_act_on() -> None:
    denied = World({at(OWN, "soap"): answer(401)}, MISSING).search()
    assert (denied.telling.result, denied.telling.url) == (Result.DENIED, at(OWN, "soap"))

    unknown = World({at(OWN, "soap"): answer(401), at(OWN, "pox"): answer(200, soap(user("InvalidUser")))}, MISSING)
    assert unknown.search().telling.result is Result.DENIED

    certificate = World(
        {at(SUB, "json"): NoAnswer("certificate-expired", sent=False, text="expired")}, MISSING
    ).search()
    assert certificate.telling.text == "expired"
