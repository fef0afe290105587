"""An event of ours, ready to publish: CloudEvents 1.0 in structured JSON. What is not known is left out; no field is
ever null. `schemas/events/` holds the schema of each.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from worker.clock import rfc3339
from worker.mail.outcome import Reason

SOURCE: Final = "/crm-mail-router"


@dataclass(frozen=True, slots=True)
class Event:
    routing_key: str
    id: str
    body: bytes


def compose(  # noqa: PLR0913 - the attributes of CloudEvents
    name: str,
    event_id: str,
    data: Mapping[str, object],
    *,
    subject: str,
    time: datetime | None,
    traceparent: str = "",
    tracestate: str = "",
) -> Event:
    """`crm.email.NAME.v1`, to be published under `email.NAME`."""
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": f"crm.email.{name}.v1",
        "subject": subject,
        "time": moment(time),
        "datacontenttype": "application/json",
        "traceparent": traceparent,
        "tracestate": tracestate,
        "data": data,
    }
    return Event(f"email.{name}", event_id, orjson.dumps(known(event)))


def derived(*parts: object) -> str:
    """An event's id out of what makes it that event: the same parts give the same id, on every worker and every day."""
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]


def moment(time: datetime | None) -> str:
    return rfc3339(time) if time else ""


def told(reason: Reason) -> dict[str, object]:
    return known(
        {
            "code": reason.code,
            "scope": reason.scope.value,
            "message": reason.message,
            "remedy": reason.remedy,
            "request_id": reason.request_id,
        }
    )


def known(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value != ""}
