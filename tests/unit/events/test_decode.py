from datetime import UTC, datetime

import orjson
import pytest

from tests.unit.events.sample import NOW, SEND, accepted, changed, decoded, examples, full, refused
from worker.events.decode import Invalid, SendRequest
from worker.mail.address import Address
from worker.mail.message import Attachment, Link
from worker.mail.stamp import stamp_of


def test_how_a_time_is_written_and_a_mark_before_the_text_make_no_difference() -> None:
    written = changed({"time": "2026-11-23t09:00:00.5+01:00", "data.expires_at": "2026-11-24T08:00:00z"})
    request = decoded(b"\xef\xbb\xbf" + orjson.dumps(written))

    assert isinstance(request, SendRequest)
    assert request.time == datetime(2026, 11, 23, 8, 0, 0, 500_000, tzinfo=UTC)
    assert request.expires_at == datetime(2026, 11, 24, 8, tzinfo=UTC)


def test_every_field_arrives() -> None:
    content = b"UG9zaXRpb24sUXVhbnRpdHkKMSwyMAo="
    event = changed({"data.attachments[1].content": "UE5H"})

    assert accepted(event) == SendRequest(
        source="/crm/contoso",
        event_id="6e0b5a0c-58f6-4a0e-9a34-0d1c7e8a5b11",
        time=datetime(2026, 11, 23, 8, tzinfo=UTC),
        email_id="a3f09c1e-7d5b-4f1c-8a55-3b8f5d1f0e21",
        sender=Address("anna@contoso.example", "Anna Berg"),
        to=(Address("x@customer.example", "Xaver Lind"),),
        cc=(Address("y@customer.example"),),
        bcc=(Address("archive@contoso.example", "Archive"),),
        reply_to=(Address("service@contoso.example", "Contoso Service"),),
        subject="Your request",
        html='<p>Good morning,</p><p>the offer is attached.</p><img src="cid:logo">',
        text="Good morning,\n\nthe offer is attached.\n",
        importance="high",
        sensitivity="confidential",
        request_read_receipt=True,
        request_delivery_receipt=True,
        headers=(("X-Campaign", "autumn"), ("X-CRM-Owner", "anna")),
        in_reply_to="<4711.1@customer.example>",
        references=("<4711.0@customer.example>", "<4711.1@customer.example>"),
        tracking_token="CRM:0001042",
        attachments=(
            Attachment("offer.csv", "text/csv; charset=utf-8", content),
            Attachment("logo.png", "image/png", b"UE5H", "logo", inline=True),
        ),
        send_after=datetime(2026, 11, 23, 9, tzinfo=UTC),
        expires_at=datetime(2026, 11, 24, 8, tzinfo=UTC),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        tracestate="crm=t61rcWkgMzE",
    )


@pytest.mark.parametrize("name", ["minimal", "nulls"])
def test_what_is_absent_or_null_has_its_default(name: str) -> None:
    request = accepted(examples(SEND)[name])

    assert (request.importance, request.sensitivity) == ("normal", "normal")
    assert (request.cc, request.reply_to, request.headers, request.references, request.attachments) == ((),) * 5
    assert (request.in_reply_to, request.tracking_token, request.traceparent) == ("", "", "")
    assert (request.send_after, request.expires_at) == (None, None)
    assert not request.request_read_receipt
    assert not request.request_delivery_receipt


def test_the_stamp_is_of_source_and_id() -> None:
    assert accepted(full()).stamp == stamp_of("/crm/contoso", "6e0b5a0c-58f6-4a0e-9a34-0d1c7e8a5b11")


def test_an_attachment_without_media_type_is_octets() -> None:
    request = accepted(changed({"data.attachments[0].content_type": ...}))

    assert request.attachments[0].content_type == "application/octet-stream"


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.contoso.example/f/1?signature=a%20b",
        "https://crm.contoso.example:8443/",
        "https://[2606:4700::1111]/f",
        "file:///srv/attachments/1f2e/1-a.pdf",
        "s3://bucket/crm/1f2e/1-a.pdf",
        "abfss://container@account.dfs.core.windows.net/1-a.pdf",
    ],
)
def test_an_attachment_by_url(url: str) -> None:
    file = {"name": "a.pdf", "url": url, "size": 3, "sha256": "AB" * 32}
    (attachment,) = accepted(changed({"data.attachments": [file]})).attachments

    assert attachment.content == Link(url, 3, "AB" * 32)
    (attachment,) = accepted(changed({"data.attachments": [{"name": "a.pdf", "url": url}]})).attachments
    assert attachment.content == Link(url)


def test_unknown_fields_are_ignored_at_every_level() -> None:
    event = changed(
        {"extension": 1, "data.new": {"a": [None]}, "data.to[0].id": 7, "data.body.rtf": 1, "data.attachments[0].x": {}}
    )

    assert accepted(event) == accepted(full())


def test_repeated_recipients_are_kept() -> None:
    request = accepted(changed({"data.to": [{"address": "x@customer.example"}] * 2}))

    assert request.to == (Address("x@customer.example"),) * 2


def test_texts_keep_what_only_the_transport_can_judge() -> None:
    request = accepted(changed({"data.subject": "tab\tand \x0b", "data.body.text": "\x00\x01 \ufffe"}))

    assert (request.subject, request.text) == ("tab\tand \x0b", "\x00\x01 \ufffe")


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (rb"cut \ud83d", "cut \ufffd"),
        (rb"\ude00 and \ud83d\ude00", "\ufffd and \U0001f600"),
        (rb"\uD83D\uD83D\uDE00\u0041", "\ufffd\U0001f600A"),
        (rb"no escape: \\ud83d, one: \\\ud83d", "no escape: \\ud83d, one: \\\ufffd"),
    ],
)
def test_half_a_character_is_mended(sent: bytes, read: str) -> None:
    body = orjson.dumps(full()).replace(b"Your request", sent)

    assert accepted(body).subject == read


def test_a_text_of_nothing_but_halves_is_not_mended_for_ever() -> None:
    body = orjson.dumps(full()).replace(b"Your request", rb"\ud83d" * 100_000)

    assert refused(body).field == ""


def test_times_are_in_utc_whatever_their_offset() -> None:
    request = accepted(
        changed({"time": "2026-11-23T13:30:00.1234567+05:30", "data.expires_at": "2026-11-23T12:00:00-00:00"})
    )

    assert request.time == datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=UTC)
    assert request.time.tzinfo is UTC
    assert request.expires_at == datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"time": "2026-11-23T09:00:05Z"},  # an hour ahead, and not more
        {"time": "0001-01-01T00:00:00Z", "data.send_after": None},  # old is for the flow to judge
        {"data.send_after": "2026-11-30T08:00:00Z"},  # just within the horizon
        {"data.send_after": "1970-01-01T00:00:00Z"},
        {"data.expires_at": "1970-01-01T00:00:00Z"},
    ],
)
def test_times_that_are_taken(changes: dict[str, object]) -> None:
    accepted(changed(changes))


def test_an_expiry_beyond_any_horizon_is_none() -> None:
    """So that nobody trips over the end of the calendar, which .NET writes for "never"."""
    assert accepted(changed({"data.expires_at": "9999-12-31T23:59:59.9999999Z"})).expires_at is None


def test_a_wider_horizon_takes_a_later_send_after() -> None:
    event = changed({"data.send_after": "2026-12-10T00:00:00Z"})

    assert isinstance(decoded(event, horizon_days=7), Invalid)
    assert isinstance(decoded(event, horizon_days=30), SendRequest)


def test_anything_but_a_trace_parent_is_ignored() -> None:
    for value in ("", "00-xyz-01", 7, None, ["00"]):
        assert accepted(changed({"traceparent": value})).traceparent == ""


def test_anything_but_a_trace_state_is_ignored() -> None:
    for value in ("", "crm=a\r\nX-Other: b", "c" * 513, 7, None, ["crm=a"]):
        assert accepted(changed({"tracestate": value})).tracestate == ""


def test_nothing_the_mail_says_is_in_the_repr() -> None:
    shown = repr(accepted(full()))

    assert "offer" not in shown
    assert "Your request" not in shown
    assert "autumn" not in shown


@pytest.mark.parametrize(
    "address",
    [
        "a@b",
        "o'brien+tag@customer.example",
        "first.last@sub.customer.example",
        '"first.last"@customer.example',
        "x@[192.0.2.1]",
        "x@[IPv6:2001:db8::1]",
        "zoë@bücher.example",
        "用户@例子.广告",
        "x@xn--bcher-kva.example",
        "under_score@under_score.example",
        "x" * 64 + "@" + "y" * 63 + "." + "z" * 63 + ".example",
    ],
)
def test_addresses_that_are_taken(address: str) -> None:
    assert accepted(changed({"data.to[0].address": address})).to[0].address == address


@pytest.mark.parametrize(
    "address", ["", "@", "a@", "a@-b", "a@b-", "a@b.", ".a@b", "a..b@c", "a@b c", "a;b@c", '"a b"@c', "a@[x", "a\x85@b"]
)
def test_addresses_that_are_not(address: str) -> None:
    assert refused(changed({"data.to[0].address": address})).field == "data.to[0].address"


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_", "CLOUDEVENTS:", "cloudevents_"])
def test_binary_mode(prefix: str) -> None:
    event = full()
    data = orjson.dumps(event.pop("data"))
    headers = {prefix + name: value for name, value in event.items() if name != "datacontenttype"}

    assert accepted(data, "application/json; charset=utf-8", {**headers, "x-other": 7}) == accepted(full())


def test_binary_mode_takes_bytes_and_times_as_attributes() -> None:
    event = full()
    data = orjson.dumps(event.pop("data"))
    headers = {f"cloudEvents:{name}": value.encode() for name, value in event.items()}
    headers["cloudEvents:time"] = datetime(2026, 11, 23, 8)  # noqa: DTZ001 - as some clients hand over AMQP timestamps

    assert accepted(data, "", headers) == accepted(full())


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"cloudEvents:id": 7}, "id"),
        ({"cloudEvents:id": b"\xff"}, "id"),
        ({"cloudEvents:id": "a\r\nb"}, "id"),
        ({"cloudEvents:time": b"yesterday"}, "time"),
        ({"cloudEvents:type": "crm.email.received.v1"}, "type"),
        ({"cloudEvents:source": ["/crm"]}, "source"),
    ],
)
def test_bad_attributes_in_binary_mode(headers: dict[str, object], field: str) -> None:
    event = full()
    data = orjson.dumps(event.pop("data"))
    good = {f"cloudEvents:{name}": value for name, value in event.items()}

    invalid = refused(data, "application/json", {**good, **headers})

    assert invalid.field == field
    assert invalid.email_id == "a3f09c1e-7d5b-4f1c-8a55-3b8f5d1f0e21"


def test_bad_data_in_binary_mode() -> None:
    headers = {f"cloudEvents:{name}": value for name, value in full().items() if name != "data"}

    assert refused(b"{", "application/json", headers).field == ""
    assert refused(b"[]", "application/json", headers).field == "data"
    assert refused(b"<a/>", "application/xml", headers).field == ""


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "Application/CloudEvents+JSON; charset=UTF-8", "text/json"]
)
def test_structured_mode_by_any_of_its_names(content_type: str) -> None:
    assert accepted(full(), content_type) == accepted(full())


def test_structured_mode_wins_where_the_content_type_says_so() -> None:
    assert accepted(full(), headers={"cloudEvents:id": "other"}) == accepted(full())


def test_the_clock_that_counts_is_the_one_given() -> None:
    assert isinstance(decoded(full(), now=NOW.replace(year=2025)), Invalid)
