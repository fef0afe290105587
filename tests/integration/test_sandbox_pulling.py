"""Notifications that are asked for, by hand."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from tests.integration.ews_by_hand import Answer, Client, folder_id
from worker.clock import SystemClock
from worker.sandbox import users
from worker.sandbox.exchange import Exchange
from worker.sandbox.item import Item
from worker.sandbox.server import Sandbox
from worker.sandbox.subscriptions import MOST_KEPT

ANNA = "anna@contoso.example"
NONE = "SmdCeg=="


class Shifted(SystemClock):
    """The real one, some time on."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.fixture
def clock() -> Shifted:
    return Shifted()


@pytest.fixture
async def sandbox(clock: Shifted) -> AsyncIterator[Sandbox]:
    async with Sandbox(Exchange(users.invented("contoso.example", None), clock=clock)) as started:
        yield started


async def _subscribe(anna: Client, minutes: int = 30, inner: str = "") -> Answer:
    kinds = "<t:EventType>NewMailEvent</t:EventType><t:EventType>DeletedEvent</t:EventType>"
    return await anna.ask(
        f"<m:Subscribe><m:PullSubscriptionRequest><t:FolderIds>{folder_id('inbox')}</t:FolderIds>"
        f"<t:EventTypes>{kinds}</t:EventTypes>{inner}<t:Timeout>{minutes}</t:Timeout></m:PullSubscriptionRequest>"
        "</m:Subscribe>"
    )


async def _subscribed(anna: Client, minutes: int = 30) -> tuple[str, str]:
    """Its id, and the watermark from which on it knows."""
    told = await _subscribe(anna, minutes)
    assert told.codes == ["NoError"]
    return told.texts("//m:SubscriptionId")[0], told.texts("//m:Watermark")[0]


async def _events(anna: Client, subscription: str, watermark: str) -> Answer:
    return await anna.ask(
        f"<m:GetEvents><m:SubscriptionId>{subscription}</m:SubscriptionId><m:Watermark>{watermark}</m:Watermark>"
        "</m:GetEvents>"
    )


async def test_from_one_watermark_to_the_next(sandbox: Sandbox, anna: Client) -> None:
    subscription, first = await _subscribed(anna)
    nothing = await _events(anna, subscription, first)
    assert nothing.texts("//t:StatusEvent/t:Watermark") == [first]
    one, two = (sandbox.exchange.arrive(ANNA, Item(subject=each)) for each in "12")
    told = await _events(anna, subscription, first)
    assert told.texts("//t:NewMailEvent/t:ItemId/@Id") == [one.id, two.id]
    assert told.texts("//t:PreviousWatermark") == [first]
    assert told.texts("//t:MoreEvents") == ["false"]
    between, last = told.texts("//t:NewMailEvent/t:Watermark")
    assert (await _events(anna, subscription, between)).texts("//t:ItemId/@Id") == [two.id]
    assert (await _events(anna, subscription, last)).texts("//t:StatusEvent/t:Watermark") == [last]
    sandbox.exchange.store.remove(one)
    assert (await _events(anna, subscription, last)).texts("//t:DeletedEvent/t:ItemId/@Id") == [one.id]
    assert (await _events(anna, subscription, first)).texts("//t:NewMailEvent/t:ItemId/@Id") == [one.id, two.id]


async def test_what_is_none_or_no_more(sandbox: Sandbox, anna: Client) -> None:
    subscription, watermark = await _subscribed(anna)
    other, _ = await _subscribed(anna)
    assert (await _events(anna, other, watermark)).codes == ["ErrorInvalidWatermark"]
    for wrong in (NONE, "garbage", "\N{SNOWMAN}"):
        assert (await _events(anna, subscription, wrong)).codes == ["ErrorInvalidWatermark"]
    assert (await _events(anna, subscription, "")).codes == ["fault", "ErrorSchemaValidation"]
    ended = f"<m:Unsubscribe><m:SubscriptionId>{other}</m:SubscriptionId></m:Unsubscribe>"
    assert (await anna.ask(ended)).codes == ["NoError"]
    assert (await _events(anna, other, watermark)).codes == ["ErrorSubscriptionNotFound"]
    for _ in range(MOST_KEPT + 1):
        sandbox.exchange.store.remove(sandbox.exchange.arrive(ANNA, Item()))
    assert (await _events(anna, subscription, watermark)).codes == ["ErrorEventNotFound"]
    assert len(sandbox.exchange.subscriptions) == 0


async def test_unasked_for_too_long(anna: Client, clock: Shifted) -> None:
    subscription, watermark = await _subscribed(anna, minutes=10)
    for _ in range(2):  # each time it lives on
        clock.ahead += timedelta(minutes=9)
        assert (await _events(anna, subscription, watermark)).codes == ["NoError"]
    clock.ahead += timedelta(minutes=11)
    assert (await _events(anna, subscription, watermark)).codes == ["ErrorSubscriptionNotFound"]


async def test_neither_is_told_as_the_other(anna: Client) -> None:
    pulled, watermark = await _subscribed(anna)
    listened = (
        f"<m:Subscribe><m:StreamingSubscriptionRequest><t:FolderIds>{folder_id('inbox')}</t:FolderIds><t:EventTypes>"
        "<t:EventType>NewMailEvent</t:EventType></t:EventTypes></m:StreamingSubscriptionRequest></m:Subscribe>"
    )
    (streamed,) = (await anna.ask(listened)).texts("//m:SubscriptionId")
    assert (await _events(anna, streamed, watermark)).codes == ["ErrorInvalidPullSubscriptionId"]
    listen = (
        f"<m:GetStreamingEvents><m:SubscriptionIds><t:SubscriptionId>{pulled}</t:SubscriptionId></m:SubscriptionIds>"
        "<m:ConnectionTimeout>1</m:ConnectionTimeout></m:GetStreamingEvents>"
    )
    async with anna.streaming(listen) as response:
        assert b"ErrorSubscriptionNotFound" in await response.read()
    assert (await _events(anna, pulled, watermark)).codes == ["NoError"]


async def test_requests_that_make_no_sense(anna: Client) -> None:
    for minutes in (0, 1441):
        assert (await _subscribe(anna, minutes)).codes == ["fault", "ErrorSchemaValidation"]
    resumed = await _subscribe(anna, inner=f"<t:Watermark>{NONE}</t:Watermark>")
    assert resumed.codes == ["ErrorInvalidWatermark"]
