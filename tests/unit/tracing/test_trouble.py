"""What is told of OpenTelemetry's complaints."""

import logging
from collections.abc import Iterator

import pytest
from opentelemetry.util.re import parse_env_headers

from worker.tracing.trouble import told


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def heard() -> Iterator[Heard]:
    """What the library complains of, whatever other tests have made of loggers."""
    complaints, heard = logging.getLogger(parse_env_headers.__module__), Heard()
    level, disabled = complaints.level, complaints.disabled
    complaints.addHandler(heard)
    complaints.setLevel(logging.WARNING)
    complaints.disabled = False
    yield heard
    complaints.removeHandler(heard)
    complaints.setLevel(level)
    complaints.disabled = disabled


@pytest.mark.parametrize("liberal", [True, False])
def test_a_header_that_cannot_be_read_is_not_repeated(heard: Heard, *, liberal: bool) -> None:
    parse_env_headers("Authorization: Bearer s3cret", liberal=liberal)
    (record,) = heard.records
    assert "s3cret" in record.getMessage()
    assert "s3cret" not in told(record)
    assert told(record).startswith("Header format invalid!")


def test_what_else_went_wrong_is_told_with_its_cause() -> None:
    cause = (OSError, OSError("no room"), None)
    record = logging.LogRecord("opentelemetry.sdk", logging.ERROR, "", 1, "batch %s lost:", (7,), cause)
    assert told(record) == "batch 7 lost: no room"
