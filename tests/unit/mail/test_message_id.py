import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.mail.message_id import Origin, compose, read
from worker.mail.stamp import stamp_of

STAMP = stamp_of("/crm", "event-1")


@given(st.text(min_size=1, max_size=128).filter(lambda text: text.isprintable()))
def test_what_goes_in_comes_out(email_id: str) -> None:
    message_id = compose(email_id, STAMP, "contoso.example", b"key")
    assert read(message_id, b"key") == Origin(email_id, verified=True)
    assert len(message_id) <= 998
    assert message_id.isascii()


def test_deterministic() -> None:
    assert compose("m", STAMP, "a.example", b"key") == compose("m", STAMP, "a.example", b"key")
    assert compose("m", STAMP, "a.example", b"key") != compose("m", stamp_of("/crm", "event-2"), "a.example", b"key")


def test_without_a_key_nothing_is_verified() -> None:
    assert read(compose("m", STAMP, "a.example", None), b"key") == Origin("m", verified=False)
    assert read(compose("m", STAMP, "a.example", b"key"), None) == Origin("m", verified=False)
    assert read(compose("m", STAMP, "a.example", None), None) == Origin("m", verified=False)


def test_a_forged_id_is_not_verified() -> None:
    genuine = compose("m", STAMP, "a.example", b"key")
    head, carried, *rest = genuine.split(".")
    forged = ".".join([head, "bg" if carried != "bg" else "bQ", *rest])
    found = read(forged, b"key")
    assert found is not None
    assert not found.verified


@pytest.mark.parametrize(
    "text",
    ["", "<>", "<x@y>", "<crm.a@b>", "<crm.!.x.0@b>", "crm." + "A" * 5000, "<crm.gA.AAAAAAAAAAAAAAAAAAAAAA.0@b>"],
)
def test_foreign_ids_are_foreign(text: str) -> None:
    assert read(text, b"key") is None
