"""What is told of OpenTelemetry's complaints."""

import logging

import pytest
from opentelemetry.util.re import parse_env_headers

from worker.tracing.trouble import told


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.mark.parametrize("liberal", [True, False])
def test_a_header_that_cannot_be_read_is_not_repeated(*, liberal: bool) -> None:
    complaints = logging.getLogger(parse_env_headers.__module__)
    heard = Heard()
    complaints.addHandler(heard)
    try:
        parse_env_headers("Authorization: Bearer s3cret", liberal=liberal)
    finally:
        complaints.removeHandler(heard)
    (record,) = heard.records
    assert "s3cret" in record.getMessage()
    assert "s3cret" not in told(record)
    assert told(record).startswith("Header format invalid!")


def test_what_else_went_wrong_is_told_with_its_cause() -> None:
    cause = (OSError, OSError("no room"), None)
    record = logging.LogRecord("opentelemetry.sdk", logging.ERROR, "", 1, "batch %s lost:", (7,), cause)
    assert told(record) == "batch 7 lost: no room"
