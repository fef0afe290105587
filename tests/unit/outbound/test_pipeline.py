"""What the flow decides of a request before it is taken up."""

from datetime import timedelta

import pytest

from tests.unit.events.sample import accepted, changed
from worker.outbound.pipeline import LATEST, lifetime, taken_until

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("send_after", "horizon", "until"),
    [
        (None, timedelta(minutes=10), timedelta(minutes=10)),
        (None, 24 * HOUR, 24 * HOUR),
        (5 * HOUR, 24 * HOUR, 24 * HOUR),
        (24 * HOUR, 24 * HOUR, 24 * HOUR + LATEST),
    ],
)
def test_how_long_a_request_is_taken_up(send_after: timedelta | None, horizon: timedelta, until: timedelta) -> None:
    """Up to the horizon; what was ordered for its very end, a little longer."""
    request = accepted(changed({"data.expires_at": ..., "data.send_after": ...}))
    if send_after is not None:
        moment = (request.time + send_after).isoformat()
        request = accepted(changed({"data.expires_at": ..., "data.send_after": moment}))

    assert taken_until(request, horizon) - request.time == until
    assert until < lifetime(horizon)
