"""GetAttachment: what a file holds, and the mail that an attachment is (EWS reference, "GetAttachment operation")."""

from enum import Enum
from functools import cache
from typing import Any

from lxml import etree

from worker.ews.answer import ResponseMessage
from worker.ews.item import properties, read_mail
from worker.ews.operations.listed import ListedRequest, acting
from worker.ews.template import MESSAGES, TYPES, Filled, build, place
from worker.mail.incoming import IncomingMail

_T = f"{{{TYPES}}}"
_OF_ATTACHMENT = frozenset(
    f"{_T}{name}"
    for name in (
        "AttachmentId",
        "Name",
        "ContentType",
        "ContentId",
        "ContentLocation",
        "AttachmentOriginalUrl",
        "Size",
        "LastModifiedTime",
        "IsInline",
    )
)


class Form(Enum):
    """In which form an item that is an attachment is asked for. Of a file there is only one."""

    INTERNET = "as a mail on the wire, an appointment as iCalendar, and so on"
    PROPERTIES = "property by property, as everything it has"
    MAIL = "property by property, as a mail is read"
    MAIL_WITHOUT_TEXT = "the same without the plain text beside an HTML body, which old servers do not make"


@cache
def _request(form: Form, impersonate: bool) -> ListedRequest:  # noqa: FBT001 - keys of the cache
    shape: dict[str, Any] = {"IncludeMimeContent": form is Form.INTERNET, "BodyType": "Best"}
    if form in (Form.MAIL, Form.MAIL_WITHOUT_TEXT):
        shape["AdditionalProperties"] = {"_value_1": properties(texts=True, text_body=form is Form.MAIL)}
    body = {"AttachmentShape": shape, "AttachmentIds": {"_value_1": [{"AttachmentId": {"Id": place("id")}}]}}
    return ListedRequest(build("GetAttachment", body, impersonate=impersonate), "m:AttachmentIds", "t:AttachmentId")


def request(mailbox: str, attachment_id: str, form: Form, *, impersonate: bool) -> Filled:
    return _request(form, impersonate).fill([attachment_id], acting(mailbox, impersonate=impersonate))


def attachment(message: ResponseMessage) -> etree._Element | None:
    """The attachment's element in a successful response message."""
    holder = message.element.find(f"{{{MESSAGES}}}Attachments")
    return None if holder is None else next(iter(holder), None)


def is_file(found: etree._Element) -> bool:
    """A file, if only an empty one; not an item, and not a mere reference to something elsewhere."""
    return found.tag == _T + "FileAttachment"


def item(found: etree._Element) -> etree._Element | None:
    """The item that an attachment is; None for a file, or for an item that is not shown."""
    if found.tag != _T + "ItemAttachment":
        return None
    return next((child for child in found if child.tag not in _OF_ATTACHMENT), None)


def mail(found: etree._Element) -> IncomingMail | None:
    """The mail that an attachment is."""
    inner = item(found)
    return None if inner is None else read_mail(inner, bare=False)
