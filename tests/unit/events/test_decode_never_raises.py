"""Whatever comes, decoding answers, and answers with something that can be told to a CRM and an operator."""

import dataclasses
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.events.mutations import mutated
from tests.unit.events.sample import decoded
from worker.events.decode import Invalid, SendRequest

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
CONTENT_TYPES = st.sampled_from(["", "application/cloudevents+json", "application/json"]) | st.text()
HEADERS = st.dictionaries(
    st.sampled_from(["cloudEvents:id", "cloudEvents_time", "cloudEvents:data", "cloudEvents:"]) | st.text(),
    ANY_JSON | st.binary() | st.datetimes(),
    max_size=5,
)


def holds(answer: SendRequest | Invalid) -> None:
    if isinstance(answer, SendRequest):
        assert answer.to or answer.cc or answer.bcc
        assert answer.time.tzinfo is not None
        return
    assert answer.message
    assert len(answer.field) + len(answer.message) < 400
    for text in dataclasses.astuple(answer):
        assert text.isprintable() or text in {answer.source, answer.event_id, answer.email_id, answer.mailbox}
        text.encode()


@given(st.binary(), CONTENT_TYPES, HEADERS)
@example(b"\\ud800" * 100, "", {})
def test_any_bytes(body: bytes, content_type: str, headers: dict[str, object]) -> None:
    holds(decoded(body, content_type, headers))


@given(ANY_JSON, CONTENT_TYPES, HEADERS)
def test_any_json(value: object, content_type: str, headers: dict[str, object]) -> None:
    holds(decoded(orjson.dumps(value), content_type, headers))


@given(mutated(ANY_JSON), st.data())
@settings(max_examples=300)
def test_anything_in_the_place_of_something(event: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(orjson.dumps(event))
    holds(decoded(bytes(body)))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    holds(decoded(bytes(body)))
