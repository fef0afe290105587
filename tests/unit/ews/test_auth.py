import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

from worker.ews.auth import Basic, Bearer, Greeting, NeedsToken, Step
from worker.ews.connection import Connection
from worker.ews.endpoint import BasicSignIn, Endpoint, NtlmSignIn
from worker.ews.http_answer import Answer
from worker.ews.negotiated import Negotiated
from worker.settings import ConfigurationError, SecretReference

OK, REFUSED = Answer(200, {}, b""), Answer(401, {}, b"")


def header(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"rüter@contoso.example:{password}".encode()).decode()}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("first: ü\n")
    return path


@pytest.fixture
def basic(secret: Path) -> Basic:
    return Basic(BasicSignIn("rüter@contoso.example", SecretReference(f"file:{secret}")))


def headers(step: Step) -> dict[str, str]:
    assert isinstance(step, Mapping), step
    return dict(step)


def ended(basic: Basic, *answers: Answer) -> list[dict[str, str]]:
    """The headers of each attempt a flow makes, given the answers to them; it must end with the last one."""
    flow = basic.flow(Connection())
    attempts = [headers(next(flow))]
    attempts += [headers(flow.send(answer)) for answer in answers[:-1]]
    with pytest.raises(StopIteration):
        flow.send(answers[-1])
    return attempts


def test_user_name_and_password_go_with_every_request(basic: Basic) -> None:
    assert ended(basic, OK) == [header("first: ü")]
    assert ended(basic, OK) == [header("first: ü")]


def test_a_first_refusal_stands(basic: Basic) -> None:
    assert len(ended(basic, REFUSED)) == 1


def test_a_password_changed_meanwhile_is_read_anew_and_tried_once(basic: Basic, secret: Path) -> None:
    ended(basic, OK)
    secret.write_text("second")

    assert ended(basic, REFUSED, OK) == [header("first: ü"), header("second")]
    assert ended(basic, OK) == [header("second")]


def test_the_same_password_is_not_tried_twice(basic: Basic) -> None:
    ended(basic, OK)

    assert len(ended(basic, REFUSED)) == 1


def test_after_a_refusal_the_password_is_read_anew(basic: Basic, secret: Path) -> None:
    ended(basic, REFUSED)
    secret.write_text("second")

    assert ended(basic, OK) == [header("second")]


def test_a_missing_secret_says_so(basic: Basic, secret: Path) -> None:
    secret.unlink()

    with pytest.raises(ConfigurationError):
        next(basic.flow(Connection()))


@pytest.mark.parametrize(
    ("url", "guarded"),
    [
        ("https://mail.contoso.example/EWS/Exchange.asmx", True),
        ("http://mail.contoso.example/EWS/Exchange.asmx", False),
        ("http://127.0.0.1:8080/EWS/Exchange.asmx", True),
        ("http://[::1]:8080/EWS/Exchange.asmx", True),
        ("http://localhost/EWS/Exchange.asmx", True),
        ("http://127.0.0.1.contoso.example/", False),
        ("http://10.0.0.1/", False),
    ],
)
def test_passwords_go_over_tls_or_stay_on_this_machine(url: str, guarded: bool) -> None:  # noqa: FBT001 - a table
    endpoint = Endpoint("P", url, BasicSignIn("a", SecretReference("env:A")))

    assert endpoint.guards_secrets is guarded


CHALLENGED = Answer(401, {}, b"", challenges=("NTLM", "Negotiate"))
CHALLENGE = (
    # As a domain controller gives it: flags, a challenge, the names of domain and server (MS-NLMP 4.2.4.3).
    "TlRMTVNTUAACAAAADAAMADgAAAAzgoriASNFZ4mrze8AAAAAAAAAACQAJABEAAAABgBwFwAAAA9TAGUAcgB2AGUAcgACAAwARABvAG0AYQBpAG4A"
    "AQAMAFMAZQByAHYAZQByAAAAAAA="
)


class Channel(asyncio.Transport):
    """A connection, without TLS."""

    closed = False

    def is_closing(self) -> bool:
        return self.closed


def signed_in() -> Connection:
    connection = Connection()
    connection.channel = Channel()
    connection.signed_in = True
    return connection


def negotiated(secret: Path) -> Negotiated:
    return Negotiated(NtlmSignIn("CONTOSO\\router", SecretReference(f"file:{secret}")))


def test_a_refused_token_is_replaced_once() -> None:
    flow = Bearer().flow(Connection())
    assert next(flow) == NeedsToken()
    assert flow.send("first") == {"Authorization": "Bearer first"}
    assert flow.send(REFUSED) == NeedsToken(refused="first")
    assert flow.send("second") == {"Authorization": "Bearer second"}
    with pytest.raises(StopIteration):
        flow.send(REFUSED)


def test_a_token_is_not_shown() -> None:
    assert "first" not in repr(NeedsToken(refused="first"))


def test_a_connection_that_is_signed_in_carries_the_request_alone(secret: Path) -> None:
    connection = signed_in()
    flow = negotiated(secret).flow(connection)
    assert next(flow) == {}
    with pytest.raises(StopIteration):
        flow.send(OK)
    assert connection.signed_in


def test_one_that_was_replaced_meanwhile_is_greeted_anew(secret: Path) -> None:
    connection = signed_in()
    flow = negotiated(secret).flow(connection)
    next(flow)
    connection.channel = Channel()
    assert isinstance(flow.send(CHALLENGED), Greeting)
    assert not connection.signed_in


def test_one_that_was_closed_carries_nothing_but_a_greeting(secret: Path) -> None:
    connection = Connection()
    connection.channel = channel = Channel()
    connection.signed_in = True
    channel.closed = True
    assert isinstance(next(negotiated(secret).flow(connection)), Greeting)


def test_a_refused_password_is_not_tried_again(secret: Path) -> None:
    connection = Connection()
    connection.channel = Channel()
    flow = negotiated(secret).flow(connection)
    next(flow)
    proof = headers(flow.send(Answer(401, {}, b"", challenges=(f"NTLM {CHALLENGE}",))))
    assert proof["Authorization"].startswith("NTLM TlRMTVNTUAADAAAA")
    with pytest.raises(StopIteration):
        flow.send(CHALLENGED)
    assert not connection.signed_in


def test_a_proof_that_went_over_another_connection_than_the_challenge_is_made_anew(secret: Path) -> None:
    connection = Connection()
    connection.channel = Channel()
    flow = negotiated(secret).flow(connection)
    next(flow)
    flow.send(Answer(401, {}, b"", challenges=(f"NTLM {CHALLENGE}",)))
    connection.channel = Channel()
    assert isinstance(flow.send(CHALLENGED), Greeting)
    assert "Authorization" in headers(flow.send(Answer(401, {}, b"", challenges=(f"NTLM {CHALLENGE}",))))
    with pytest.raises(StopIteration):
        flow.send(OK)
    assert connection.signed_in


def test_what_is_no_challenge_ends_the_handshake(secret: Path) -> None:
    flow = negotiated(secret).flow(Connection())
    assert isinstance(next(flow), Greeting)
    with pytest.raises(StopIteration):
        flow.send(Answer(401, {}, b"", challenges=("NTLM bm9uc2Vuc2U=",)))


def test_negotiate_is_greeted_where_ntlm_is_not_offered(secret: Path) -> None:
    flow = negotiated(secret).flow(Connection())
    next(flow)
    greeting = flow.send(Answer(401, {}, b"", challenges=("Negotiate",)))
    assert isinstance(greeting, Greeting)
    assert greeting.headers["Authorization"].startswith("Negotiate ")


@pytest.mark.parametrize(
    ("challenges", "schemes"),
    [
        ((), set()),
        (("Negotiate", "NTLM", 'Basic realm="mail, or so"'), {"negotiate", "ntlm", "basic"}),
        (("Negotiate, NTLM,Basic realm=x",), {"negotiate", "ntlm", "basic"}),
        (('Bearer client_id="0ff1", trusted_issuers="a, b", token_types="app"',), {"bearer"}),
        ((f"NTLM {CHALLENGE}",), {"ntlm"}),
    ],
)
def test_what_is_offered_is_read(challenges: tuple[str, ...], schemes: set[str]) -> None:
    assert Answer(401, {}, b"", challenges=challenges).schemes == schemes


@pytest.mark.parametrize("line", [f"NTLM {CHALLENGE}", f'Basic realm="a, b", NTLM {CHALLENGE}, Negotiate'])
def test_what_comes_with_one_way_is_read_wherever_it_stands(line: str) -> None:
    answer = Answer(401, {}, b"", challenges=(line,))

    assert answer.offered("ntlm") == CHALLENGE
    assert answer.offered("negotiate") == ""
