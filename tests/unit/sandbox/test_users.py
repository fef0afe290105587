"""Users of a sandbox from a file: what is taken, and how mistakes are told."""

import json
from pathlib import Path

import pytest
import trustme

from tests.unit.docs import example
from worker.sandbox import users
from worker.settings import ConfigurationError

USER = '[[user]]\naddress = "a@x"\npassword = "p"\n'
APPLICATION = f"{USER}[[application]]\ntenant = 't'\nclient_id = 'c'\n"


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "u.toml").write_text(
        '[[user]]\naddress = "A@x.example"\npassword = "p"\nname = "A"\nsend_as = ["B@x.example"]\n', encoding="utf-8"
    )
    table = {"address": "A@x.example", "password": "p", "name": "A", "send_as": ["B@x.example"]}
    (tmp_path / "u.json").write_text(json.dumps({"user": [table]}), encoding="utf-8")
    told = [users.described(users.from_file(tmp_path / name)) for name in ("u.toml", "u.json")]
    assert told[0] == told[1] == [{"address": "A@x.example", "password": "p", "send_as": ["b@x.example"]}]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[user", "not TOML"),
        ("x = 1", "no users; write one [[user]] table for each"),
        ('[[user]]\naddress = "a@x"', "[[user]] 1: password: is missing"),
        ('[[user]]\naddress = "a"\npassword = "p"', "[[user]] 1: address: is no mail address"),
        ('[[user]]\naddress = "a@x"\npassword = "p"\ncolour = "red"', "[[user]] 1: colour: unknown key"),
        ('[[user]]\naddress = "a@x"\npassword = "p"\nsend_as = "all"', "[[user]] 1: send_as: must be a list"),
        ("user = [1]", "[[user]] 1: must be a table"),
        (f'{USER}state = "tired"', "[[user]] 1: state: tired: no such state; there are ok, password-expired"),
        (f"application = 1\n{USER}", "applications: write one [[application]] table for each"),
        (f"{USER}[[application]]\ntenant = 't'", "[[application]] 1: client_id: is missing"),
        (f"{APPLICATION}", "[[application]] 1: client_secret: is missing, and so is certificate"),
        (f"{APPLICATION}client_secret = 1", "[[application]] 1: client_secret: is no text"),
        (f"{APPLICATION}client_secret = 's'\ncolour = 'red'", "[[application]] 1: colour: unknown key"),
        (f"{APPLICATION}client_secret = 's'\nmailboxes = '*'", "[[application]] 1: mailboxes: must be a list"),
        (f"{APPLICATION}client_secret = 's'\nsecret_expired = 1", "secret_expired: must be true or false"),
        (f"{APPLICATION}certificate = 'none.pem'", "none.pem cannot be read: No such file"),
        (f"{APPLICATION}certificate = 'u.toml'", "u.toml holds no certificate in PEM"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "u.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        users.from_file(path)
    assert str(path) in str(raised.value)
    assert complaint in str(raised.value)


def test_the_example_of_the_docs(tmp_path: Path) -> None:
    path = tmp_path / "u.toml"
    path.write_text(example("docs/exchange-administrators.md", "users"), encoding="utf-8")
    directory = users.from_file(path)
    assert [each.state for each in directory.users.values()] == ["ok", "ok"]
    (application,) = directory.applications.values()
    assert (application.tenant, application.roles, application.mailboxes) == (
        "contoso.example", ("full_access_as_app",), {"*"},
    )  # fmt: skip


def test_a_certificate_lies_beside_the_file(tmp_path: Path) -> None:
    trustme.CA(key_type=trustme.KeyType.RSA).cert_pem.write_to_path(str(tmp_path / "app.pem"))
    trustme.CA(key_type=trustme.KeyType.ECDSA).cert_pem.write_to_path(str(tmp_path / "elliptic.pem"))
    path = tmp_path / "u.toml"
    path.write_text(f"{APPLICATION}certificate = 'app.pem'", encoding="utf-8")
    assert users.from_file(path).applications["c"].certificate is not None
    path.write_text(f"{APPLICATION}certificate = 'elliptic.pem'", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="has no RSA key"):
        users.from_file(path)


def test_without_a_service_account_each_user_has_credentials_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "u.toml"
    path.write_text('[[user]]\naddress = "a@x.example"\npassword = "p"\n', encoding="utf-8")
    snippet = users.profiles_snippet(users.from_file(path), "https://h/EWS/Exchange.asmx", ca_file="/ca.pem")
    assert 'credentials    = "user-specified"' in snippet
    assert 'username = "a@x.example"' in snippet
    assert 'ca_file        = "/ca.pem"' in snippet
