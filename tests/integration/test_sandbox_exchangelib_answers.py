"""A client nobody here wrote answers and forwards mail."""

import asyncio

import pytest
from exchangelib import (
    FileAttachment,
    HTMLBody,
    Mailbox,
    Message,
)
from exchangelib.errors import ErrorInvalidReferenceItem, ErrorItemNotFound

from tests.exchangelib_account import account_of
from tests.integration.ews_by_hand import Answer, Client
from worker.sandbox.item import Attachment, Item, Recipient
from worker.sandbox.server import Sandbox

pytestmark = pytest.mark.usefixtures("exchangelib_closed")

ANNA, BERT, JAN, CARA = "anna@contoso.example", "bert@contoso.example", "j@customer.example", "c@customer.example"
ASKED = Item(
    subject="WG: Offer",
    body='<html><head><style>p {}</style></head><body class="a"><p>How much?</p></body></html>',
    body_type="HTML",
    from_=Recipient(JAN, "Jan"),
    to=(Recipient(ANNA, "Anna"), Recipient(BERT)),
    cc=(Recipient(CARA), Recipient(JAN.upper())),
    message_id="<2@customer.example>",
    references="<0@x.example> <1@x.example>",
    attachments=[
        Attachment("", "a.pdf", "application/pdf", b"%PDF"),
        Attachment("", "logo.png", "image/png", b"png", content_id="logo", inline=True),
    ],
)


async def test_a_reply(sandbox: Sandbox) -> None:
    asked = sandbox.exchange.arrive(ANNA, ASKED)

    def work() -> None:
        account = account_of(sandbox.url)
        account.inbox.get(id=asked.id).reply("Re: Offer", HTMLBody("<p>So much.</p>"))
        sent = account.sent.get(subject="Re: Offer")
        assert str(sent.body).index("So much.") < str(sent.body).index("From: Jan &lt;j@customer.example&gt;")
        assert str(sent.body).index("Subject: WG: Offer") < str(sent.body).index("<p>How much?</p>")
        assert str(sent.body).count("<body") == str(sent.body).count("</body>") == 1
        assert sent.conversation_id == account.inbox.get(id=asked.id).conversation_id
        assert [each.name for each in sent.attachments] == ["logo.png"]

    await asyncio.to_thread(work)
    (left,) = sandbox.sent
    assert (left.to, left.cc, left.subject) == ((JAN,), (), "Re: Offer")
    assert left.in_reply_to == "<2@customer.example>"
    assert left.references == "<0@x.example> <1@x.example> <2@customer.example>"


async def test_a_reply_to_all_kept_for_later(sandbox: Sandbox) -> None:
    asked = sandbox.exchange.arrive(ANNA, ASKED)

    def work() -> None:
        account = account_of(sandbox.url)
        kept = account.inbox.get(id=asked.id).create_reply_all("Re: Offer", "So much.").save(account.drafts)
        draft = account.drafts.get(id=kept.id)
        assert str(draft.body).startswith("So much.\r\n\r\n____")
        assert str(draft.body).endswith("Subject: WG: Offer\r\n\r\nHow much?")
        draft.attach(FileAttachment(name="b.txt", content=b"b"))
        draft.send()

    await asyncio.to_thread(work)
    (left,) = sandbox.sent
    assert (set(left.to), set(left.cc), left.attachments) == ({BERT, JAN}, {CARA, JAN.upper()}, ("b.txt",))


async def test_a_forward(sandbox: Sandbox) -> None:
    asked = sandbox.exchange.arrive(ANNA, ASKED)

    def work() -> None:
        account = account_of(sandbox.url)
        mail = account.inbox.get(id=asked.id)
        mail.forward("Fw: Offer", "See below", to_recipients=[Mailbox(email_address=BERT)])
        (sent,) = account.sent.all()
        assert [each.content for each in sent.attachments] == [b"%PDF", b"png"]

    await asyncio.to_thread(work)
    (received,) = sandbox.exchange.mailbox(BERT).folders["inbox"].items.values()
    assert (received.subject, received.in_reply_to) == ("Fw: Offer", "<2@customer.example>")
    assert [each.name for each in received.attachments] == ["a.pdf", "logo.png"]
    assert "How much?" in received.body


async def test_what_cannot_be_answered(sandbox: Sandbox) -> None:
    def work() -> None:
        account = account_of(sandbox.url)
        mail = Message(account=account, folder=account.drafts, subject="s", body="", to_recipients=[BERT]).save()
        with pytest.raises(ErrorInvalidReferenceItem):
            mail.reply("Re: s", "", to_recipients=[BERT])
        mail.forward("Fw: s", "", to_recipients=[BERT])
        reply = mail.create_reply("Re: s", "", to_recipients=[BERT])
        mail.delete()
        with pytest.raises(ErrorItemNotFound):
            reply.send()

    await asyncio.to_thread(work)
    assert [each.subject for each in sandbox.sent] == ["Fw: s"]


async def _respond(anna: Client, kind: str, asked: Item, inner: str = "", before: str = "") -> Answer:
    named = f'<t:ReferenceItemId Id="{asked.id}" ChangeKey="{asked.change_key}"/>'
    return await anna.create(f"<t:{kind}>{before}{named}{inner}</t:{kind}>", disposition="SendAndSaveCopy")


async def test_what_the_request_leaves_out(sandbox: Sandbox, anna: Client) -> None:
    """As the EWS Managed API asks: the mail, and the new text."""
    asked = sandbox.exchange.arrive(ANNA, ASKED)
    new = '<t:NewBodyContent BodyType="Text">So much.</t:NewBodyContent>'
    assert (await _respond(anna, "ReplyToItem", asked, new)).codes == ["NoError"]
    assert (await _respond(anna, "ReplyAllToItem", asked)).codes == ["NoError"]
    assert (await _respond(anna, "ForwardItem", asked)).codes == ["ErrorInvalidRecipients"]
    one, everybody = sandbox.sent
    assert (one.subject, one.to, one.cc) == ("RE: Offer", (JAN,), ())
    assert (everybody.to, everybody.cc) == ((JAN, BERT), (CARA,))
    wanted = "".join(
        f'<t:ExtendedFieldURI PropertyTag="{tag}" PropertyType="Integer"/>' for tag in ("0x1081", "0x1080")
    )
    found = await anna.get((asked.id, ""), shape=f"<t:AdditionalProperties>{wanted}</t:AdditionalProperties>")
    assert found.texts("//t:ExtendedProperty/t:Value") == ["103", "261"]


async def test_to_where_answers_are_wanted(sandbox: Sandbox, anna: Client) -> None:
    asked = ASKED.copied()
    asked.reply_to = (Recipient("team@customer.example"),)
    asked = sandbox.exchange.arrive(ANNA, asked)
    body = '<t:Body BodyType="Text">Only this</t:Body>'
    assert (await _respond(anna, "ReplyToItem", asked, before=body)).codes == ["NoError"]
    new = '<t:NewBodyContent BodyType="HTML">&lt;b&gt;And&lt;/b&gt;</t:NewBodyContent>'
    assert (await _respond(anna, "ReplyToItem", asked, new, body)).codes == ["NoError"]
    assert [each.to for each in sandbox.sent] == [("team@customer.example",)] * 2
    sent = sandbox.exchange.mailbox(ANNA).folders["sentitems"].items.values()
    assert [each.body for each in sent] == ["Only this", "<html><body><b>And</b>Only this</body></html>"]


async def test_responses_that_make_no_sense(sandbox: Sandbox, anna: Client) -> None:
    asked = sandbox.exchange.arrive(ANNA, ASKED)
    assert (await anna.create("<t:ReplyToItem/>")).codes == ["fault", "ErrorSchemaValidation"]
    wrong = await _respond(anna, "ReplyToItem", asked, "<t:Subject>s</t:Subject>")
    assert wrong.codes == ["fault", "ErrorSchemaValidation"]
    answer = await _respond(anna, "AcceptItem", asked)
    assert answer.codes == ["ErrorInvalidItemForOperationCreateItem"]
    assert "AcceptItem" in answer.texts("//m:MessageText")[0]
    async with Client(sandbox.url, BERT) as bert:
        assert (await _respond(bert, "ReplyToItem", asked)).codes == ["ErrorAccessDenied"]
    assert not sandbox.sent


async def test_faults_are_ordered_by_who_is_answered(sandbox: Sandbox, anna: Client) -> None:
    asked = ASKED.copied()
    asked.from_ = Recipient("x+busy@customer.example")
    assert (await _respond(anna, "ReplyToItem", sandbox.exchange.arrive(ANNA, asked))).status == 503
