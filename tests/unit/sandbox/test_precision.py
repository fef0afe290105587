"""Times as EWS shows them: whole seconds, or milliseconds for who asks (EWS reference, DateTimePrecision)."""

from datetime import UTC, datetime

from worker.sandbox.shape import shown

MOMENT = datetime(2026, 11, 23, 8, 0, 0, 987_654, tzinfo=UTC)


def test_times_are_cut_off_not_rounded() -> None:
    assert shown(MOMENT, "seconds") == "2026-11-23T08:00:00Z"
    assert shown(MOMENT, "milliseconds") == "2026-11-23T08:00:00.987Z"
    assert shown(None, "seconds") == ""
