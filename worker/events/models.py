"""`crm.email.send.v1` as pydantic checks it: the same rules as `schemas/events/crm.email.send.v1.json`, and those few
that a JSON Schema cannot express.

Unknown fields are ignored, no type is turned into another, and null means the same as absent where a field may be
absent. The patterns are for pydantic's own engine, which takes linear time whatever the text.
"""

import binascii
import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic import StringConstraints as Is
from pydantic_core import PydanticCustomError

from worker.mail.message import Importance, Sensitivity
from worker.mail.message_id import TRACE_HEADER

RECIPIENTS: Final = 1000
"""The most recipients Exchange can be set to take in one message."""

_HEADERS: Final = 50

_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
_BLANK = r"\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufffd"
_ATOM = rf'[^{_BLANK}()<>\[\]:;@\\,."]+'
_ALNUM = rf"[^{_BLANK}!-/:-@\[-^`{{-~]"
_LABEL = rf"{_ALNUM}(?:(?:{_ALNUM}|-)*{_ALNUM})?"

# An identifier with U+FFFD in it is a damaged one, and two damaged ones may look the same: it is refused.
IDENTIFIER: Final = rf"^[^{_CONTROL}\ufffd]+$"
LINE: Final = rf"^[^{_CONTROL}]*$"
UNBROKEN: Final = r"^[^\r\n]*$"
ADDRESS: Final = (
    rf'^(?:{_ATOM}(?:\.{_ATOM})*|"[^{_BLANK}"\\<>]+")'
    rf"@(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Za-z.:]+\])$"
)
MESSAGE_ID: Final = rf"^<[^<>\u0020{_CONTROL}]+>$"
MESSAGE_ID_OR_NONE: Final = rf"^(?:<[^<>\u0020{_CONTROL}]+>)?$"
MOST_ID_CHARACTERS: Final = 998
MOST_REFERENCES: Final = 100
CONTENT_ID: Final = rf"^[^<>\u0020{_CONTROL}]*$"
_TOKEN = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*"  # noqa: S105 - RFC 6838 section 4.2, a name in a media type
CONTENT_TYPE: Final = rf"^{_TOKEN}/{_TOKEN}(?: *;[^{_CONTROL}]*)?$"
JSON_TYPE: Final = rf"^(?:application|text)/(?:[A-Za-z0-9!#$&^_.+-]+\+)?json(?: *;[^{_CONTROL}]*)?$"
SHA256: Final = r"^[0-9A-Fa-f]{64}$"
HEADER_NAME: Final = r"^[Xx]-[A-Za-z0-9-]+$"

TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,20})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
_TIME = re.compile(TIME)
_URL = re.compile(r"(?:https|file|s3a?|gs|az|adl|azure|abfss?)://[!-\[\]-~]+", re.ASCII)


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise PydanticCustomError("moment", "must be an RFC 3339 time with its offset, like 2026-11-23T08:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("moment", "is not a possible date and time") from None


def _not_too_many(value: object) -> object:
    if isinstance(value, dict) and len(value) > _HEADERS:
        raise PydanticCustomError("headers", f"has more than {_HEADERS} entries")
    return value


def _not_reserved(name: str) -> str:
    if name.lower().startswith(TRACE_HEADER.lower()):
        raise PydanticCustomError("header", f"is reserved for this router, {TRACE_HEADER}...")
    return name


Moment = Annotated[datetime, PlainValidator(_moment)]
Identifier = Annotated[str, Is(min_length=1, max_length=1024, pattern=IDENTIFIER)]
EmailId = Annotated[str, Is(min_length=1, max_length=128, pattern=IDENTIFIER)]
AddressText = Annotated[str, Is(max_length=320, pattern=ADDRESS)]
DisplayName = Annotated[str, Is(max_length=256, pattern=LINE)]
HeaderName = Annotated[str, Is(max_length=100, pattern=HEADER_NAME), AfterValidator(_not_reserved)]
HeaderValue = Annotated[str, Is(max_length=2000, pattern=UNBROKEN)]
Reference = Annotated[str, Is(max_length=MOST_ID_CHARACTERS, pattern=MESSAGE_ID)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


class Mailbox(_Part):
    address: AddressText
    name: DisplayName | None = None


class Body(_Part):
    html: str | None = None
    text: str | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if self.html is None and self.text is None:
            raise PydanticCustomError("body", "must have html, text or both")
        return self


class File(_Part):
    """An attachment. `size` and `sha256` stand before `content`, whose check compares them."""

    name: Annotated[str, Is(min_length=1, max_length=255, pattern=LINE)]
    content_type: Annotated[str, Is(max_length=255, pattern=CONTENT_TYPE)] | None = None
    content_id: Annotated[str, Is(max_length=255, pattern=CONTENT_ID)] | None = None
    inline: bool | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    sha256: Annotated[str, Is(pattern=SHA256)] | None = None
    content: str | None = None
    url: Annotated[str, Is(max_length=2048)] | None = None

    @field_validator("content")
    @classmethod
    def _decodes(cls, content: str | None, so_far: ValidationInfo) -> str | None:
        if content is None:
            return None
        decoded = _decoded(content)
        if decoded is None:
            raise PydanticCustomError("base64", "is not base64 (RFC 4648 section 4: padded, without line breaks)")
        size, sha256 = so_far.data.get("size"), so_far.data.get("sha256")
        if size is not None and size != len(decoded):
            raise PydanticCustomError("size", f"is {len(decoded)} bytes long, which is not the size given")
        if sha256 is not None and sha256.lower() != hashlib.sha256(decoded).hexdigest():
            raise PydanticCustomError("sha256", "does not have the sha256 given")
        return content

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        if url is not None and (fault := _fault_of_url(url)):
            raise PydanticCustomError("url", fault)
        return url

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.content is None) == (self.url is None):
            raise PydanticCustomError("attachment", "must have either content or url")
        return self


def _decoded(content: str) -> bytes | None:
    try:
        decoded = binascii.a2b_base64(content, strict_mode=True)
    except ValueError:
        return None
    # The strict mode lets surplus padding pass, at least in Python 3.11.
    return decoded if len(content) == (len(decoded) + 2) // 3 * 4 else None


def _fault_of_url(url: str) -> str:
    """What is wrong with it whatever the operator allows; only https needs a host."""
    try:
        parts = urlsplit(url)
        port_is_possible = parts.port is None or parts.port > 0
    except ValueError:
        return "is not a URL"
    if not _URL.match(url):
        return "must be an https URL, or one of the attachment store"
    if not (parts.hostname or parts.scheme != "https") or not port_is_possible or not _URL.fullmatch(url):
        return "is not a URL"
    if "@" in parts.netloc and not parts.scheme.startswith("abfs"):  # there it parts container and account
        return "must not hold credentials"
    if "#" in url:
        return "must not have a fragment"
    return ""


Mailboxes = Annotated[list[Mailbox], Field(max_length=RECIPIENTS)]


class SendData(_Part):
    email_id: EmailId
    sender: Annotated[Mailbox, Field(alias="from")]
    to: Mailboxes | None = None
    cc: Mailboxes | None = None
    bcc: Mailboxes | None = None
    reply_to: Mailboxes | None = None
    subject: Annotated[str, Is(max_length=1000, pattern=UNBROKEN)]
    body: Body
    importance: Importance | None = None
    sensitivity: Sensitivity | None = None
    request_read_receipt: bool | None = None
    request_delivery_receipt: bool | None = None
    headers: Annotated[dict[HeaderName, HeaderValue] | None, BeforeValidator(_not_too_many)] = None
    in_reply_to: Annotated[str, Is(max_length=MOST_ID_CHARACTERS, pattern=MESSAGE_ID_OR_NONE)] | None = None
    references: Annotated[list[Reference], Field(max_length=MOST_REFERENCES)] | None = None
    tracking_token: Annotated[str, Is(max_length=100, pattern=LINE)] | None = None
    attachments: Annotated[list[File], Field(max_length=200)] | None = None
    send_after: Moment | None = None
    expires_at: Moment | None = None


class SendEvent(_Part):
    specversion: Literal["1.0"]
    type: Literal["crm.email.send.v1"]
    id: Identifier
    source: Identifier
    time: Moment
    datacontenttype: Annotated[str, Is(pattern=JSON_TYPE)] | None = None
    traceparent: object = None
    tracestate: object = None
    data: SendData
