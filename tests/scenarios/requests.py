"""Send requests that say no more than a scenario needs."""

import uuid
from datetime import UTC, datetime
from typing import Any, Final

BODY: Final = "what only the two of them may read"
"""Stands in every mail of these requests, and must never stand in a log."""


def request(email_id: str, sender: str = "anna@contoso.example", **data: Any) -> dict[str, Any]:
    """`data` adds to the event's data, or replaces."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/crm/contoso",
        "type": "crm.email.send.v1",
        "time": rfc3339(datetime.now(UTC)),
        "data": {
            "email_id": email_id,
            "from": {"address": sender},
            "to": [{"address": "x@customer.example"}],
            "subject": "Your request",
            "body": {"text": BODY},
            **data,
        },
    }


def rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
