"""Mail that arrives: read back by hand, item by item, and what the world outside answers to what left."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from tests.integration.ews_by_hand import Answer, Client, paths
from worker.sandbox.correspondents import ANSWERS
from worker.sandbox.faults import Order
from worker.sandbox.item import Item, Recipient
from worker.sandbox.server import Sandbox
from worker.sandbox.soap import Refusal

ANNA, BERT = "anna@contoso.example", "bert@contoso.example"
INNER = b"From: c@x.example\r\nSubject: Inner\r\nMessage-ID: <inner@x.example>\r\n\r\nThe mail inside\r\n"
MAIL = (
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@customer.example>\r\nTo: anna@contoso.example\r\nSubject: Hello\r\n"
    b"Date: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@customer.example>\r\nReferences: <0@x.example>\r\n"
    b"In-Reply-To: <0@x.example>\r\nX-Note: one\r\nX-Note: two\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/html\r\n\r\n<style>p{}</style><p>One<br>Two &amp; three</p>\r\n"
    b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + INNER + b"\r\n--b--\r\n"
)
SEARCH_KEY = '<t:ExtendedFieldURI PropertyTag="0x300B" PropertyType="Binary"/>'


def _arrived(sandbox: Sandbox, mail: bytes | Item = MAIL, address: str = ANNA) -> tuple[str, str]:
    item = sandbox.exchange.arrive(address, mail)
    return item.id, item.change_key


async def _all(anna: Client, mail: tuple[str, str], shape: str = "") -> Answer:
    answer = await anna.get(mail, base="AllProperties", shape=shape)
    assert answer.codes == ["NoError"]
    return answer


async def test_everything_can_be_read(sandbox: Sandbox, anna: Client) -> None:
    shape = (
        "<t:IncludeMimeContent>true</t:IncludeMimeContent><t:AdditionalProperties>"
        f'<t:FieldURI FieldURI="item:TextBody"/>{SEARCH_KEY}</t:AdditionalProperties>'
    )
    read = await _all(anna, _arrived(sandbox), shape)
    for path, expected in {
        "//t:ItemClass": ["IPM.Note"],
        "//t:Subject": ["Hello"],
        "//t:Body": ["<style>p{}</style><p>One<br>Two &amp; three</p>"],
        "//t:TextBody": ["One\r\nTwo & three"],
        "//t:From//t:Name": ["Jürgen"],
        "//t:Sender//t:EmailAddress": ["j@customer.example"],
        "//t:InReplyTo": ["<0@x.example>"],
        "//t:References": ["<0@x.example>"],
        "//t:InternetMessageId": ["<1@customer.example>"],
        "//t:DateTimeSent": ["2026-11-23T09:00:00Z"],
        "//t:IsRead": ["false"],
        "//t:IsDraft": ["false"],
        "//t:InternetMessageHeader[@HeaderName='X-Note']": ["one", "two"],
        "//t:InternetMessageHeader[@HeaderName='From']": ["=?utf-8?q?J=C3=BCrgen?= <j@customer.example>"],
        "//t:FileAttachment/t:Name": ["a.pdf"],
        "//t:ItemAttachment/t:Name": ["Inner"],
        "//t:ItemAttachment/t:ContentType": ["message/rfc822"],
        "//t:ConversationTopic": ["Hello"],
        "//t:HasAttachments": ["true"],
    }.items():
        assert read.texts(path) == expected, path
    (mime,) = read.texts("//t:MimeContent")
    assert base64.b64decode(mime) == MAIL
    (conversation,) = read.texts("//t:ConversationId/@Id")
    (index,) = read.texts("//t:ConversationIndex")
    assert len(base64.b64decode(index)) == 22
    assert conversation


@pytest.mark.parametrize(("kind", "body"), [("Best", "<p>a</p>"), ("HTML", "<p>a</p>"), ("Text", "a")])
async def test_kinds_of_body(sandbox: Sandbox, anna: Client, kind: str, body: str) -> None:
    mail = _arrived(sandbox, b"Content-Type: text/html\r\n\r\n<p>a</p>")
    shape = f"<t:BodyType>{kind}</t:BodyType>{paths('item:Body')}"
    assert (await anna.get(mail, base="IdOnly", shape=shape)).texts("//t:Body") == [body]


async def test_control_characters_go_out_as_exchange_sends_them(sandbox: Sandbox, anna: Client) -> None:
    mail = _arrived(sandbox, b"Subject: a\x0bb\r\n\r\nx\x00y")
    read = await anna.get(mail, base="Default")
    assert b"<t:Subject>a&#xB;b</t:Subject>" in read.body
    assert b"x&#x0;y</t:Body>" in read.body


async def test_attachments(sandbox: Sandbox, anna: Client) -> None:
    ids = (await _all(anna, _arrived(sandbox))).texts("//t:AttachmentId/@Id")

    async def fetched(attachment: str, shape: str = "") -> Answer:
        return await anna.ask(
            f"<m:GetAttachment>{shape}<m:AttachmentIds>"
            f'<t:AttachmentId Id="{attachment}"/></m:AttachmentIds></m:GetAttachment>'
        )

    assert (await fetched(ids[0])).texts("//t:FileAttachment/t:Content") == ["JVBERg=="]
    whole = await fetched(
        ids[1],
        "<m:AttachmentShape><t:IncludeMimeContent>true</t:IncludeMimeContent><t:BodyType>Text</t:BodyType>"
        f"{paths('item:TextBody')}</m:AttachmentShape>",
    )
    assert whole.texts("//t:ItemAttachment/t:Message/t:Subject") == ["Inner"]
    assert whole.texts("//t:ItemAttachment/t:Message/t:InternetMessageId") == ["<inner@x.example>"]
    assert whole.texts("//t:ItemAttachment/t:Message/t:Body") == ["The mail inside\r\n"]
    assert base64.b64decode(whole.texts("//t:MimeContent")[0]).strip() == INNER.strip()
    assert (await fetched(ids[1])).texts("//t:ItemAttachment/t:Message/t:From//t:EmailAddress") == ["c@x.example"]


async def test_an_attachment_of_an_attached_mail(sandbox: Sandbox, anna: Client) -> None:
    outer = b"Subject: Outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
    mail = _arrived(sandbox, outer + b"Content-Type: message/rfc822\r\n\r\n" + MAIL + b"\r\n--o--\r\n")
    (attached,) = (await _all(anna, mail)).texts("//t:AttachmentId/@Id")
    get = '<m:GetAttachment><m:AttachmentIds><t:AttachmentId Id="{}"/></m:AttachmentIds></m:GetAttachment>'
    inner = (await anna.ask(get.format(attached))).texts("//t:FileAttachment/t:AttachmentId/@Id")
    assert (await anna.ask(get.format(inner[0]))).texts("//t:Content") == ["JVBERg=="]
    await anna.delete(mail)
    assert (await anna.ask(get.format(inner[0]))).codes == ["ErrorInvalidAttachmentId"]


async def test_the_search_key_stays_when_the_mail_is_moved(sandbox: Sandbox, anna: Client) -> None:
    shape = f"<t:AdditionalProperties>{SEARCH_KEY}</t:AdditionalProperties>"
    mail = _arrived(sandbox)
    (moved,) = (await anna.move(mail, folder="junkemail")).ids
    keys = (await anna.get(moved, base="IdOnly", shape=shape)).texts("//t:ExtendedProperty/t:Value")
    (other,) = (await anna.get(_arrived(sandbox), base="IdOnly", shape=shape)).texts("//t:ExtendedProperty/t:Value")
    assert len(base64.b64decode(keys[0])) == 16
    assert other != keys[0]
    (back,) = (await anna.move(moved, folder="inbox")).ids
    assert (await anna.get(back, base="IdOnly", shape=shape)).texts("//t:ExtendedProperty/t:Value") == keys


async def test_local_mail_is_complete(sandbox: Sandbox, anna: Client) -> None:
    await anna.send(await anna.draft(to=BERT, subject="Grüße", message_id="<m1@contoso.example>"))
    async with Client(sandbox.url, BERT) as bert:
        (mail,) = (await bert.find("inbox")).ids
        read = await _all(bert, mail, "<t:IncludeMimeContent>true</t:IncludeMimeContent>")
    headers = dict(
        zip(read.texts("//t:InternetMessageHeader/@HeaderName"), read.texts("//t:InternetMessageHeader"), strict=True)
    )
    assert headers["Subject"] == "=?utf-8?b?R3LDvMOfZQ==?="
    assert headers["Message-ID"] == "<m1@contoso.example>"
    assert b"Message-ID: <m1@contoso.example>" in base64.b64decode(read.texts("//t:MimeContent")[0])


async def test_built_by_hand_and_at_another_time(sandbox: Sandbox, anna: Client) -> None:
    item = Item(subject="Built", body="b", from_=Recipient("x@customer.example"))
    at = datetime(2020, 1, 1, tzinfo=UTC)
    for address in (ANNA, ANNA, BERT):
        sandbox.exchange.arrive(address, item, received_at=at, item_class="IPM.Note.Rules.OofTemplate.Microsoft")
    found = await anna.find("inbox", fields=("item:DateTimeReceived", "item:ItemClass"))
    assert found.texts("//t:DateTimeReceived") == ["2020-01-01T00:00:00Z"] * 2
    assert found.texts("//t:ItemClass")[0].endswith("OofTemplate.Microsoft")
    with pytest.raises(Refusal, match="ErrorNonExistentMailbox"):
        sandbox.exchange.arrive("nobody@elsewhere.example", item)


async def test_newest_received_first(sandbox: Sandbox, anna: Client) -> None:
    for day in (2, 3, 1):
        sandbox.exchange.arrive(ANNA, Item(subject=str(day)), received_at=datetime(2026, 1, day, tzinfo=UTC))
    order = '<t:FieldOrder Order="Descending"><t:FieldURI FieldURI="item:DateTimeReceived"/></t:FieldOrder>'
    found = await anna.ask(
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape>'
        f"{paths('item:Subject')}</m:ItemShape>"
        '<m:IndexedPageItemView MaxEntriesReturned="2" Offset="0" BasePoint="Beginning"/>'
        f"<m:SortOrder>{order}</m:SortOrder><m:ParentFolderIds>"
        '<t:DistinguishedFolderId Id="inbox"/></m:ParentFolderIds></m:FindItem>'
    )
    assert found.texts("//t:Subject") == ["3", "2"]


async def _conversation(anna: Client, mail: tuple[str, str], ignore: str = "") -> Answer:
    read = await anna.get(mail, base="IdOnly", shape=paths("item:ConversationId"))
    (conversation,) = read.texts("//t:ConversationId/@Id")
    ignored = f'<m:FoldersToIgnore><t:DistinguishedFolderId Id="{ignore}"/></m:FoldersToIgnore>' if ignore else ""
    return await anna.ask(
        "<m:GetConversationItems><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape>"
        f"{paths('message:InternetMessageId', 'item:ParentFolderId')}</m:ItemShape>{ignored}<m:Conversations>"
        f'<t:Conversation><t:ConversationId Id="{conversation}"/></t:Conversation></m:Conversations>'
        "</m:GetConversationItems>"
    )


async def test_a_reply_joins_the_conversation_of_what_it_answers(sandbox: Sandbox, anna: Client) -> None:
    draft = await anna.draft(to="x+reply@customer.example", subject="Offer", message_id="<m1@contoso.example>")
    await anna.send(draft)
    _arrived(sandbox)
    assert await anna.counts("sentitems", "inbox") == [1, 2]
    reply = next(each for each in (await anna.find("inbox")).ids[::-1])
    read = await _all(anna, reply)
    assert read.texts("//t:InReplyTo") == read.texts("//t:References") == ["<m1@contoso.example>"]
    assert read.texts("//t:Subject") == ["Re: Offer"]
    assert read.texts("//t:ConversationTopic") == ["Offer"]
    found = await _conversation(anna, reply)
    assert found.texts("//t:ConversationNode/t:InternetMessageId")[1] == "<m1@contoso.example>"
    assert len(found.ids) == 2
    assert (await _conversation(anna, reply, "inbox")).texts("//t:ConversationNode/t:InternetMessageId") == [
        "<m1@contoso.example>"
    ]
    unknown = '<t:Conversation><t:ConversationId Id="nonsense"/></t:Conversation>'
    refused = await anna.ask(
        "<m:GetConversationItems><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape><m:Conversations>"
        f"{unknown}</m:Conversations></m:GetConversationItems>"
    )
    assert refused.codes == ["ErrorItemNotFound"]


async def test_a_conversation_is_a_matter_of_each_mailbox(sandbox: Sandbox, anna: Client) -> None:
    async with Client(sandbox.url, BERT) as bert:
        await bert.send(await bert.draft(message_id="<b1@contoso.example>"))
        extra = "<t:InReplyTo>&lt;b1@contoso.example&gt;</t:InReplyTo>"
        await anna.send(await anna.draft(to=BERT, extra=extra, message_id="<a1@contoso.example>"))
        (mail,) = (await bert.find("inbox")).ids
        assert (await _conversation(bert, mail)).texts("//t:ConversationNode/t:InternetMessageId") == [
            "<a1@contoso.example>",
            "<b1@contoso.example>",
        ]


async def test_a_reply_names_the_whole_thread(sandbox: Sandbox, anna: Client) -> None:
    thread = '<t:ExtendedFieldURI PropertyTag="0x1039" PropertyType="String"/><t:Value>&lt;0@x.example&gt;</t:Value>'
    extra = f"<t:ExtendedProperty>{thread}</t:ExtendedProperty>"
    await anna.send(await anna.draft(to="x+reply@customer.example", extra=extra, message_id="<m1@contoso.example>"))
    read = await _all(anna, (await anna.find("inbox")).ids[0])
    assert read.texts("//t:References") == ["<0@x.example> <m1@contoso.example>"]


@pytest.mark.parametrize(
    ("kind", "item_class", "subject"),
    [
        ("reply", "IPM.Note", "Re: Über uns"),
        ("ooo", "IPM.Note.Rules.OofTemplate.Microsoft", "Automatic reply: Über uns"),
        ("autoreply", "IPM.Note", "Automatic reply: Über uns"),
        ("bounce", "REPORT.IPM.Note.NDR", "Undeliverable: Über uns"),
        ("postfix", "REPORT.IPM.Note.NDR", "Undelivered Mail Returned to Sender"),
        ("delayed", "REPORT.IPM.Note.Delayed", "Delayed Mail (still being retried)"),
        ("receipt", "REPORT.IPM.Note.IPNRN", "Read: Über uns"),
        ("meeting", "IPM.Schedule.Meeting.Request", "Über uns"),
        ("forward", "IPM.Note", "FW: Über uns"),
    ],
)
async def test_the_world_answers(sandbox: Sandbox, anna: Client, kind: str, item_class: str, subject: str) -> None:
    assert kind in ANSWERS
    draft = await anna.draft(to=f"x+{kind}@customer.example", subject="Über uns", message_id="<m1@contoso.example>")
    assert (await anna.send(draft)).codes == ["NoError"]
    (mail,) = (await anna.find("inbox")).ids
    read = await _all(anna, mail, "<t:IncludeMimeContent>true</t:IncludeMimeContent>")
    assert read.texts("//t:ItemClass") == [item_class]
    assert read.texts("//m:Items/*/t:Subject") == [subject]
    assert read.texts("//m:Items/*/t:ToRecipients//t:EmailAddress") == [ANNA]
    mime = base64.b64decode(read.texts("//t:MimeContent")[0])
    assert (b"<m1@contoso.example>" in mime) == (kind != "meeting")
    if kind in ("bounce", "postfix"):
        assert b"Final-Recipient: rfc822;" in mime
        assert b"Status: 5.1.1" in mime
        assert read.texts("//t:ItemAttachment/t:Name") == ["Über uns"]


def test_every_answer_is_tested_here() -> None:
    (mark,) = [each for each in test_the_world_answers.pytestmark if each.name == "parametrize"]  # type: ignore[attr-defined]
    assert {each[0] for each in mark.args[1]} == set(ANSWERS)


async def test_who_is_no_stranger_answers_for_himself(sandbox: Sandbox, anna: Client) -> None:
    await anna.send(await anna.draft(to="bert+reply@contoso.example"))
    assert await anna.counts("inbox") == [0]


class Witness:
    """The witness over HTTP."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self._url, self._session = sandbox.witness_url, session

    async def post(self, path: str, order: object, status: int = 200) -> Any:
        how: dict[str, Any] = {"data": order} if isinstance(order, bytes) else {"json": order}
        async with self._session.post(self._url + path, **how) as response:
            assert response.status == status, await response.text()
            return json.loads(await response.text()) if status == 200 else await response.text()

    async def get(self, path: str) -> list[Any]:
        async with self._session.get(self._url + path) as response:
            assert response.status == 200, await response.text()
            return [json.loads(line) for line in (await response.text()).splitlines()]


@pytest.fixture
async def witness(sandbox: Sandbox) -> AsyncIterator[Witness]:
    async with aiohttp.ClientSession() as session:
        yield Witness(sandbox, session)


async def test_mail_over_the_witness(witness: Witness, anna: Client) -> None:
    told = await witness.post(f"/arrivals?mailbox={ANNA}&mailbox={BERT}", MAIL)
    assert told["ids"][0] == told["id"]
    (item,) = await witness.get(f"/inbox?mailbox={ANNA}")
    assert item["id"] == told["id"]
    assert (item["message_id"], item["subject"], item["folder"], item["read"]) == (
        "<1@customer.example>", "Hello", "Inbox", False,
    )  # fmt: skip
    assert item["attachments"] == ["a.pdf", "Inner"]
    assert (await witness.post("/reads", {"id": item["id"]}))["read"] is True
    moved = await witness.post("/moves", {"id": item["id"], "folder": "Projects"})
    assert (await witness.get(f"/inbox?mailbox={ANNA}&folder=projects"))[0]["id"] == moved["id"] != item["id"]
    assert await anna.counts("inbox") == [0]
    back = await witness.post("/moves", {"id": moved["id"], "folder": "inbox"})
    assert [each["id"] for each in await witness.get(f"/inbox?mailbox={ANNA}&folder=*")] == [back["id"]]
    await witness.post("/deletions", {"id": back["id"]})
    assert await witness.get(f"/inbox?mailbox={ANNA}") == []
    assert len(await witness.get(f"/inbox?mailbox={BERT}")) == 1


async def test_answers_over_the_witness(witness: Witness, anna: Client) -> None:
    for number in (1, 2):
        await anna.send(await anna.draft(to="x@customer.example y@customer.example", subject=f"Offer {number}"))
    (first, second) = await witness.get("/mails")
    told = await witness.post("/replies", {"to": "Y@customer.example", "text": "Yes, please"})
    assert (told["mailbox"], told["subject"], told["from"]) == (ANNA, "Re: Offer 2", "Y@customer.example")
    read = await _all(anna, (told["id"], ""))
    assert read.texts("//t:InReplyTo") == [second["message_id"]]
    assert "Yes, please" in read.texts("//t:Body")[0]
    bounce = {"message_id": first["message_id"], "kind": "bounce", "text": "550 5.7.1 Not wanted"}
    told = await witness.post("/replies", bounce)
    read = await _all(anna, (told["id"], ""), "<t:IncludeMimeContent>true</t:IncludeMimeContent>")
    assert b"Status: 5.7.1" in base64.b64decode(read.texts("//t:MimeContent")[0])
    assert read.texts("//t:ItemAttachment/t:Name") == ["Offer 1"]


async def test_what_is_forgotten_and_what_was_kept(witness: Witness, anna: Client) -> None:
    (state,) = (await anna.sync()).texts("//m:SyncState")
    await anna.ask(
        '<m:CreateUserConfiguration><m:UserConfiguration><t:UserConfigurationName Name="Notes">'
        '<t:DistinguishedFolderId Id="inbox"/></t:UserConfigurationName><t:BinaryData>YQ==</t:BinaryData>'
        "</m:UserConfiguration></m:CreateUserConfiguration>"
    )
    assert await witness.get(f"/configurations?mailbox={ANNA}") == [
        {"folder": "Inbox", "name": "Notes", "size": 1, "xml_data": None, "binary_data": "YQ=="}
    ]
    await witness.post("/forget", {"sync_states": BERT})
    assert (await anna.sync(state)).codes == ["NoError"]
    assert await witness.post("/forget", {"sync_states": "*", "subscriptions": "*"}) == {
        "sync_states": "*",
        "subscriptions": 0,
    }
    assert (await anna.sync(state)).codes == ["ErrorInvalidSyncStateData"]


@pytest.mark.parametrize(
    ("path", "order", "status"),
    [
        ("/arrivals?mailbox=nobody@elsewhere.example", b"", 404),
        ("/arrivals", b"", 400),
        ("/replies", {"to": "x@customer.example"}, 400),
        ("/replies", {"kind": "telegram"}, 400),
        ("/moves", {"id": "x", "folder": "inbox"}, 404),
        ("/reads", {}, 400),
        ("/forget", {"everything": "*"}, 400),
    ],
)
async def test_wrong_orders(witness: Witness, path: str, order: object, status: int) -> None:
    assert await witness.post(path, order, status)


async def test_large_contents(sandbox: Sandbox, anna: Client) -> None:
    content = bytes(range(256)) * 4096 + b"!"
    source = b"Content-Type: application/octet-stream; name=big\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    mail = _arrived(sandbox, source + base64.encodebytes(content))
    (attachment,) = (await _all(anna, mail)).texts("//t:AttachmentId/@Id")
    ids = f'<t:AttachmentId Id="{attachment}"/>' * 2
    answer = await anna.ask(f"<m:GetAttachment><m:AttachmentIds>{ids}</m:AttachmentIds></m:GetAttachment>")
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert [base64.b64decode(each) for each in answer.texts("//t:Content")] == [content, content]
    whole = await anna.get(mail, base="IdOnly", shape="<t:IncludeMimeContent>true</t:IncludeMimeContent>")
    assert base64.b64decode(whole.texts("//t:MimeContent")[0]).endswith(base64.encodebytes(content))
    sandbox.exchange.faults.orders.append(Order("half", "GetAttachment", mailbox=ANNA, times=1))
    with pytest.raises(aiohttp.ClientPayloadError):
        await anna.ask(f"<m:GetAttachment><m:AttachmentIds>{ids}</m:AttachmentIds></m:GetAttachment>")
