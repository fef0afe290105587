"""Notifications over a connection that stays open, heard by hand."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
import pytest
from lxml import etree

from tests.integration.ews_by_hand import NAMES, Answer, Client, folder_id
from worker.sandbox.faults import Order
from worker.sandbox.item import Item
from worker.sandbox.server import Sandbox

ANNA, BERT = "anna@contoso.example", "bert@contoso.example"
KINDS = ("NewMailEvent", "CreatedEvent", "MovedEvent", "DeletedEvent", "ModifiedEvent")


class Stream:
    """The answers of one connection, one after another."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._waiting = b""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Answer:
        while (end := self._waiting.find(b"</s:Envelope>")) < 0:
            portion = await asyncio.wait_for(self._response.content.readany(), 5)
            if not portion:
                assert not self._waiting
                raise StopAsyncIteration
            self._waiting += portion
        whole, self._waiting = self._waiting[: end + 13], self._waiting[end + 13 :]
        return Answer(self._response.status, {}, whole)

    async def events(self) -> list[str]:
        """The kinds of the next notification's events."""
        answer = await anext(self)
        found = answer.xml.xpath("//t:Notification/*[position() > 1]", namespaces=NAMES)
        assert isinstance(found, list)
        return [etree.QName(each).localname for each in found if isinstance(each, etree._Element)]


async def _subscribe(client: Client, folder: str = "inbox", kinds: tuple[str, ...] = KINDS) -> Answer:
    listed = "".join(f"<t:EventType>{each}</t:EventType>" for each in kinds)
    return await client.ask(
        f"<m:Subscribe><m:StreamingSubscriptionRequest><t:FolderIds>{folder_id(folder)}</t:FolderIds>"
        f"<t:EventTypes>{listed}</t:EventTypes></m:StreamingSubscriptionRequest></m:Subscribe>"
    )


async def _subscribed(client: Client, folder: str = "inbox", kinds: tuple[str, ...] = KINDS) -> str:
    (subscription,) = (await _subscribe(client, folder, kinds)).texts("//m:SubscriptionId")
    return subscription


def _request(ids: tuple[str, ...], minutes: int = 30) -> str:
    listed = "".join(f"<t:SubscriptionId>{each}</t:SubscriptionId>" for each in ids)
    return (
        f"<m:GetStreamingEvents><m:SubscriptionIds>{listed}</m:SubscriptionIds>"
        f"<m:ConnectionTimeout>{minutes}</m:ConnectionTimeout></m:GetStreamingEvents>"
    )


@asynccontextmanager
async def _listening(client: Client, *ids: str, minutes: int = 30) -> AsyncIterator[Stream]:
    """A connection that has told that it is there."""
    async with client.streaming(_request(ids, minutes)) as response:
        stream = Stream(response)
        assert (await anext(stream)).texts("//m:ConnectionStatus") == ["OK"]
        yield stream


async def test_what_happens_in_the_inbox(sandbox: Sandbox, anna: Client) -> None:
    subscription = await _subscribed(anna)
    async with _listening(anna, subscription) as stream:
        item = sandbox.exchange.arrive(ANNA, Item(subject="1"))
        told = await anext(stream)
        assert told.texts("//t:SubscriptionId") == [subscription]
        assert told.texts("//t:NewMailEvent/t:ItemId/@Id") == [item.id]
        assert len(told.texts("//t:CreatedEvent/t:ParentFolderId/@Id")) == 1
        await anna.mark_read((item.id, ""))
        assert await stream.events() == ["ModifiedEvent"]
        (moved,) = (await anna.move((item.id, ""), folder="junkemail")).ids
        told = await anext(stream)
        assert told.texts("//t:MovedEvent/t:ItemId/@Id") == [moved[0]]
        assert told.texts("//t:MovedEvent/t:OldItemId/@Id") == [told.texts("//t:OldItemId/@Id")[0]] != [moved[0]]
        await anna.delete(moved)
        sandbox.exchange.store.remove(sandbox.exchange.arrive(ANNA, Item()))
        assert await stream.events() == ["CreatedEvent", "NewMailEvent", "DeletedEvent"]


async def test_only_what_was_asked_for(sandbox: Sandbox, anna: Client) -> None:
    subscription = await _subscribed(anna, kinds=("NewMailEvent",))
    async with _listening(anna, subscription) as stream:
        sandbox.exchange.arrive(BERT, Item())
        sandbox.exchange.arrive(ANNA, Item(), folder="junkemail")
        sandbox.exchange.arrive(ANNA, Item())
        assert await stream.events() == ["NewMailEvent"]


async def test_what_happened_before_anybody_listened(sandbox: Sandbox, anna: Client) -> None:
    subscription = await _subscribed(anna, kinds=("NewMailEvent",))
    sandbox.exchange.arrive(ANNA, Item())
    async with _listening(anna, subscription) as stream:
        assert await stream.events() == ["NewMailEvent"]


async def test_many_mailboxes_over_one_connection(sandbox: Sandbox) -> None:
    async with Client(sandbox.url, "router@contoso.example", "sandbox-router") as router:
        ids = {}
        for address in (ANNA, BERT):
            router.acting_as = address
            ids[address] = await _subscribed(router, kinds=("NewMailEvent",))
        router.acting_as = ANNA
        async with _listening(router, *ids.values()) as stream:
            sandbox.exchange.arrive(BERT, Item())
            assert (await anext(stream)).texts("//t:SubscriptionId") == [ids[BERT]]


async def test_alive_and_then_closed(sandbox: Sandbox, anna: Client) -> None:
    sandbox.exchange.options.keep_alive_seconds = 0.01
    subscription = await _subscribed(anna)
    async with _listening(anna, subscription) as stream:
        assert await stream.events() == ["StatusEvent"]
        sandbox.exchange.subscriptions.close()
        answers = [each async for each in stream]
    assert answers[-1].texts("//m:ConnectionStatus") == ["Closed"]
    sandbox.exchange.options.connection_minute_seconds = 0.005
    async with _listening(anna, subscription, minutes=2) as stream:
        answers = [each async for each in stream]
    assert answers[-1].texts("//m:ConnectionStatus") == ["Closed"]
    assert sandbox.exchange.subscriptions.connections == 0
    sandbox.exchange.options.subscription_minutes = 0
    await _subscribed(anna)
    assert len(sandbox.exchange.subscriptions) == 1  # nobody listens to the first any more


async def test_unknown_and_forgotten_subscriptions(sandbox: Sandbox, anna: Client) -> None:
    good, gone = await _subscribed(anna), await _subscribed(anna)
    ended = f"<m:Unsubscribe><m:SubscriptionId>{gone}</m:SubscriptionId></m:Unsubscribe>"
    assert [(await anna.ask(ended)).codes for _ in range(2)] == [["NoError"], ["ErrorSubscriptionNotFound"]]
    async with _listening(anna, good, gone) as stream:
        told = await anext(stream)
        assert told.codes == ["ErrorSubscriptionNotFound"]
        assert told.texts("//m:ErrorSubscriptionIds/t:SubscriptionId") == [gone]
        assert [each async for each in stream] == []
    async with _listening(anna, good) as stream:
        assert sandbox.exchange.subscriptions.drop_all() == 1
        assert (await anext(stream)).codes == ["ErrorSubscriptionNotFound"]


async def test_a_second_connection_takes_the_place_of_the_first(sandbox: Sandbox, anna: Client) -> None:
    subscription = await _subscribed(anna, kinds=("NewMailEvent",))
    async with _listening(anna, subscription) as first, _listening(anna, subscription) as second:
        assert (await anext(first)).codes == ["ErrorNewEventStreamConnectionOpened"]
        sandbox.exchange.arrive(ANNA, Item())
        assert await second.events() == ["NewMailEvent"]


async def test_limits(sandbox: Sandbox, anna: Client) -> None:
    options = sandbox.exchange.options
    options.subscriptions_per_mailbox, options.connections_per_account = 2, 1
    first = await _subscribed(anna)
    await _subscribed(anna)
    assert (await _subscribe(anna)).codes == ["ErrorExceededSubscriptionCount"]
    async with Client(sandbox.url, BERT) as bert:
        assert (await _subscribe(bert)).codes == ["NoError"]
    async with _listening(anna, first):
        assert (await anna.ask(_request((first,)))).codes == ["ErrorExceededConnectionCount"]
    for wrong in (_request(()), _request((first,), 0), _request((first,), 31)):
        assert (await anna.ask(wrong)).codes == ["fault", "ErrorSchemaValidation"]
    assert (await anna.ask(_request((first,) * 201))).codes == ["fault", "ErrorInvalidRequest"]
    options.subscription_minutes = 0
    assert (await _subscribe(anna)).codes == ["NoError"]  # nobody listened to the others


async def test_notifications_refused_and_lost(sandbox: Sandbox, anna: Client) -> None:
    sandbox.exchange.options.notifications = "refused"
    assert (await _subscribe(anna)).codes == ["ErrorServerBusy"]
    sandbox.exchange.options.notifications = "lost"
    sandbox.exchange.options.keep_alive_seconds = 0.01
    async with _listening(anna, await _subscribed(anna)) as stream:
        sandbox.exchange.arrive(ANNA, Item())
        assert await stream.events() == ["StatusEvent"]


async def test_rights(sandbox: Sandbox, anna: Client) -> None:
    async with Client(sandbox.url, BERT) as bert:
        assert (await _subscribe(bert, folder_id("inbox", ANNA))).codes == ["ErrorAccessDenied"]
        sandbox.exchange.directory.users[BERT].full_access.add(ANNA)
        assert (await _subscribe(bert, folder_id("inbox", ANNA))).codes == ["NoError"]


async def test_subscriptions_that_make_no_sense(anna: Client) -> None:
    assert (await _subscribe(anna, kinds=("Nonsense",))).codes == ["fault", "ErrorSchemaValidation"]
    two = folder_id("inbox") + folder_id("inbox", BERT)
    assert (await _subscribe(anna, two)).codes == ["ErrorAccessDenied"]
    push = "<m:PushSubscriptionRequest/>"
    assert (await anna.ask(f"<m:Subscribe>{push}</m:Subscribe>")).codes == ["ErrorInvalidSubscriptionRequest"]


@pytest.mark.parametrize("kind", ["lost", "half", "busy"])
async def test_faults_of_the_connection(sandbox: Sandbox, anna: Client, kind: str) -> None:
    subscription = await _subscribed(anna)
    sandbox.exchange.faults.orders.append(Order(kind, "GetStreamingEvents", mailbox=ANNA, times=1))
    if kind == "busy":
        assert (await anna.ask(_request((subscription,)))).status == 503
    else:
        with pytest.raises(aiohttp.ClientError):
            await anna.ask(_request((subscription,)))
    async with _listening(anna, subscription):
        pass


async def test_stopping_ends_connections(sandbox: Sandbox, anna: Client) -> None:
    async with _listening(anna, await _subscribed(anna)) as stream:
        await sandbox.stop()
        assert re.search(b"Closed", (await anext(stream)).body)
