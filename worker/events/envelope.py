"""CloudEvents 1.0 off the wire: both content modes of the AMQP binding end as one JSON object.

Structured mode: the body is the whole event. Binary mode: the body is `data`, the attributes are message headers named
`cloudEvents:id` or `cloudEvents_id` (CloudEvents AMQP protocol binding 1.0.2, sections 3.1 and 3.2).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import orjson

_PREFIX: Final = re.compile(r"cloudevents[:_]", re.IGNORECASE)
_JSON: Final = re.compile(r"(application|text)/([\w.+-]+\+)?json", re.IGNORECASE | re.ASCII)

_MARK: Final = b"\xef\xbb\xbf"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_SOUND: Final = re.compile(
    rb"(?:[^\\]++"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\(?!u[dD][89a-fA-F][0-9a-fA-F]{2})[\x00-\xff])*+"
)
_MOST_MENDED: Final = 10_000
"""Half characters mended in one body; a body with more is noise, not text."""


def read(body: bytes, content_type: str, headers: Mapping[str, object]) -> dict[str, object] | str:
    """The event as one object, its parts unchecked, or in words why it cannot be read. Never raises."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("application/cloudevents"):
        if media_type != "application/cloudevents+json":
            return "of the CloudEvents formats only application/cloudevents+json is taken"
        return _structured(body)
    if media_type and not _is_json(media_type):
        return "the content type must be application/cloudevents+json, or application/json in binary mode"
    return _either(body, headers)


def guess(body: bytes, headers: Mapping[str, object]) -> dict[str, object]:
    """What can be read of an event whatever its content type says, to tell whose it is. Never raises."""
    event = _either(body, headers)
    return {} if isinstance(event, str) else event


def _either(body: bytes, headers: Mapping[str, object]) -> dict[str, object] | str:
    """In binary mode if there are headers for it."""
    attributes = {
        name[len(prefix.group()) :].lower(): _text(value)
        for name, value in headers.items()
        if (prefix := _PREFIX.match(name))
    }
    if not attributes:
        return _structured(body)
    data = _parse(body)
    return data if isinstance(data, str) else {**attributes, "data": data[0]}


def _is_json(media_type: str) -> bool:
    return _JSON.fullmatch(media_type.partition(";")[0].strip()) is not None


def _structured(body: bytes) -> dict[str, object] | str:
    event = _parse(body)
    if isinstance(event, str):
        return event
    return event[0] if isinstance(event[0], dict) else "the event must be a JSON object"


def _text(value: object) -> object:
    """A header's value as the text of an attribute; what has no such text stays as it is, to be refused later."""
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return value


def _parse(body: bytes) -> tuple[object] | str:
    """The JSON value, in a tuple to tell it from the words that say why there is none."""
    body = body.removeprefix(_MARK)  # which may be ignored (RFC 8259, 8.1)
    try:
        return (orjson.loads(body),)
    except orjson.JSONDecodeError as error:
        fault = f"the body is not JSON: {error}"
    mended = _mend(body)
    if mended is not None:
        try:
            return (orjson.loads(mended),)
        except orjson.JSONDecodeError:
            pass
    return fault


def _mend(body: bytes) -> bytes | None:
    r"""The body with U+FFFD for each half of a surrogate pair (`\ud83d` without its mate), None if it has none.

    Programs that cut texts at so many UTF-16 units write such halves. JSON's grammar allows them (RFC 8259 section
    8.2), Unicode does not, and a mail should not be lost for half an emoji.
    """
    if not _SURROGATE.search(body):
        return None
    pieces: list[bytes] = []
    start = 0
    while len(pieces) <= 2 * _MOST_MENDED:
        sound = _SOUND.match(body, start)
        end = sound.end() if sound else start
        pieces.append(body[start:end])
        if not _SURROGATE.match(body, end):
            return b"".join((*pieces, body[end:])) if len(pieces) > 1 else None
        pieces.append(rb"\ufffd")
        start = end + len(rb"\ud83d")
    return None
