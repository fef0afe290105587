import base64
from pathlib import Path

import pytest

from worker.ews.auth import Basic
from worker.ews.endpoint import BasicSignIn, Endpoint
from worker.ews.transport import Answer
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


def ended(basic: Basic, *answers: Answer) -> list[dict[str, str]]:
    """The headers of each attempt a flow makes, given the answers to them; it must end with the last one."""
    flow = basic.flow()
    attempts = [dict(next(flow))]
    attempts += [dict(flow.send(answer)) for answer in answers[:-1]]
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
        next(basic.flow())


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
