"""The schema of requests and the decoder say the same of every event, but for what a schema cannot say.

MAILROUTER_CHANGED_EVENTS=10000 pytest tests/unit/events      compares more of them
"""

import os
import re
from typing import Any, Final

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.events.bad_events import BAD, Bad
from tests.unit.events.mutations import mutated
from tests.unit.events.sample import SEND, changed, decoded, examples, full, validator
from worker.events import models
from worker.events.decode import Invalid, SendRequest
from worker.events.schemas import event_schemas

SCHEMA: Final = validator(SEND)

BEYOND_THE_SCHEMA: Final = (
    (r"data\.attachments\[\d+\]\.content", "is not base64"),
    (r"data\.attachments\[\d+\]\.content", "not the size given"),
    (r"data\.attachments\[\d+\]\.content", "does not have the sha256 given"),
    (r"data\.attachments\[\d+\]\.url", "is not a URL|credentials|fragment"),
    (r"data\.to", r"recipients; at most 1000"),
    (r"time", "more than an hour ahead"),
    (r"data\.send_after", "days after the event's time"),
    (r"time|data\.(send_after|expires_at)", "is not a possible date"),  # in UTC: the first and the last day of time
    (r"data\.attachments\[\d+\]\.size", "must be a whole number"),  # 23.0 is one to JSON Schema
)

STRINGS = st.one_of(
    st.text(st.sampled_from('aX-.@<>"[]():;,\\/+=_09 \t\r\n\x00\x0b\x7f\x85\xa0\u200b\u2028\ufffdé用'), max_size=8),
    st.sampled_from(
        [
            "a@b.example",
            "a@b.example\n",
            '"a"@b',
            "a@[1.2.3.4]",
            "<a@b>",
            "<a@b>\n",
            "<>",
            "text/plain",
            "text/plain\n",
            "text/plain; charset=utf-8",
            "application/json",
            "application/problem+json; a=b",
            "QUJD",
            "A" * 64,
            "a" * 64 + "\n",
            "X-A",
            "1.0",
            "crm.email.send.v1",
            "low",
            "private",
            "https://crm.contoso.example/f",
            "2026-11-23T08:00:00Z",
            "2026-11-23T08:00:00Z\n",
            "2026-11-23T08:00:00.5+01:00",
            "2026-11-23t08:00:00z",
            "2026-11-23T08:00:60Z",
            "2026-11-23T24:00:00Z",
            "2026-02-29T08:00:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.9999999Z",
            "2026-11-23T08:00:00+24:00",
        ]
    ),
    st.sampled_from([64, 65, 100, 101, 128, 129, 255, 256, 257, 320, 998, 999, 1000, 1001, 1024, 1025, 2000, 2001]).map(
        lambda length: "x" * length
    ),
)
VALUES = st.one_of(
    STRINGS,
    st.none(),
    st.booleans(),
    st.integers(-1, 30),
    st.sampled_from([1.5, 23.0, 2**63, 1e300]),
    st.just({}),
    st.just([]),
    st.just({"address": "z@customer.example"}),
    st.just({"html": None, "text": ""}),
    st.just({"name": "x", "content": "QUJD", "url": None}),
    st.just({"name": "x", "content": "QUJD", "url": "https://crm.contoso.example/f"}),
    st.just({"name": "x", "url": "https://crm.contoso.example/f", "size": 3}),
    st.just({"name": "x", "content": None, "url": "file:///srv/attachments/f"}),
    st.dictionaries(
        st.sampled_from(["X-A", "x-b", "X-", "XA", "X-A\n", "X-CRM-Mail-Router-A"]) | STRINGS, STRINGS, max_size=2
    ),
    st.lists(STRINGS, max_size=2),
)


def beyond_the_schema(invalid: Invalid) -> bool:
    return any(
        re.fullmatch(place, invalid.field) and re.search(says, invalid.message) for place, says in BEYOND_THE_SCHEMA
    )


def agree(event: object) -> None:
    faults = [f"{fault.json_path}: {fault.message}"[:200] for fault in SCHEMA.iter_errors(event)]
    answer = decoded(event)
    if isinstance(answer, SendRequest):
        assert not faults
    elif not faults:
        assert beyond_the_schema(answer), answer


@pytest.mark.parametrize("name", examples(SEND))
def test_the_examples_pass_both(name: str) -> None:
    event = examples(SEND)[name]

    SCHEMA.validate(event)
    assert isinstance(decoded(event), SendRequest)


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.field], ids=lambda bad: bad.name)
def test_bad_events(bad: Bad) -> None:
    try:
        event = orjson.loads(bad.body)
    except orjson.JSONDecodeError:  # half a character, which only the decoder mends
        event = orjson.loads(bad.body.replace(rb"\ud83d", rb"\ufffd"))

    agree(event)


@given(mutated(VALUES))
@settings(max_examples=int(os.environ.get("MAILROUTER_CHANGED_EVENTS", "400")), deadline=None, derandomize=True)
def test_changed_events(event: dict[str, Any]) -> None:
    agree(event)


@pytest.mark.parametrize("surplus", [0, 1])
@pytest.mark.parametrize(
    ("place", "limit", "one"),
    [
        ("data.to", 1000 - 2, {"address": "z@customer.example"}),
        ("data.reply_to", 1000, {"address": "z@customer.example"}),
        ("data.references", 100, "<a@b>"),
        ("data.attachments", 200, {"name": "x", "content": ""}),
    ],
)
def test_long_lists(place: str, limit: int, one: object, surplus: int) -> None:
    event = changed({place: [one] * (limit + surplus)})

    agree(event)
    assert isinstance(decoded(event), Invalid) == bool(surplus)


@pytest.mark.parametrize("surplus", [0, 1])
@pytest.mark.parametrize(
    ("place", "limit", "frame"),
    [
        ("id", 1024, "{}"),
        ("source", 1024, "{}"),
        ("data.email_id", 128, "{}"),
        ("data.from.address", 320, "{}@contoso.example"),
        ("data.from.name", 256, "{}"),
        ("data.subject", 1000, "{}"),
        ("data.in_reply_to", 998, "<{}@contoso.example>"),
        ("data.references[0]", 998, "<{}@contoso.example>"),
        ("data.tracking_token", 100, "{}"),
        ("data.headers.X-Campaign", 2000, "{}"),
        ("data.attachments[0].name", 255, "{}"),
        ("data.attachments[0].content_type", 255, "text/{}"),
        ("data.attachments[0].content_id", 255, "{}"),
    ],
)
def test_long_texts(place: str, limit: int, frame: str, surplus: int) -> None:
    event = changed({place: frame.format("x" * (limit + surplus - len(frame.format(""))))})

    agree(event)
    assert isinstance(decoded(event), Invalid) == bool(surplus)


@pytest.mark.parametrize("length", [100, 101])
def test_long_names_of_headers(length: int) -> None:
    event = changed({"data.headers": {"X-".ljust(length, "x"): ""}})

    agree(event)
    assert isinstance(decoded(event), Invalid) == (length > 100)


@pytest.mark.parametrize("count", [50, 51])
def test_many_headers(count: int) -> None:
    event = changed({"data.headers": {f"X-{number}": "" for number in range(count)}})

    agree(event)
    assert isinstance(decoded(event), Invalid) == (count > 50)


@pytest.mark.parametrize(
    "place",
    [
        "id",
        "datacontenttype",
        "time",
        "data.email_id",
        "data.from.address",
        "data.from.name",
        "data.subject",
        "data.in_reply_to",
        "data.references[0]",
        "data.tracking_token",
        "data.attachments[0].name",
        "data.attachments[0].content_type",
        "data.attachments[0].sha256",
        "data.attachments[1].content_id",
        "data.headers.X-Campaign",
    ],
)
@given(st.data())
@settings(max_examples=120, deadline=None, derandomize=True)
def test_every_text(place: str, data: st.DataObject) -> None:
    agree(changed({place: data.draw(STRINGS)}))


def patterns(schema: object) -> set[str]:
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    here = {schema["pattern"]} if isinstance(schema, dict) and isinstance(schema.get("pattern"), str) else set()
    return here.union(*map(patterns, inner))


def test_both_hold_the_same_patterns() -> None:
    ours = {value for name, value in vars(models).items() if name.isupper() and str(value).startswith("^")}

    # These three the schema says by what must not occur: "$" is not quite the same in every engine.
    assert ours - patterns(SCHEMA.schema) == {models.LINE, models.UNBROKEN, models.CONTENT_ID}


def test_full_uses_every_field_of_the_schema() -> None:
    """Else the changed events would leave a field out."""
    schema = orjson.loads(event_schemas()[SEND].read_bytes())
    event = full()
    used = [key for each in (event["data"], *event["data"]["attachments"]) for key in each]
    definitions = schema["$defs"]

    assert {*definitions["data"]["properties"], *definitions["attachment"]["properties"]} - {"url"} == set(used)
    assert set(schema["properties"]) == set(event)
