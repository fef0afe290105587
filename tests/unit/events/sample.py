"""Events for tests: the examples of the schemas, changed at a place."""

import copy
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from jsonschema import Draft202012Validator

from worker.events.decode import Invalid, SendRequest, decode
from worker.events.schemas import event_schemas, schemas_path

NOW: Final = datetime(2026, 11, 23, 8, 0, 5, tzinfo=UTC)
SEND: Final = "crm.email.send.v1"
STRUCTURED: Final = "application/cloudevents+json"


def examples(event_type: str) -> dict[str, Any]:
    """The example events of a type by their file's name; new objects each time."""
    directory = schemas_path() / "events" / "examples" / event_type
    return {each.stem: orjson.loads(each.read_bytes()) for each in sorted(directory.glob("*.json"))}


def full() -> dict[str, Any]:
    """A request in which every field is used."""
    event = examples(SEND)["full"]
    assert isinstance(event, dict)
    return event


def changed(changes: Mapping[str, object], event: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A request with these values at these places (`data.to[0].address`), without those whose value is `...`."""
    result = copy.deepcopy(dict(event or full()))
    for place, value in changes.items():
        *way, last = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", place)]
        target: Any = result
        for step in way:
            target = target[step]
        if value is ...:
            del target[last]
        else:
            target[last] = value
    return result


def decoded(
    event: object,
    content_type: str = STRUCTURED,
    headers: Mapping[str, object] | None = None,
    *,
    now: datetime = NOW,
    max_bytes: int = 12 * 2**20,
    horizon_days: float = 7,
) -> SendRequest | Invalid:
    body = event if isinstance(event, bytes) else orjson.dumps(event)
    return decode(body, content_type, headers or {}, now=now, max_bytes=max_bytes, horizon_days=horizon_days)


def accepted(event: object, content_type: str = STRUCTURED, headers: Mapping[str, object] | None = None) -> SendRequest:
    request = decoded(event, content_type, headers)
    assert isinstance(request, SendRequest), request
    return request


def refused(event: object, content_type: str = STRUCTURED, headers: Mapping[str, object] | None = None) -> Invalid:
    invalid = decoded(event, content_type, headers)
    assert isinstance(invalid, Invalid), invalid
    return invalid


def validator(event_type: str) -> Draft202012Validator:
    """A validator of an event type's schema that checks formats, too."""
    schema = orjson.loads(event_schemas()[event_type].read_bytes())
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
