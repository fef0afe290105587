"""What the flow decides of a request before it is taken up, and what it counts, whatever becomes of it."""

import asyncio
from datetime import timedelta

import orjson
import pytest

from tests.unit.events.sample import accepted, changed
from tests.unit.outbound.fakes import FakeBroker, FakeDelivery, FakeFiles, FakeTransport, Journal, StubClock
from worker.metrics import REGISTRY
from worker.outbound.pipeline import LATEST, Limits, Outbound, lifetime, taken_until
from worker.profiles.book import Book

HOUR = timedelta(hours=1)


async def test_a_message_that_a_bug_stopped_has_taken_its_time() -> None:
    journal, clock = Journal(), StubClock()

    def book() -> Book:
        clock.seconds += 4.0
        raise LookupError("a bug")

    def counted() -> float:
        return REGISTRY.get_sample_value("mailrouter_outbound_seconds_sum") or 0.0

    before = counted()
    async with asyncio.TaskGroup() as tasks:
        outbound = Outbound(
            FakeBroker(journal),
            FakeTransport(journal),
            book,
            clock,
            tasks,
            files=FakeFiles(journal),
            limits=Limits(12 * 2**20, timedelta(days=7), 10, 4, patience_seconds=15.0),
        )
        await outbound.take(
            FakeDelivery(journal, orjson.dumps(changed({"data.expires_at": ..., "data.send_after": ...})))
        )
        await outbound.drain()
    assert journal.kinds() == ["bury", "ack"]
    assert counted() - before == 4.0


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
