"""Users of a sandbox from a file: what is taken, and how mistakes are told."""

import json
from pathlib import Path

import pytest

from worker.sandbox import users
from worker.settings import ConfigurationError


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
    ],
)
def test_mistakes(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "u.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        users.from_file(path)
    assert str(path) in str(raised.value)
    assert complaint in str(raised.value)


def test_without_a_service_account_each_user_has_credentials_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "u.toml"
    path.write_text('[[user]]\naddress = "a@x.example"\npassword = "p"\n', encoding="utf-8")
    snippet = users.profiles_snippet(users.from_file(path), "https://h/EWS/Exchange.asmx", ca_file="/ca.pem")
    assert 'credentials    = "user-specified"' in snippet
    assert 'username = "a@x.example"' in snippet
    assert 'ca_file        = "/ca.pem"' in snippet
