"""Whatever stands in a profiles file, what is wrong with it is said in lines, all of it, and no secret with it."""

import string
import time
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.profiles.loader import MOST_BYTES, MOST_FAULTS, load, parse, tables
from worker.profiles.model import Mailbox, Profile
from worker.settings import ConfigurationError

SECRET: Final = "hunter2"

PROFILE: Final = {
    "name": "Out",
    "direction": "outgoing",
    "server": "exchange",
    "location": "https://mail.contoso.example/EWS/Exchange.asmx",
    "username": "router@contoso.example",
    "password": "env:PATH",
}
MAILBOX: Final = {"address": "*@contoso.example", "outgoing": "Out"}

_WORDS: Final = (
    "oauth2",
    "clear-text",
    "ntlm",
    "outgoing",
    "incoming",
    "exchange",
    "exchange-online",
    "user-specified",
)
_SECRETS: Final = st.sampled_from([SECRET, f"https://router:{SECRET}@mail.example/", f"{SECRET}\n", f"\0{SECRET}"])
_SCALARS: Final = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.datetimes(), st.dates(), st.times(), st.sampled_from(_WORDS), _SECRETS
)
_VALUES: Final = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(string.printable, max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
_SHOWN_KEYS: Final = ("name", "address", "outgoing", "incoming")
"""Whose text is what a person finds the place by."""


def _tables(model: type[Profile | Mailbox], sound: dict[str, Any]) -> st.SearchStrategy[Any]:
    keys = [key for key in model.model_fields if key not in _SHOWN_KEYS]
    names = st.sampled_from(["Out", "In", "out", "", "a@b", "*@contoso.example", "a\nb"]) | st.integers()
    changes = st.dictionaries(st.sampled_from(keys) | st.text(max_size=5), _VALUES, max_size=5)
    shown = st.dictionaries(st.sampled_from(_SHOWN_KEYS), names, max_size=2)
    return st.builds(lambda change, name: {**sound, **change, **name}, changes, shown)


@given(
    st.lists(_tables(Profile, PROFILE) | _VALUES, max_size=3) | _VALUES,
    st.lists(_tables(Mailbox, MAILBOX) | _VALUES, max_size=3) | _VALUES,
)
@settings(max_examples=300, deadline=None)
def test_nothing_but_lines_without_secrets(profiles: Any, mailboxes: Any) -> None:
    try:
        parse({"profile": profiles, "mailbox": mailboxes}, "profiles.toml")
    except ConfigurationError as refused:
        for fault in refused.faults:
            assert fault.startswith("profiles.toml: ")
            assert "\n" not in fault
            assert SECRET not in fault


@given(st.text() | st.text("[]{}=\"'\\#.\n\r\t 0a", max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_toml_is_a_line(text: str) -> None:
    try:
        tables(text, "profiles.toml")
    except ConfigurationError as refused:
        (fault,) = refused.faults
        assert "not TOML" in fault
        assert fault.isprintable()


def test_each_single_fault_is_told_beside_all_others() -> None:
    """What is wrong with one key hides nothing of what is wrong between keys, tables, and on this machine."""
    profile = PROFILE | {"colour": "red", "password": "env:NOT_SET", "autodiscover": True, "tenant_id": "t"}
    mailbox = MAILBOX | {"kind": "person", "incoming": "Out", "password": "file:/nowhere"}
    with pytest.raises(ConfigurationError) as refused:
        parse({"profile": [profile], "mailbox": [mailbox]}, "f")
    told = [fault.removeprefix("f: ").rpartition("): ")[2].partition(":")[0] for fault in refused.value.faults]
    assert told == ["colour", "location", "tenant_id", "password", "kind", "incoming", "password"]


def test_very_many_faults_are_counted() -> None:
    wrong = [
        MAILBOX | {"address": f"u{number}@contoso.example", "outgoing": "Otu"} for number in range(MOST_FAULTS + 5)
    ]
    with pytest.raises(ConfigurationError) as refused:
        parse({"profile": [PROFILE], "mailbox": wrong}, "f")
    assert len(refused.value.faults) == MOST_FAULTS + 1
    assert refused.value.faults[-1] == "f: and 5 more"


def test_five_thousand_mailboxes_are_quick(tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    lines = ["[[profile]]", *(f'{key} = "{value}"' for key, value in PROFILE.items())]
    for number in range(5000):
        lines += ["[[mailbox]]", f'address = "u{number}@contoso.example"', 'outgoing = "Out"', 'kind = "queue"']
    file.write_text("\n".join(lines))
    began = time.process_time()
    assert len(load(file).mailboxes) == 5000
    assert time.process_time() - began < 5, "it takes a tenth of that"


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    file.write_bytes(b'\xef\xbb\xbf[[profile]]\r\nname = "Out"\r\n')
    with pytest.raises(ConfigurationError) as refused:
        load(file)
    assert "[[profile]] 1 (Out): direction: is missing" in refused.value.faults[0]


@pytest.mark.parametrize(
    ("content", "cause"),
    [(b"#" * (MOST_BYTES + 1), "is larger than 16 MiB"), ("ü".encode("latin-1"), "not UTF-8 text")],
)
def test_what_is_no_profiles_file(tmp_path: Path, content: bytes, cause: str) -> None:
    file = tmp_path / "profiles.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=cause):
        load(file)
