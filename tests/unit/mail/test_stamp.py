from hypothesis import given
from hypothesis import strategies as st

from worker.mail.stamp import VOID, stamp_of


def test_holds_source_and_id() -> None:
    assert stamp_of("/crm/contoso", "6e0b") == "/crm/contoso 6e0b"


@given(st.text(), st.text(), st.text(), st.text())
def test_two_requests_never_share_one(source: str, event_id: str, other_source: str, other_id: str) -> None:
    if (source, event_id) != (other_source, other_id):
        assert stamp_of(source, event_id) != stamp_of(other_source, other_id)


@given(st.text(), st.text())
def test_short_printable_and_never_void(source: str, event_id: str) -> None:
    stamp = stamp_of(source, event_id)
    assert len(stamp) <= 201  # FindItem rows cut strings at 255
    assert stamp.isascii()
    assert stamp.isprintable()
    assert stamp != VOID
