"""Test data: messages, drafts, rows, and XML as servers answer it."""

from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from worker.ews.operations.find_item import Row
from worker.ews.template import Filled
from worker.mail.address import Address
from worker.mail.message import Attachment, Message
from worker.mail.stamp import PROPERTY_NAME, PROPERTY_SET, stamp_of
from worker.mail.transport import Draft

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"

FULL = Message(
    stamp=stamp_of("/crm/contoso", "full&<>"),
    message_id="<crm.full.0@contoso.example>",
    sender=Address("anna@contoso.example", 'Anna "A" <&>'),
    subject="All & everything <1>",
    to=(Address("to1@customer.example", "To One"), Address("to2@customer.example")),
    cc=(Address("cc@customer.example", "Cc"),),
    bcc=(Address("bcc@customer.example", "Bcc"),),
    reply_to=(Address("reply@contoso.example", "Reply"),),
    html="<p>Hello &amp; welcome</p>\r\n",
    text="Hello",
    importance="high",
    sensitivity="confidential",
    request_read_receipt=True,
    request_delivery_receipt=True,
    headers=(("X-Campaign", "autumn"), ("X-Second", "2 & 3")),
    in_reply_to="<question@customer.example>",
    references=("<first@customer.example>", "<question@customer.example>"),
    attachments=(
        Attachment("a.pdf", "application/pdf", b"UERG"),
        Attachment("logo.png", "image/png", b"UE5H", content_id="logo", inline=True),
    ),
)
"""A mail with everything the router sets."""

PLAIN = Message(
    stamp=stamp_of("/crm/contoso", "plain"),
    message_id="<crm.plain.0@contoso.example>",
    sender=Address("anna@contoso.example"),
    subject="",
    to=(Address("to1@customer.example"),),
    text="Hello",
)

DRAFT = Draft(NOON, "id+/=", "key+/=", "<crm.plain.0@contoso.example>")


def whole(request: Filled) -> bytes:
    """A request none of whose pieces is spooled."""
    return b"".join(piece for piece in request if isinstance(piece, bytes))


def row(number: int, stamp: str = "", *, submitted: bool = False, key: str = "k") -> Row:
    """A row that was made and changed `number` seconds after noon."""
    at = NOON + timedelta(seconds=number)
    return Row(f"id-{number}", key, stamp, submitted, at, at, f"<{stamp}>" if stamp else "")


def envelope(body: str, header: str = "") -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP}" xmlns:m="{MESSAGES}" xmlns:t="{TYPES}">'
        f"<s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def response(operation: str, *messages: str) -> bytes:
    inner = "".join(messages)
    return envelope(
        f"<m:{operation}Response><m:ResponseMessages>{inner}</m:ResponseMessages></m:{operation}Response>",
        '<t:ServerVersionInfo MajorVersion="15" Version="Exchange2016"/>',
    )


def success(operation: str, content: str = "") -> str:
    return (
        f'<m:{operation}ResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>{content}'
        f"</m:{operation}ResponseMessage>"
    )


def failure(operation: str, code: str, text: str = "It failed.", xml: str = "") -> str:
    return (
        f'<m:{operation}ResponseMessage ResponseClass="Error"><m:MessageText>{text}</m:MessageText>'
        f"<m:ResponseCode>{code}</m:ResponseCode><m:DescriptiveLinkKey>0</m:DescriptiveLinkKey>{xml}"
        f"</m:{operation}ResponseMessage>"
    )


def back_off(milliseconds: object) -> str:
    return f'<m:MessageXml><t:Value Name="BackOffMilliseconds">{milliseconds}</t:Value></m:MessageXml>'


def fault(code: str, text: str = "It failed.", xml: str = "") -> bytes:
    """As Exchange writes it: the code in the faultcode, and again in the detail."""
    return envelope(
        f'<s:Fault><faultcode xmlns:a="{TYPES}">a:{code}</faultcode><faultstring xml:lang="en-US">{text}</faultstring>'
        f'<detail><e:ResponseCode xmlns:e="{ERRORS}">{code}</e:ResponseCode>'
        f'<e:Message xmlns:e="{ERRORS}">{text}</e:Message>{xml}</detail></s:Fault>'
    )


def item(row: Row, kind: str = "Message", extra: str = "") -> str:
    """A row as FindItem shows it."""
    stamp = (
        f'<t:ExtendedProperty><t:ExtendedFieldURI PropertySetId="{PROPERTY_SET.upper()}" '
        f'PropertyName="{PROPERTY_NAME}" PropertyType="String"/>'
        f"<t:Value>{escape(row.stamp)}</t:Value></t:ExtendedProperty>"
    )
    times = "".join(
        f"<t:{name}>{at.isoformat().replace('+00:00', 'Z')}</t:{name}>"
        for name, at in (("DateTimeCreated", row.created_at), ("LastModifiedTime", row.modified_at))
        if at is not None
    )
    return (
        f'<t:{kind}><t:ItemId Id="{row.id}" ChangeKey="{row.change_key}"/>'
        f"<t:IsSubmitted>{str(row.submitted).lower()}</t:IsSubmitted>{times}{stamp if row.stamp else ''}{extra}"
        f"<t:InternetMessageId>{escape(row.message_id)}</t:InternetMessageId></t:{kind}>"
    )


def page(*rows: Row, last: bool = True, total: int | None = None, offset: int = 0) -> str:
    """One folder's part of an answer to FindItem."""
    end = offset + len(rows)
    return success(
        "FindItem",
        f'<m:RootFolder IndexedPagingOffset="{end}" TotalItemsInView="{end if total is None else total}" '
        f'IncludesLastItemInRange="{str(last).lower()}"><t:Items>{"".join(map(item, rows))}</t:Items></m:RootFolder>',
    )
