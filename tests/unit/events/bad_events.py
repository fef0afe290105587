"""Events that nobody may send, each with the field that is wrong and words the message must hold."""

import base64
from dataclasses import dataclass
from typing import Final

import orjson

from tests.unit.events.sample import changed

EMAIL_ID: Final = "a3f09c1e-7d5b-4f1c-8a55-3b8f5d1f0e21"


@dataclass(frozen=True)
class Bad:
    name: str
    body: bytes
    field: str
    says: str
    email_id: str = EMAIL_ID
    """What can be read of the e-mail's id all the same."""


def _change(name: str, place: str, value: object, says: str, field: str | None = None) -> Bad:
    return Bad(name, orjson.dumps(changed({place: value})), place if field is None else field, says)


def _unreadable(name: str, body: bytes, says: str) -> Bad:
    return Bad(name, body, "", says, email_id="")


def _recipients(count: int) -> list[dict[str, str]]:
    return [{"address": f"customer{number}@customer.example"} for number in range(count)]


_GOOD = orjson.dumps(changed({}))
_ADDRESS = "is not a mail address"
_BREAKS = "must not hold line breaks"
_CONTROLS = "must not hold control characters"
_TIME = "must be an RFC 3339 time"
_IMPOSSIBLE = "is not a possible date"
_BASE64 = "is not base64"
_FILE = "data.attachments[0]"
_URL = {"name": "big.zip", "content_type": "application/zip"}

BAD: Final = (
    # the body as a whole
    _unreadable("empty", b"", "not JSON"),
    _unreadable("not JSON", b"To: x@customer.example\r\n\r\nhello", "not JSON"),
    _unreadable("half an event", _GOOD[: len(_GOOD) // 2], "not JSON"),
    _unreadable("two events", _GOOD + _GOOD, "not JSON"),
    _unreadable("UTF-16", _GOOD.decode().encode("utf-16"), "UTF-8"),
    _unreadable("Latin-1", '{"id": "Zoë"}'.encode("latin-1"), "UTF-8"),
    _unreadable("NaN", _GOOD.replace(b'"size":23', b'"size":NaN'), "not JSON"),
    _unreadable("endless number", _GOOD.replace(b'"size":23', b'"size":' + b"9" * 5000), "not JSON"),
    _unreadable("deep arrays", b"[" * 100_000 + b"]" * 100_000, "depth"),
    _unreadable("deep objects", b'{"data":' * 100_000, "depth"),
    _unreadable("array", b"[" + _GOOD + b"]", "must be a JSON object"),
    _unreadable("text", b'"crm.email.send.v1"', "must be a JSON object"),
    _unreadable("null", b"null", "must be a JSON object"),
    # the envelope
    _change("no specversion", "specversion", ..., "is missing"),
    _change("other specversion", "specversion", "0.3", "must be '1.0'"),
    _change("specversion as a number", "specversion", 1.0, "must be '1.0'"),
    _change("other type", "type", "crm.email.send.v2", "must be 'crm.email.send.v1'"),
    _change("no id", "id", ..., "is missing"),
    _change("empty id", "id", "", "must not be empty"),
    _change("id as a number", "id", 1, "must be text"),
    _change("long id", "id", "x" * 1025, "longer than 1024"),
    _change("line break in id", "id", "1\n2", _CONTROLS),
    Bad("half a character in id", _GOOD.replace(b'"id":"6e0b', rb'"id":"\ud83d6e0b'), "id", "U+FFFD"),
    _change("no source", "source", ..., "is missing"),
    _change("null source", "source", None, "must be text"),
    _change("NUL in source", "source", "/crm\x00", _CONTROLS),
    _change("no time", "time", ..., "is missing"),
    _change("time without offset", "time", "2026-11-23T08:00:00", _TIME),
    _change("time as a number", "time", 1795420800, _TIME),
    _change("date only", "time", "2026-11-23", _TIME),
    _change("30 February", "time", "2026-02-30T08:00:00Z", _IMPOSSIBLE),
    _change("25 o'clock", "time", "2026-11-23T25:00:00Z", _IMPOSSIBLE),
    _change("year 0", "time", "0000-01-01T00:00:00Z", _IMPOSSIBLE),
    _change("before all time", "time", "0001-01-01T00:00:00+14:00", _IMPOSSIBLE),
    _change("line break after time", "time", "2026-11-23T08:00:00Z\n", _TIME),
    _change("time ahead", "time", "2026-11-23T09:00:06Z", "more than an hour ahead"),
    _change("data is XML", "datacontenttype", "application/xml", "must be application/json"),
    Bad("no data", orjson.dumps(changed({"data": ...})), "data", "is missing", email_id=""),
    Bad("data as text", orjson.dumps(changed({"data": "{}"})), "data", "must be an object", email_id=""),
    # who it is about
    Bad("no email_id", orjson.dumps(changed({"data.email_id": ...})), "data.email_id", "is missing", email_id=""),
    Bad("email_id as a number", orjson.dumps(changed({"data.email_id": 7})), "data.email_id", "text", email_id=""),
    Bad("long email_id", orjson.dumps(changed({"data.email_id": "7" * 129})), "data.email_id", "128", "7" * 129),
    # addresses
    _change("no sender", "data.from", ..., "is missing"),
    _change("sender as text", "data.from", "anna@contoso.example", "must be an object"),
    _change("two senders", "data.from", [{"address": "anna@contoso.example"}], "must be an object"),
    _change("no domain", "data.from.address", "anna", _ADDRESS),
    _change("no local part", "data.from.address", "@contoso.example", _ADDRESS),
    _change("two at signs", "data.from.address", "a@b@contoso.example", _ADDRESS),
    _change("empty label", "data.from.address", "anna@contoso..example", _ADDRESS),
    _change("dot at the end", "data.from.address", "anna.@contoso.example", _ADDRESS),
    _change("name in the address", "data.to[0].address", "X <x@customer.example>", _ADDRESS),
    _change("list in an address", "data.to[0].address", "x@customer.example,y@customer.example", _ADDRESS),
    _change("header in an address", "data.to[0].address", "x@customer.example\r\nBcc: y@customer.example", _ADDRESS),
    _change("line break after an address", "data.cc[0].address", "y@customer.example\n", _ADDRESS),
    _change("blank in an address", "data.bcc[0].address", "archive @contoso.example", _ADDRESS),
    _change("hidden blank in an address", "data.bcc[0].address", "archive\u200b@contoso.example", _ADDRESS),
    _change("long address", "data.to[0].address", "x" * 310 + "@customer.example", "longer than 320"),
    _change("address as a number", "data.to[0].address", 4711, "must be text"),
    _change("no address", "data.reply_to[0]", {"name": "Nobody"}, "is missing", "data.reply_to[0].address"),
    _change("header in a name", "data.to[0].name", "X\r\nBcc: y@customer.example", _CONTROLS),
    _change("recipient as text", "data.to[0]", "x@customer.example", "must be an object"),
    _change("recipients as text", "data.to", "x@customer.example", "must be an array"),
    Bad(
        "no recipient",
        orjson.dumps(changed({"data.to": [], "data.cc": ..., "data.bcc": None})),
        "data.to",
        "without recipients",
    ),
    _change("ten thousand recipients", "data.to", _recipients(10_000), "more than 1000 entries"),
    Bad(
        "1001 recipients in all",
        orjson.dumps(changed({"data.to": _recipients(600), "data.cc": _recipients(400)})),
        "data.to",
        "1001 recipients",
    ),
    # what it says
    _change("no subject", "data.subject", ..., "is missing"),
    _change("null subject", "data.subject", None, "must be text"),
    _change("header in the subject", "data.subject", "Hello\r\nBcc: y@customer.example", _BREAKS),
    _change("long subject", "data.subject", "x" * 1001, "longer than 1000"),
    _change("no body", "data.body", ..., "is missing"),
    _change("body as text", "data.body", "hello", "must be an object"),
    _change("empty body", "data.body", {}, "must have html, text or both"),
    _change("body of nulls", "data.body", {"html": None, "text": None}, "must have html, text or both"),
    _change("html as a list", "data.body.html", ["<p>"], "must be text"),
    _change("other importance", "data.importance", "urgent", "'low', 'normal' or 'high'"),
    _change("importance as a number", "data.importance", 1, "'low', 'normal' or 'high'"),
    _change("other sensitivity", "data.sensitivity", "secret", "'confidential'"),
    _change("receipt as text", "data.request_read_receipt", "true", "must be true or false"),
    _change("receipt as a number", "data.request_delivery_receipt", 1, "must be true or false"),
    # headers
    _change("headers as a list", "data.headers", ["X-Campaign: autumn"], "must be an object"),
    _change(
        "header of a mail system", "data.headers", {"Bcc": "y@customer.example"}, "X- with letters", "data.headers.Bcc"
    ),
    _change("header break in a name", "data.headers", {"X-A\r\nBcc": "y"}, "X- with letters"),
    _change("line break in a header", "data.headers.X-Campaign", "autumn\r\nBcc: y@customer.example", _BREAKS),
    _change("bare line feed in a header", "data.headers.X-Campaign", "autumn\n", _BREAKS),
    _change("long header", "data.headers.X-Campaign", "x" * 2001, "longer than 2000"),
    _change("header as a number", "data.headers.X-Campaign", 7, "must be text"),
    _change("our own header", "data.headers.x-crm-mail-router-stamp", "forged", "reserved"),
    _change("too many headers", "data.headers", {f"X-{n}": "" for n in range(51)}, "more than 50 entries"),
    _change("no Message-ID", "data.in_reply_to", "4711", "is not a Message-ID"),
    _change("line break in a Message-ID", "data.in_reply_to", "<a\r\n@b>", "is not a Message-ID"),
    _change("two Message-IDs in one", "data.references[0]", "<a@b> <c@d>", "is not a Message-ID"),
    _change("too many references", "data.references", ["<a@b>"] * 101, "more than 100 entries"),
    _change("line break in the token", "data.tracking_token", "CRM:1\r\n", _CONTROLS),
    # attachments
    _change("attachments as an object", "data.attachments", {}, "must be an array"),
    _change("too many attachments", "data.attachments", [{"name": "x", "content": ""}] * 201, "more than 200 entries"),
    _change("no name", f"{_FILE}.name", ..., "is missing"),
    _change("line break in a file's name", f"{_FILE}.name", "a.pdf\r\nX: y", _CONTROLS),
    _change("no media type", f"{_FILE}.content_type", "pdf", "is not a media type"),
    _change("header in a media type", f"{_FILE}.content_type", "text/plain;\r\nX: y", "is not a media type"),
    _change("brackets in a content id", "data.attachments[1].content_id", "<logo>", "angle brackets"),
    _change("inline as text", "data.attachments[1].inline", "yes", "must be true or false"),
    _change("no content", f"{_FILE}.content", ..., "either content or url", _FILE),
    _change("content as a list", f"{_FILE}.content", [80, 75], "must be text"),
    _change("no base64", f"{_FILE}.content", "<base64>", _BASE64),
    _change("base64 cut short", f"{_FILE}.content", "QUJ", _BASE64),
    _change("base64 in lines", f"{_FILE}.content", "QUJD\r\nREVG", _BASE64),
    _change("base64 for URLs", f"{_FILE}.content", "-_-_", _BASE64),
    _change("base64 with surplus padding", f"{_FILE}.content", "QUJD====", _BASE64),
    _change("base64 after its end", f"{_FILE}.content", "QQ==QQ==", _BASE64),
    _change("base64 that is not ASCII", f"{_FILE}.content", "QÄ==", _BASE64),
    _change("negative size", f"{_FILE}.size", -1, "must not be negative"),
    _change("size as text", f"{_FILE}.size", "23", "must be a whole number"),
    _change("size as a fraction", f"{_FILE}.size", 23.5, "must be a whole number"),
    _change("other size", f"{_FILE}.size", 24, "not the size given", f"{_FILE}.content"),
    _change("no sha256", f"{_FILE}.sha256", "abc", "64 hexadecimal digits"),
    _change("other sha256", f"{_FILE}.sha256", "0" * 64, "sha256 given", f"{_FILE}.content"),
    *(
        _change(name, _FILE, {**_URL, "url": url}, says, f"{_FILE}.url")
        for name, url, says in (
            ("url without TLS", "http://crm.contoso.example/f/1", "https"),
            ("url of the machine's metadata", "http://169.254.169.254/latest/", "https"),
            ("url of another protocol", "gopher://127.0.0.1:25/_HELO", "https"),
            ("url with credentials", "https://user:secret@crm.contoso.example/", "credentials"),
            ("url with a fragment", "https://crm.contoso.example/#@evil.example", "fragment"),
            ("url without a host", "https:///etc/passwd", "not a URL"),
            ("url with a line break", "https://crm.contoso.example/\r\nX: y", "not a URL"),
            ("url with a backslash", "https://crm.contoso.example\\@evil.example/", "not a URL"),
            ("url with an impossible port", "https://crm.contoso.example:99999/", "not a URL"),
            ("url with a broken host", "https://[::1/", "not a URL"),
            ("url of a store with credentials", "s3://key:secret@bucket/f", "credentials"),
            ("url of a store with a line break", "file:///attachments/a\r\nb", "not a URL"),
            ("long url", "https://crm.contoso.example/" + "x" * 2048, "longer than 2048"),
        )
    ),
    _change("content and url", f"{_FILE}.url", "https://crm.contoso.example/f/1", "either content or url", _FILE),
    # times
    _change("impossible send_after", "data.send_after", "2026-13-01T00:00:00Z", _IMPOSSIBLE),
    _change("send_after too late", "data.send_after", "2026-11-30T08:00:01Z", "more than 7 days after"),
    _change("send_after as a number", "data.send_after", 0, _TIME),
    _change("impossible expires_at", "data.expires_at", "2026-11-31T00:00:00Z", _IMPOSSIBLE),
    _change("expires_at in words", "data.expires_at", "tomorrow", _TIME),
)

OVERSIZE: Final = orjson.dumps(
    changed({"data.attachments[0]": {"name": "big", "content": base64.b64encode(bytes(3000)).decode()}})
)
