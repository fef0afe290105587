"""What is told at a scrape of things that come and go."""

from datetime import UTC, datetime

import pytest
from prometheus_client import generate_latest

from worker import metrics
from worker.metrics import REGISTRY, Expiries

ENDS_AT = datetime(2027, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expiries", "name"),
    [
        (metrics.token_ends, "mailrouter_token_expiry_timestamp_seconds"),
        (metrics.certificate_ends, "mailrouter_certificate_expiry_timestamp_seconds"),
    ],
)
def test_what_ends_is_read_at_each_scrape(expiries: Expiries, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[str]:
        return [line for line in generate_latest(REGISTRY).decode().splitlines() if line.startswith(f"{name}{{")]

    assert told() == []
    monkeypatch.setattr(expiries, "read", lambda: {"P": ENDS_AT})
    assert [float(line.removeprefix(f'{name}{{profile="P"}} ')) for line in told()] == [ENDS_AT.timestamp()]
