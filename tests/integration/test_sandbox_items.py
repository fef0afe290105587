"""What items hold and how it is changed, searched, moved: the rest of the operations."""

import pytest

from tests.integration.ews_by_hand import PROPERTY_SET, Client, file, folder_id, message
from worker.sandbox.server import Sandbox

ANNA = "anna@contoso.example"

FULL = (
    "<t:Message><t:ItemClass>IPM.Note</t:ItemClass><t:Subject>Subject</t:Subject>"
    '<t:Sensitivity>Private</t:Sensitivity><t:Body BodyType="HTML">&lt;p&gt;R&amp;amp;D&lt;/p&gt;</t:Body>'
    "<t:Attachments><t:FileAttachment><t:Name>logo.png</t:Name><t:ContentType>image/png</t:ContentType>"
    "<t:ContentId>logo</t:ContentId><t:IsInline>true</t:IsInline><t:Content>bG9n bw==\n</t:Content>"
    "</t:FileAttachment></t:Attachments><t:Categories><t:String>Red</t:String></t:Categories>"
    "<t:Importance>High</t:Importance><t:InReplyTo>&lt;r1@x&gt;</t:InReplyTo>"
    f'<t:ExtendedProperty><t:ExtendedFieldURI PropertySetId="{PROPERTY_SET}" PropertyId="7" '
    'PropertyType="StringArray"/><t:Values><t:Value>a</t:Value><t:Value>b</t:Value></t:Values></t:ExtendedProperty>'
    "<t:Sender><t:Mailbox><t:Name>Anna</t:Name><t:EmailAddress>anna@contoso.example</t:EmailAddress></t:Mailbox>"
    "</t:Sender><t:ToRecipients><t:Mailbox><t:Name>X</t:Name><t:EmailAddress>x@customer.example</t:EmailAddress>"
    "<t:RoutingType>SMTP</t:RoutingType></t:Mailbox></t:ToRecipients>"
    "<t:CcRecipients><t:Mailbox><t:EmailAddress>c@customer.example</t:EmailAddress></t:Mailbox></t:CcRecipients>"
    "<t:BccRecipients><t:Mailbox><t:EmailAddress>b@customer.example</t:EmailAddress></t:Mailbox></t:BccRecipients>"
    "<t:IsReadReceiptRequested>true</t:IsReadReceiptRequested>"
    "<t:IsDeliveryReceiptRequested>1</t:IsDeliveryReceiptRequested>"
    "<t:From><t:Mailbox><t:Name>Anna</t:Name><t:EmailAddress>anna@contoso.example</t:EmailAddress></t:Mailbox></t:From>"
    "<t:InternetMessageId>&lt;m1@x&gt;</t:InternetMessageId><t:IsRead>true</t:IsRead>"
    "<t:References>&lt;r0@x&gt; &lt;r1@x&gt;</t:References>"
    "<t:ReplyTo><t:Mailbox><t:EmailAddress>team@contoso.example</t:EmailAddress></t:Mailbox></t:ReplyTo></t:Message>"
)


async def test_everything_a_mail_can_carry_comes_back(anna: Client) -> None:
    (draft,) = (await anna.create(FULL)).ids
    values = (
        f'<t:AdditionalProperties><t:IndexedFieldURI FieldURI="item:InternetMessageHeader" FieldIndex="Importance"/>'
        f'<t:ExtendedFieldURI PropertySetId="{PROPERTY_SET}" PropertyId="7" PropertyType="StringArray"/>'
        '<t:ExtendedFieldURI PropertyTag="0x0E07" PropertyType="Integer"/></t:AdditionalProperties>'
    )
    read = await anna.get(
        draft, base="AllProperties", shape=f"<t:IncludeMimeContent>true</t:IncludeMimeContent>{values}"
    )
    for path, expected in {
        "//t:Subject": ["Subject"],
        "//t:Sensitivity": ["Private"],
        "//t:Body": ["<p>R&amp;D</p>"],
        "//t:Body/@BodyType": ["HTML"],
        "//t:FileAttachment/t:ContentId": ["logo"],
        "//t:FileAttachment/t:IsInline": ["true"],
        "//t:FileAttachment/t:Size": ["4"],
        "//t:Categories/t:String": ["Red"],
        "//t:Importance": ["High"],
        "//t:InReplyTo": ["<r1@x>"],
        "//t:InternetMessageHeader[@HeaderName='Importance']": ["high"],
        "//t:ExtendedProperty/t:Values/t:Value": ["a", "b"],
        "//t:ExtendedProperty/t:Value": [str(1 | 8 | 16)],
        "//t:ToRecipients//t:Name": ["X"],
        "//t:CcRecipients//t:EmailAddress": ["c@customer.example"],
        "//t:BccRecipients//t:EmailAddress": ["b@customer.example"],
        "//t:IsReadReceiptRequested": ["true"],
        "//t:IsDeliveryReceiptRequested": ["true"],
        "//t:From//t:EmailAddress": [ANNA],
        "//t:InternetMessageId": ["<m1@x>"],
        "//t:References": ["<r0@x> <r1@x>"],
        "//t:ReplyTo//t:EmailAddress": ["team@contoso.example"],
    }.items():
        assert read.texts(path) == expected, path
    text = await anna.get(draft, base="IdOnly", shape="<t:BodyType>Text</t:BodyType>" + _fields("item:Body"))
    assert text.texts("//t:Body") == ["R&D"]
    (copy,) = (await anna.create(message(body="a < b"))).ids
    markup = await anna.get(copy, base="IdOnly", shape="<t:BodyType>HTML</t:BodyType>" + _fields("item:Body"))
    assert markup.texts("//t:Body") == ["<html><body><div>a &lt; b</div></body></html>"]


async def test_mime_of_awkward_mail(anna: Client) -> None:
    header = (
        '<t:ExtendedFieldURI DistinguishedPropertySetId="InternetHeaders" PropertyName="{}" PropertyType="String"/>'
    )
    extra = "".join(
        f"<t:ExtendedProperty>{header.format(name)}<t:Value>v</t:Value></t:ExtendedProperty>"
        for name in ("Subject", "X-Campaign", "bad name")
    )
    odd = file("ä b\u2028.txt", b"x").replace(
        "<t:Content>", "<t:ContentType>no type at all;;/</t:ContentType><t:Content>"
    )
    draft = await anna.draft(subject="a\nb \N{SNOWMAN}", extra=extra, attachments=odd)
    read = await anna.get(draft, base="IdOnly", shape="<t:IncludeMimeContent>true</t:IncludeMimeContent>")
    assert read.codes == ["NoError"]


def _fields(*uris: str) -> str:
    paths = "".join(f'<t:FieldURI FieldURI="{each}"/>' for each in uris)
    return f"<t:AdditionalProperties>{paths}</t:AdditionalProperties>"


async def _update(anna: Client, draft: tuple[str, str], updates: str, tail: str = "") -> list[str]:
    disposition = "SendAndSaveCopy" if tail else "SaveOnly"
    answer = await anna.ask(
        f'<m:UpdateItem ConflictResolution="AutoResolve" MessageDisposition="{disposition}">{tail}<m:ItemChanges>'
        f'<t:ItemChange><t:ItemId Id="{draft[0]}" ChangeKey="{draft[1]}"/><t:Updates>{updates}</t:Updates>'
        "</t:ItemChange></m:ItemChanges></m:UpdateItem>"
    )
    return answer.codes


def _set(uri: str, content: str) -> str:
    return f'<t:SetItemField><t:FieldURI FieldURI="{uri}"/><t:Message>{content}</t:Message></t:SetItemField>'


def _unset(uri: str) -> str:
    return f'<t:DeleteItemField><t:FieldURI FieldURI="{uri}"/></t:DeleteItemField>'


async def test_updates(anna: Client) -> None:
    (draft,) = (await anna.create(FULL)).ids
    updates = (
        _set("item:Subject", "<t:Subject>New</t:Subject>")
        + '<t:AppendToItemField><t:FieldURI FieldURI="item:Body"/><t:Message><t:Body BodyType="HTML">!</t:Body>'
        "</t:Message></t:AppendToItemField>"
        + "".join(_unset(f"message:{each}") for each in ("BccRecipients", "IsReadReceiptRequested", "References"))
        + _unset("item:Categories")
        + f'<t:DeleteItemField><t:ExtendedFieldURI PropertySetId="{PROPERTY_SET}" PropertyId="7" '
        'PropertyType="StringArray"/></t:DeleteItemField>'
        + '<t:DeleteItemField><t:ExtendedFieldURI PropertyTag="0x1035" PropertyType="String"/></t:DeleteItemField>'
    )
    assert await _update(anna, draft, updates) == ["NoError"]
    read = await anna.get(draft, base="AllProperties")
    assert read.texts("//t:Subject") == ["New"]
    assert read.texts("//t:Body") == ["<p>R&amp;D</p>!"]
    for gone in ("BccRecipients", "References", "Categories", "InternetMessageId"):
        assert read.texts(f"//t:{gone}") == []
    assert read.texts("//t:IsReadReceiptRequested") == ["false"]


@pytest.mark.parametrize(
    ("updates", "code"),
    [
        (_set("item:Subject", '<t:Body BodyType="Text">x</t:Body>'), "ErrorUpdatePropertyMismatch"),
        (_set("item:Subject", ""), "ErrorIncorrectUpdatePropertyCount"),
        (_set("item:Size", "<t:Size>1</t:Size>"), "ErrorInvalidPropertySet"),
        (_unset("item:Size"), "ErrorInvalidPropertyDelete"),
        (
            (
                '<t:AppendToItemField><t:FieldURI FieldURI="item:Subject"/><t:Message><t:Subject>x</t:Subject>'
                "</t:Message></t:AppendToItemField>"
            ),
            "ErrorInvalidPropertyAppend",
        ),
        (
            '<t:DeleteItemField><t:ExtendedFieldURI PropertyName="x" PropertyType="String"/></t:DeleteItemField>',
            "ErrorInvalidExtendedProperty",
        ),
    ],
)
async def test_a_refused_update_leaves_nothing_half_done(anna: Client, updates: str, code: str) -> None:
    draft = await anna.draft(subject="Old")
    assert await _update(anna, draft, _set("item:Importance", "<t:Importance>High</t:Importance>") + updates) == [code]
    read = await anna.get(draft)
    assert read.ids == [draft]
    assert read.texts("//t:Importance") == ["Normal"]


async def test_update_and_send_in_one_step(sandbox: Sandbox, anna: Client) -> None:
    draft = await anna.draft(subject="Old")
    saved = f"<m:SavedItemFolderId>{folder_id('sentitems')}</m:SavedItemFolderId>"
    assert await _update(anna, draft, _set("item:Subject", "<t:Subject>New</t:Subject>"), saved) == ["NoError"]
    assert await anna.counts("drafts", "sentitems") == [0, 1]
    assert [each.subject for each in sandbox.sent] == ["New"]


def _constant(name: str, uri: str, value: str) -> str:
    return (
        f'<t:{name}><t:FieldURI FieldURI="{uri}"/><t:FieldURIOrConstant><t:Constant Value="{value}"/>'
        f"</t:FieldURIOrConstant></t:{name}>"
    )


def _contains(value: str, mode: str = "Substring", comparison: str = "IgnoreCase") -> str:
    return (
        f'<t:Contains ContainmentMode="{mode}" ContainmentComparison="{comparison}"><t:FieldURI '
        f'FieldURI="item:Subject"/><t:Constant Value="{value}"/></t:Contains>'
    )


STAMPED = f'<t:ExtendedFieldURI PropertySetId="{PROPERTY_SET}" PropertyName="RequestStamp" PropertyType="String"/>'


@pytest.mark.parametrize(
    ("condition", "subjects"),
    [
        (_constant("IsEqualTo", "item:Subject", "Beta"), "Beta"),
        (_constant("IsNotEqualTo", "item:Subject", "Beta"), "Gamma Alpha"),
        (_constant("IsGreaterThan", "item:DateTimeCreated", "2001-01-01T00:00:00Z"), "Gamma Beta Alpha"),
        (_constant("IsLessThan", "item:DateTimeCreated", "2001-01-01T00:00:00"), ""),
        (_constant("IsGreaterThanOrEqualTo", "item:Size", "1"), "Gamma Beta Alpha"),
        (_constant("IsLessThanOrEqualTo", "item:Importance", "Low"), ""),
        (_constant("IsEqualTo", "item:IsDraft", "false"), ""),
        (_contains("ET"), "Beta"),
        (_contains("ET", comparison="Exact"), ""),
        (_contains("Ga", "Prefixed"), "Gamma"),
        (_contains("gamma", "FullString"), "Gamma"),
        (f"<t:Not>{_contains('et')}</t:Not>", "Gamma Alpha"),
        (f"<t:Or>{_contains('et')}{_contains('alph')}</t:Or>", "Beta Alpha"),
        (f"<t:And>{_contains('a')}{_contains('m')}</t:And>", "Gamma"),
        (f"<t:Exists>{STAMPED}</t:Exists>", "Beta"),
        (
            (
                f'<t:IsEqualTo>{STAMPED}<t:FieldURIOrConstant><t:Constant Value="/crm 1"/></t:FieldURIOrConstant>'
                "</t:IsEqualTo>"
            ),
            "Beta",
        ),
        (
            (
                '<t:IsLessThan><t:FieldURI FieldURI="item:DateTimeCreated"/><t:FieldURIOrConstant><t:FieldURI '
                'FieldURI="item:LastModifiedTime"/></t:FieldURIOrConstant></t:IsLessThan>'
            ),
            "",
        ),
    ],
)
async def test_restrictions(anna: Client, condition: str, subjects: str) -> None:
    for subject, stamp in (("Alpha", ""), ("Beta", "/crm 1"), ("Gamma", "")):
        await anna.draft(subject=subject, stamp=stamp)
    tail = f"<m:Restriction>{condition}</m:Restriction>"
    found = await anna.find("drafts", fields=("item:Subject",), tail=tail)
    assert found.codes == ["NoError"]
    assert " ".join(found.texts("//t:Subject")) == subjects


async def test_what_cannot_be_searched(anna: Client) -> None:
    await anna.draft()
    excludes = '<t:Excludes><t:FieldURI FieldURI="item:Size"/><t:Bitmask Value="1"/></t:Excludes>'
    for condition, code in (
        (excludes, "ErrorUnsupportedQueryFilter"),
        (_constant("IsEqualTo", "item:Culture", "x"), "ErrorUnsupportedPathForQuery"),
    ):
        found = await anna.find("drafts", tail=f"<m:Restriction>{condition}</m:Restriction>")
        assert found.codes == [code]
    wrong_number = _constant("IsEqualTo", "item:Size", "many")
    found = await anna.find("drafts", tail=f"<m:Restriction>{wrong_number}</m:Restriction>")
    assert found.codes == ["fault", "ErrorSchemaValidation"]


@pytest.mark.parametrize(
    ("order", "subjects"),
    [
        ("", ["B", "A", "A"]),
        (
            '<t:FieldOrder Order="Ascending"><t:FieldURI FieldURI="item:LastModifiedTime"/></t:FieldOrder>',
            ["A", "A", "B"],
        ),
        ('<t:FieldOrder Order="Descending"><t:FieldURI FieldURI="item:Subject"/></t:FieldOrder>', ["B", "A", "A"]),
        (
            (
                '<t:FieldOrder Order="Ascending"><t:FieldURI FieldURI="item:Subject"/></t:FieldOrder>'
                '<t:FieldOrder Order="Descending"><t:FieldURI FieldURI="item:DateTimeCreated"/></t:FieldOrder>'
            ),
            ["A", "A", "B"],
        ),
    ],
)
@pytest.mark.parametrize(("base_point", "page"), [("Beginning", slice(1, 3)), ("End", slice(0, 2))])
async def test_orders_and_pages(anna: Client, order: str, subjects: list[str], base_point: str, page: slice) -> None:
    for subject in ("A", "A", "B"):
        await anna.draft(subject=subject)
    found = await anna.ask(
        f'<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape>{_fields("item:Subject")}'
        f'</m:ItemShape><m:IndexedPageItemView MaxEntriesReturned="2" Offset="1" BasePoint="{base_point}"/>'
        + (f"<m:SortOrder>{order}</m:SortOrder>" if order else "")
        + f"<m:ParentFolderIds>{folder_id('drafts')}</m:ParentFolderIds></m:FindItem>"
    )
    assert found.texts("//t:Subject") == subjects[page]


async def test_pages_that_make_no_sense(anna: Client) -> None:
    assert (await anna.find("drafts", rows=0)).codes == ["ErrorInvalidPagingMaxRows"]
    assert (await anna.find("drafts", offset=-1)).codes == ["ErrorInvalidIndexedPagingParameters"]


async def test_attachments_one_by_one(anna: Client) -> None:
    draft = await anna.draft()
    created = await anna.ask(
        f'<m:CreateAttachment><m:ParentItemId Id="{draft[0]}"/><m:Attachments>{file("a", b"abc")}<t:ItemAttachment/>'
        "</m:Attachments></m:CreateAttachment>"
    )
    assert created.codes == ["NoError", "ErrorInvalidItemForOperationCreateItemAttachment"]
    (attachment,) = created.texts("//t:AttachmentId/@Id")
    change_keys = created.texts("//t:AttachmentId/@RootItemChangeKey")
    assert [(draft[0], change_keys[0])] == (await anna.find("drafts")).ids
    assert (await anna.send(draft)).codes == ["ErrorStaleObject"]
    ids = f'<m:AttachmentIds><t:AttachmentId Id="{attachment}"/></m:AttachmentIds>'
    assert (await anna.ask(f"<m:GetAttachment>{ids}</m:GetAttachment>")).texts("//t:Content") == ["YWJj"]
    deleted = await anna.ask(f"<m:DeleteAttachment>{ids}</m:DeleteAttachment>")
    assert deleted.texts("//m:RootItemId/@RootItemChangeKey") != change_keys
    assert (await anna.ask(f"<m:GetAttachment>{ids}</m:GetAttachment>")).codes == ["ErrorInvalidAttachmentId"]


async def test_move_copy_and_deleted_items(anna: Client) -> None:
    draft = await anna.draft(attachments=file("a", b"a"))
    ids = f'<m:ToFolderId>{folder_id("inbox")}</m:ToFolderId><m:ItemIds><t:ItemId Id="{draft[0]}"/></m:ItemIds>'
    (copy,) = (await anna.ask(f"<m:CopyItem>{ids}</m:CopyItem>")).ids
    assert await anna.counts("drafts", "inbox") == [1, 1]
    (moved,) = (await anna.ask(f"<m:MoveItem>{ids}</m:MoveItem>")).ids
    assert await anna.counts("drafts", "inbox") == [0, 2]
    assert len({draft[0], copy[0], moved[0]}) == 3
    assert (await anna.get(draft)).codes == ["ErrorItemNotFound"]
    assert (await anna.delete(moved, disposal="MoveToDeletedItems")).codes == ["NoError"]
    assert await anna.counts("inbox", "deleteditems") == [1, 1]


async def test_folders_and_names(anna: Client) -> None:
    shape = "<m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape>"
    got = await anna.ask(f"<m:GetFolder>{shape}<m:FolderIds>{folder_id('drafts')}</m:FolderIds></m:GetFolder>")
    assert got.texts("//t:DisplayName") == ["Drafts"]
    by_id = f'<t:FolderId Id="{got.texts("//t:FolderId/@Id")[0]}"/>'
    assert await anna.counts(by_id) == [0]
    assert (await anna.find('<t:FolderId Id="x"/>')).codes == ["ErrorFolderNotFound"]
    assert (await anna.find(folder_id("voicemail"))).codes == ["ErrorFolderNotFound"]
    for traversal, number in (("Shallow", 1), ("Deep", 10)):
        found = await anna.ask(
            f'<m:FindFolder Traversal="{traversal}">{shape}<m:ParentFolderIds>{folder_id("root")}'
            "</m:ParentFolderIds></m:FindFolder>"
        )
        assert len(found.texts("//t:DisplayName")) == number
    for entry, code in (("bert@contoso.example", "NoError"), ("nobody", "ErrorNameResolutionNoResults")):
        resolve = f'<m:ResolveNames ReturnFullContactData="false"><m:UnresolvedEntry>{entry}</m:UnresolvedEntry>'
        assert (await anna.ask(f"{resolve}</m:ResolveNames>")).codes == [code]
    draft = await anna.draft()
    for form, code in (("EwsId", "NoError"), ("HexEntryId", "ErrorInvalidOperation")):
        converted = await anna.ask(
            f'<m:ConvertId DestinationFormat="{form}"><m:SourceIds><t:AlternateId Format="EwsId" Id="{draft[0]}" '
            f'Mailbox="{ANNA}"/></m:SourceIds></m:ConvertId>'
        )
        assert converted.codes == [code]
