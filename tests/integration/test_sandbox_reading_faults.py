"""The faults that strike whoever reads: what the client gets, and what was done all the same."""

import aiohttp
import pytest

from tests.integration.ews_by_hand import Answer, Client, folder_id, paths
from worker.sandbox.faults import Order
from worker.sandbox.item import Attachment, Item, Recipient
from worker.sandbox.server import Sandbox

ANNA = "anna@contoso.example"
CONTENT = {
    "body": paths("item:Body"),
    "text": paths("item:TextBody"),
    "headers": paths("item:InternetMessageHeaders"),
    "MIME": "<t:IncludeMimeContent>true</t:IncludeMimeContent>",
}


def _arrived(sandbox: Sandbox, tag: str, address: str = ANNA) -> tuple[str, str]:
    item = Item(subject=tag, message_id=f"<{tag}@customer.example>", from_=Recipient(f"x+{tag}@customer.example"))
    item.attachments = [Attachment("", "a.txt", "text/plain", b"a")]
    return sandbox.exchange.arrive(address, item).id, ""


async def _bare(anna: Client, *mails: tuple[str, str]) -> Answer:
    return await anna.get(*mails, base="IdOnly", shape=paths("item:Subject", "message:From"))


async def _configured(client: Client, operation: str) -> Answer:
    name = '{}:UserConfigurationName Name="N"'
    if operation == "Get":
        asked = f"<{name.format('m')}>{folder_id('inbox')}</m:UserConfigurationName>"
        properties = "<m:UserConfigurationProperties>All</m:UserConfigurationProperties>"
        return await client.ask(f"<m:GetUserConfiguration>{asked}{properties}</m:GetUserConfiguration>")
    inner = f"<{name.format('t')}>{folder_id('inbox')}</t:UserConfigurationName><t:BinaryData>YQ==</t:BinaryData>"
    written = f"<m:UserConfiguration>{inner}</m:UserConfiguration>"
    return await client.ask(f"<m:{operation}UserConfiguration>{written}</m:{operation}UserConfiguration>")


async def test_corrupt_however_it_is_read(sandbox: Sandbox, anna: Client) -> None:
    bad, good = _arrived(sandbox, "corrupt"), _arrived(sandbox, "fine")
    assert (await anna.get(bad, good)).codes == ["ErrorItemCorrupt", "NoError"]
    assert (await _bare(anna, bad)).codes == ["ErrorItemCorrupt"]
    assert await anna.counts("inbox") == [2]
    assert len((await anna.sync()).ids) == 2


@pytest.mark.parametrize("wanted", list(CONTENT))
async def test_corrupt_unless_read_without_its_content(sandbox: Sandbox, anna: Client, wanted: str) -> None:
    mail = _arrived(sandbox, "corruptbody")
    assert (await anna.get(mail, base="IdOnly", shape=CONTENT[wanted])).codes == ["ErrorItemCorrupt"]
    read = await _bare(anna, mail)
    assert (read.codes, read.texts("//t:Subject")) == (["NoError"], ["corruptbody"])


async def test_corrupt_attachments(sandbox: Sandbox, anna: Client) -> None:
    read = await anna.get(_arrived(sandbox, "corruptfile-once"))
    assert read.codes == ["NoError"]
    (attachment,) = read.texts("//t:AttachmentId/@Id")
    ids = f'<m:AttachmentIds><t:AttachmentId Id="{attachment}"/></m:AttachmentIds>'
    fetched = [(await anna.ask(f"<m:GetAttachment>{ids}</m:GetAttachment>")).codes for _ in range(2)]
    assert fetched == [["ErrorItemCorrupt"], ["NoError"]]


async def test_vanished_between_sync_and_get(sandbox: Sandbox, anna: Client) -> None:
    _arrived(sandbox, "vanished")
    page = await anna.sync()
    assert (await anna.get(*page.ids)).codes == ["ErrorItemNotFound"]
    assert await anna.counts("inbox") == [0]
    gone = await anna.sync(page.texts("//m:SyncState")[0])
    assert gone.texts("//t:Delete/t:ItemId/@Id") == [page.ids[0][0]]


@pytest.mark.parametrize(
    ("tag", "codes"),
    [
        ("denied-once", ["ErrorAccessDenied"]),
        ("busyanswer-sync-once", ["ErrorServerBusy"]),
        ("busyfault-sync-once", ["fault", "ErrorServerBusy"]),
        ("gone-sync-once", ["ErrorNonExistentMailbox"]),
    ],
)
async def test_syncs_refused_for_a_mailbox(sandbox: Sandbox, tag: str, codes: list[str]) -> None:
    async with Client(sandbox.url, "router@contoso.example", "sandbox-router") as router:
        router.acting_as = f"anna+{tag}@contoso.example"
        assert (await router.sync()).codes == codes
        assert (await router.sync()).codes == ["NoError"]


async def test_by_the_mailbox_named_too(sandbox: Sandbox) -> None:
    sandbox.exchange.faults.orders.append(Order("busy", "SyncFolderItems", mailbox=ANNA, times=1))
    async with Client(sandbox.url, "delegate@contoso.example", "sandbox-delegate") as delegate:
        assert (await delegate.sync()).status == 200
        assert (await delegate.sync(folder=folder_id("inbox", ANNA))).status == 503
        assert (await delegate.sync(folder=folder_id("inbox", ANNA))).status == 200


async def test_a_state_forgotten(sandbox: Sandbox, anna: Client) -> None:
    sandbox.exchange.faults.orders.append(Order("forgotten", mailbox=ANNA, times=1))
    first = await anna.sync()
    assert first.codes == ["NoError"]  # there was no state to forget
    (state,) = first.texts("//m:SyncState")
    assert (await anna.sync(state)).codes == ["ErrorInvalidSyncStateData"]
    assert (await anna.sync(state)).codes == ["NoError"]


@pytest.mark.parametrize("kind", ["lost", "half"])
async def test_a_configuration_is_written_and_the_answer_lost(sandbox: Sandbox, kind: str) -> None:
    async with Client(sandbox.url, f"anna+{kind}-createconfig-once+quota-updateconfig-once@contoso.example") as client:
        with pytest.raises(aiohttp.ClientError):
            await _configured(client, "Create")
        assert (await _configured(client, "Create")).codes == ["ErrorItemSave"]
        assert (await _configured(client, "Update")).codes == ["ErrorQuotaExceeded"]
        assert (await _configured(client, "Update")).codes == ["NoError"]
        assert (await _configured(client, "Get")).texts("//t:BinaryData") == ["YQ=="]


@pytest.mark.parametrize(("kind", "done"), [("lost", True), ("cut", False)])
async def test_a_move_whose_answer_is_lost(sandbox: Sandbox, anna: Client, kind: str, done: bool) -> None:  # noqa: FBT001 - the expectation
    mail = _arrived(sandbox, f"{kind}-move-once")
    with pytest.raises(aiohttp.ClientError):
        await anna.move(mail, folder="junkemail")
    assert await anna.counts("junkemail") == [int(done)]
    assert (await anna.move(mail, folder="junkemail")).codes == (["ErrorItemNotFound"] if done else ["NoError"])


async def test_marking_as_read_and_an_answer_lost(sandbox: Sandbox, anna: Client) -> None:
    mail = _arrived(sandbox, "lost-update-once")
    with pytest.raises(aiohttp.ClientError):
        await anna.mark_read(mail)
    assert (await anna.get(mail, base="IdOnly", shape=paths("message:IsRead"))).texts("//t:IsRead") == ["true"]


async def test_by_chance(sandbox: Sandbox, anna: Client) -> None:
    sandbox.exchange.faults.reseed(1, {"busy": {"SyncFolderItems": 1.0}, "html502": {"GetUserConfiguration": 1.0}})
    assert (await anna.sync()).status == 503
    assert (await _configured(anna, "Get")).status == 502
    assert (await _configured(anna, "Create")).codes == ["NoError"]
