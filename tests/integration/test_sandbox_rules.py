"""What must be true of the server for delivery to hold (docs/delivery-rules.md, E1 to E5), and what it refuses."""

import asyncio

import pytest

from tests.integration.ews_by_hand import PROPERTY_SET, Client, file, folder_id, message, stamped
from worker.sandbox import users
from worker.sandbox.exchange import Exchange
from worker.sandbox.options import Dwell
from worker.sandbox.server import Sandbox

ANNA = "anna@contoso.example"
EVERYWHERE = ("drafts", "outbox", "sentitems")


async def test_a_draft_is_listed_from_its_answer_on_until_it_is_sent(sandbox: Sandbox, anna: Client) -> None:
    draft = await anna.draft(stamp="/crm 1")
    found = await anna.find("drafts")
    assert found.ids == [draft]
    assert found.texts("//t:ExtendedProperty/t:Value") == ["/crm 1"]
    assert (await anna.send(draft)).codes == ["NoError"]
    assert await anna.counts(*EVERYWHERE) == [0, 0, 1]
    (left,) = sandbox.sent
    assert (left.stamp, left.sent_from, left.mailbox) == ("/crm 1", ANNA, ANNA)


async def test_sent_copy_has_a_new_id_and_a_later_place_among_the_newest(anna: Client) -> None:
    first, second = await anna.draft(stamp="/crm 1"), await anna.draft(stamp="/crm 2")
    await anna.send(second)
    await anna.send(first)
    found = await anna.find("sentitems", fields=("item:DateTimeCreated", "item:LastModifiedTime", "item:IsDraft"))
    assert found.texts("//t:ExtendedProperty/t:Value") == ["/crm 1", "/crm 2"]
    assert not {first[0], second[0]} & {item for item, _ in found.ids}
    assert all(len(each) == len("2026-11-23T08:00:00Z") for each in found.texts("//t:LastModifiedTime"))


@pytest.mark.parametrize(("held", "where"), [("drafts", [1, 0, 0]), ("outbox", [0, 1, 0])])
async def test_a_submitted_mail_is_visible_all_the_way(
    sandbox: Sandbox, anna: Client, held: str, where: list[int]
) -> None:
    sandbox.exchange.options.dwell = Dwell(held="drafts" if held == "drafts" else "outbox")
    await anna.send(await anna.draft(stamp="/crm 1"))
    found = await anna.find(*EVERYWHERE)
    assert [int(each) for each in found.texts("//m:RootFolder/@TotalItemsInView")] == where
    assert found.texts("//t:IsSubmitted") == ["true"]
    assert not sandbox.sent
    assert sandbox.exchange.departures.release() == 1
    assert await anna.counts(*EVERYWHERE) == [0, 0, 1]
    assert (await anna.find("sentitems")).texts("//t:IsSubmitted") == ["false"]
    assert len(sandbox.sent) == 1


async def test_a_mail_that_dwells_leaves_by_itself(sandbox: Sandbox, anna: Client) -> None:
    sandbox.exchange.options.dwell = Dwell(in_drafts_seconds=0.01, in_outbox_seconds=0.01)
    await anna.send(await anna.draft())
    async with asyncio.timeout(5):
        while await anna.counts(*EVERYWHERE) != [0, 0, 1]:
            # Folders are read one after another: a mail that moves on meanwhile may show twice, but never not at all.
            assert sum(await anna.counts(*EVERYWHERE)) >= 1


async def test_folders_are_read_in_the_order_asked_for_and_mail_moves_on_in_between(
    sandbox: Sandbox, anna: Client
) -> None:
    async def send_meanwhile() -> None:
        sandbox.exchange.between_folders = None
        await anna.send(draft)

    draft = await anna.draft(stamp="/crm 1")
    sandbox.exchange.between_folders = send_meanwhile
    assert await anna.counts("sentitems", "drafts") == [0, 0]  # the wrong order: the mail slips through
    draft = await anna.draft(stamp="/crm 2")
    sandbox.exchange.between_folders = send_meanwhile
    assert await anna.counts("drafts", "sentitems") == [1, 2]


async def test_of_many_sends_of_one_draft_one_takes_effect(sandbox: Sandbox, anna: Client) -> None:
    draft = await anna.draft(stamp="/crm 1")
    answers = await asyncio.gather(*(anna.send(draft) for _ in range(8)))
    codes = sorted(each.codes[0] for each in answers)
    assert codes == ["ErrorItemNotFound"] * 7 + ["NoError"]
    assert len(sandbox.sent) == 1


async def test_send_demands_the_very_change_key_of_an_unsubmitted_draft(sandbox: Sandbox, anna: Client) -> None:
    draft = await anna.draft(stamp="/crm 1")
    updated = await anna.update(draft, "/crm 2")
    assert updated.codes == ["NoError"]
    assert (await anna.send(draft)).codes == ["ErrorStaleObject"]
    assert (await anna.send((draft[0], ""))).codes == ["ErrorChangeKeyRequiredForWriteOperations"]
    assert (await anna.send(("nonsense", "x"))).codes == ["ErrorInvalidIdMalformed"]
    sandbox.exchange.options.dwell = Dwell(held="drafts")
    assert (await anna.send(*updated.ids)).codes == ["NoError"]
    assert (await anna.send(*updated.ids)).codes == ["ErrorStaleObject"]
    fresh = (await anna.find("drafts")).ids
    assert (await anna.send(*fresh)).codes == ["ErrorItemNotFound"]
    sandbox.exchange.options.accepts_submitted = True  # servers may: then a fresh change key is a second mail
    assert (await anna.send(*fresh)).codes == ["NoError"]
    sandbox.exchange.departures.release()
    assert len(sandbox.sent) == 2


async def test_an_item_in_sent_items_can_be_sent_again(sandbox: Sandbox, anna: Client) -> None:
    await anna.send(await anna.draft(stamp="/crm 1"))
    (copy,) = (await anna.find("sentitems")).ids
    assert (await anna.send(copy)).codes == ["NoError"]
    assert [each.stamp for each in sandbox.sent] == ["/crm 1", "/crm 1"]


async def test_retire_by_compare_and_swap(sandbox: Sandbox, anna: Client) -> None:
    draft = await anna.draft(stamp="/crm 1")
    retired = await anna.update(draft, "void")
    assert retired.codes == ["NoError"]
    other = await anna.draft()
    assert [item for item, _ in (await anna.find("drafts")).ids] == [other[0], draft[0]]
    retired = await anna.update(retired.ids[0], "void")
    assert [item for item, _ in (await anna.find("drafts")).ids] == [draft[0], other[0]]  # the newest modified first
    await anna.delete(other)
    assert (await anna.update(draft, "void")).codes == ["ErrorIrresolvableConflict"]
    assert (await anna.update(draft, "again", "AlwaysOverwrite")).codes == ["NoError"]
    assert (await anna.update((draft[0], ""), "x")).codes == ["ErrorChangeKeyRequiredForWriteOperations"]
    sandbox.exchange.options.dwell = Dwell(held="drafts")
    (current,) = (await anna.find("drafts")).ids
    assert (await anna.send(current)).codes == ["NoError"]
    assert (await anna.update(current, "void")).codes == ["ErrorIrresolvableConflict"]
    (submitted,) = (await anna.find("drafts")).ids
    assert (await anna.update(submitted, "void")).codes == ["ErrorInvalidPropertyUpdateSentMessage"]


async def test_deleting_a_submitted_mail_takes_it_back_or_is_refused(sandbox: Sandbox, anna: Client) -> None:
    sandbox.exchange.options.dwell = Dwell(held="drafts")
    sandbox.exchange.options.delete_kills_submitted = False
    draft = await anna.draft(stamp="/crm 1")
    await anna.send(draft)
    assert (await anna.delete(draft)).codes == ["ErrorItemNotFound"]
    sandbox.exchange.options.delete_kills_submitted = True
    assert (await anna.delete(draft)).codes == ["NoError"]
    sandbox.exchange.departures.release()
    assert not sandbox.sent


async def test_create_is_atomic_for_each_item(sandbox: Sandbox, anna: Client) -> None:
    answer = await anna.create(
        message(stamp="/crm 1", attachments=file("a.txt", b"a")),
        "<t:Contact/>",
        message(stamp="/crm 3", attachments=file("b.txt", b"b")),
    )
    assert answer.codes == ["NoError", "ErrorInvalidItemForOperationCreateItem", "NoError"]
    read = await anna.get(*answer.ids)
    assert read.texts("//t:FileAttachment/t:Name") == ["a.txt", "b.txt"]
    broken = await anna.create(message(stamp="/crm 4"), message(extra="<t:Nonsense/>"))
    assert (broken.status, broken.codes) == (500, ["fault", "ErrorSchemaValidation"])
    assert await anna.counts("drafts") == [2]


@pytest.mark.parametrize(("disposition", "copies"), [("SendAndSaveCopy", 1), ("SendOnly", 0)])
async def test_sending_in_one_step_gives_no_id(sandbox: Sandbox, anna: Client, disposition: str, copies: int) -> None:
    answer = await anna.create(message(stamp="/crm 1"), message(to=""), disposition=disposition)
    assert answer.codes[0] == "NoError"
    assert answer.codes[1] in ("ErrorInvalidRecipients", "ErrorMissingRecipients")
    assert not answer.ids
    assert await anna.counts("drafts", "sentitems") == [0, copies]
    assert len(sandbox.sent) == 1


async def test_refused_for_its_sender_the_draft_stays_behind(anna: Client) -> None:
    forged = message(sent_from="bert@contoso.example")
    assert (await anna.create(forged, disposition="SendAndSaveCopy")).codes == ["ErrorSendAsDenied"]
    assert await anna.counts(*EVERYWHERE) == [1, 0, 0]


async def test_send_without_copy(sandbox: Sandbox, anna: Client) -> None:
    assert (await anna.send(await anna.draft(), save=False)).codes == ["NoError"]
    assert await anna.counts(*EVERYWHERE) == [0, 0, 0]
    wrong = await anna.send(await anna.draft(), save=False, folder=folder_id("sentitems"))
    assert wrong.codes == ["ErrorInvalidSendItemSaveSettings"]
    assert len(sandbox.sent) == 1


async def test_a_batch_answers_for_each_item(sandbox: Sandbox, anna: Client) -> None:
    good, bad, other = [await anna.draft(to=to) for to in ("x@customer.example", "nobody", "y@customer.example")]
    assert (await anna.send(good, bad, other)).codes == ["NoError", "ErrorInvalidRecipients", "NoError"]
    assert (await anna.find("drafts")).ids == [bad]
    assert [each.to for each in sandbox.sent] == [("x@customer.example",), ("y@customer.example",)]


async def test_message_id_kept_assigned_refused_overwritten(sandbox: Sandbox, anna: Client) -> None:
    await anna.send(await anna.draft(message_id="<ours@contoso.example>"))
    await anna.send(await anna.draft())
    sandbox.exchange.options.message_id = "overwrite"
    await anna.send(await anna.draft(message_id="<ours@contoso.example>"))
    kept, assigned, overwritten = (each.message_id for each in sandbox.sent)
    assert kept == "<ours@contoso.example>"
    assert assigned.endswith("@contoso.example>")
    assert overwritten not in (kept, assigned)
    sandbox.exchange.options.message_id = "refuse"
    assert (await anna.create(message(message_id="<x@y>"))).codes == ["ErrorInvalidPropertySet"]


async def test_limits(sandbox: Sandbox, anna: Client) -> None:
    options = sandbox.exchange.options
    options.max_recipients, options.max_message_bytes, options.max_mailbox_bytes = 2, 2000, 6000
    many = await anna.draft(to="a@x.example b@x.example c@x.example")
    large = await anna.draft(attachments=file("a.bin", b"x" * 2000))
    assert (await anna.send(many, large)).codes == ["ErrorExceededMaxRecipientLimit", "ErrorMessageSizeExceeded"]
    assert (await anna.create(message(body="x" * 6000))).codes == ["ErrorQuotaExceeded"]
    options.messages_per_minute = 1
    answer = await anna.send(await anna.draft(), await anna.draft())
    assert answer.codes == ["NoError", "ErrorServerBusy"]
    assert 0 < int(answer.texts("//t:Value[@Name='BackOffMilliseconds']")[0]) <= 60001
    options.beyond_rate = "queue"
    (waiting, *_) = (await anna.find("drafts")).ids
    assert (await anna.send(waiting)).codes == ["NoError"]
    assert (await anna.counts(*EVERYWHERE))[1:] == [1, 1]


async def test_request_too_large_is_413() -> None:
    exchange = Exchange(users.invented("contoso.example", None))
    exchange.options.max_request_bytes = 4000
    async with Sandbox(exchange) as sandbox, Client(sandbox.url, ANNA) as anna:
        assert (await anna.create(message(body="x" * 5000))).status == 413
        assert (await anna.create(message(body="x" * 500))).codes == ["NoError"]


async def test_rows_of_a_table_cut_strings_and_pages_have_an_end(sandbox: Sandbox, anna: Client) -> None:
    long = "s " + "x" * 400
    draft = await anna.draft(stamp=long)
    assert (await anna.find("drafts")).texts("//t:ExtendedProperty/t:Value") == [long[:255]]
    path = f'<t:ExtendedFieldURI PropertySetId="{PROPERTY_SET}" PropertyName="RequestStamp" PropertyType="String"/>'
    shape = f"<t:AdditionalProperties>{path}</t:AdditionalProperties>"
    assert (await anna.get(draft, shape=shape)).texts("//t:ExtendedProperty/t:Value") == [long]
    for number in range(4):
        await anna.draft(stamp=f"/crm {number}")
    sandbox.exchange.options.find_limit = 3
    page = await anna.find("drafts", rows=5000)
    assert page.texts("//t:ExtendedProperty/t:Value") == ["/crm 3", "/crm 2", "/crm 1"]
    assert page.texts("//m:RootFolder/@IncludesLastItemInRange") == ["false"]
    rest = await anna.find("drafts", rows=5000, offset=3)
    assert rest.texts("//t:ExtendedProperty/t:Value") == ["/crm 0", long[:255]]
    assert rest.texts("//m:RootFolder/@IncludesLastItemInRange") == ["true"]
    body = await anna.find("drafts", fields=("item:Body",))
    assert body.codes == ["ErrorInvalidPropertyRequest"]


async def test_properties_of_every_kind_come_back(sandbox: Sandbox, anna: Client) -> None:
    header = (
        '<t:ExtendedFieldURI DistinguishedPropertySetId="InternetHeaders" PropertyName="X-Campaign" '
        'PropertyType="String"/>'
    )
    tag = '<t:ExtendedFieldURI PropertyTag="0x1035" PropertyType="String"/>'
    extra = f"<t:ExtendedProperty>{header}<t:Value>autumn</t:Value></t:ExtendedProperty>"
    extra += f"<t:ExtendedProperty>{tag}<t:Value>&lt;by-tag@x&gt;</t:Value></t:ExtendedProperty>"
    draft = await anna.draft(stamp="/crm 1", extra=extra)
    shape = f"<t:AdditionalProperties>{header}{tag}</t:AdditionalProperties>"
    read = await anna.get(draft, base="IdOnly", shape=f"<t:IncludeMimeContent>true</t:IncludeMimeContent>{shape}")
    assert read.texts("//t:ExtendedProperty/t:Value") == ["autumn", "<by-tag@x>"]
    await anna.send(draft)
    assert sandbox.sent[0].headers == (("x-campaign", "autumn"),)
    assert sandbox.sent[0].message_id == "<by-tag@x>"


async def test_a_local_recipient_gets_a_copy_without_bcc_and_without_the_stamp(sandbox: Sandbox, anna: Client) -> None:
    secret = "<t:BccRecipients><t:Mailbox><t:EmailAddress>{}</t:EmailAddress></t:Mailbox></t:BccRecipients>"
    mail = message(to="x@customer.example", stamp="/crm 1", attachments=file("a", b"a")).replace(
        "</t:ToRecipients>", "</t:ToRecipients>" + secret.format("bert@contoso.example")
    )
    await anna.send(*(await anna.create(mail)).ids)
    async with Client(sandbox.url, "bert@contoso.example") as bert:
        inbox = await bert.find("inbox")
        assert len(inbox.ids) == 1
        assert not inbox.texts("//t:ExtendedProperty")
        read = await bert.get(*inbox.ids)
        assert read.texts("//t:Attachments//t:Name") == ["a"]
        assert read.texts("//t:ToRecipients//t:EmailAddress") == ["x@customer.example"]
        assert not read.texts("//t:BccRecipients")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"<not closed", 500, "ErrorSchemaValidation"),
        (b"<a>\x0b</a>", 500, "ErrorSchemaValidation"),
        (b"<a/>", 400, ""),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 400, ""),
        (b"", 500, "ErrorSchemaValidation"),
    ],
)
async def test_what_is_no_request(anna: Client, body: bytes, status: int, code: str) -> None:
    answer = await anna.post(body)
    assert answer.status == status
    assert not code or answer.codes == ["fault", code]


async def test_an_operation_that_is_not_known(anna: Client) -> None:
    answer = await anna.ask("<m:MarkAsJunk/>")
    assert answer.codes == ["fault", "ErrorInvalidOperation"]
    assert answer.texts("//faultstring") == ["The sandbox does not know the operation MarkAsJunk."]


async def test_what_the_schema_would_refuse(anna: Client) -> None:
    for operation in (
        "<m:SyncFolderItems/>",
        "<m:CreateItem MessageDisposition='SaveOnly'/>",
        f"<m:CreateItem><m:Items>{message()}</m:Items></m:CreateItem>",
        "<m:SendItem/>",
        "<m:UpdateItem/>",
        "<m:DeleteItem/>",
        "<m:FindItem/>",
        "<m:GetItem/>",
        "<m:GetFolder/>",
        "<m:CreateAttachment/>",
        "<m:GetAttachment/>",
        "<m:MoveItem/>",
    ):
        answer = await anna.ask(operation)
        assert (answer.status, answer.codes[0]) == (500, "fault"), operation
    wrong_order = f"<t:Message>{stamped('x')}<t:Subject>s</t:Subject></t:Message>"
    assert (await anna.create(wrong_order)).codes == ["fault", "ErrorSchemaValidation"]
    assert await anna.counts("drafts") == [0]
