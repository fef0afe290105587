"""Send requests as a CRM would publish them: varied ones, by number and seed, so that any of them can be made again,
and plain ones that say no more than is needed.
"""

import base64
import random
import uuid
from datetime import UTC, datetime
from typing import Any

DOMAIN = "contoso.example"
SOURCE = "/crm/contoso"

BODY = "what only the two of them may read"
"""Stands in every plain request, and must never stand in a log."""

_NAMES = ("Anna", "Bea", "Çağla", "Dmitri", "Émile", "Fatima", "Göran", "Hana", "Ivo", "Jürgen", "北川", "Łucja")
_SUBJECTS = (
    "Your request",
    "Offer 4711: 20 % off — until Friday",
    "Re: Lieferung für Müller & Söhne <Köln>",
    "お見積もりの件",
    "Quotes \" and ' and & in a subject",
    "",
    "🎉 Welcome aboard",
)
_PARAGRAPHS = (
    "Thank you for your message. We have looked into it and come back to you by tomorrow.",
    "Grüße aus Köln, çok teşekkürler, dziękuję, ありがとうございます.",
    "Prices: 1 < 2 && 3 > 2; see <https://contoso.example/?a=1&b=2>.",
    "A control character that people paste from elsewhere:\x0b it must not stop the mail.",
)
_PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()


def event(number: int, *, seed: int = 0, senders: int = 40) -> dict[str, Any]:
    """One `crm.email.send.v1`. The same number and seed give the same mail, under a new id and the present time."""
    return _event(_data(number, random.Random(f"{seed}/{number}"), senders))


def request(email_id: str, sender: str = "anna@contoso.example", **data: object) -> dict[str, Any]:
    """A plain one. `data` adds to the event's data, or replaces."""
    plain = {
        "email_id": email_id,
        "from": {"address": sender},
        "to": [{"address": "x@customer.example"}],
        "subject": "Your request",
        "body": {"text": BODY},
    }
    return _event({**plain, **data})


def _event(data: dict[str, Any]) -> dict[str, Any]:
    """Under a new id and the present time."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": SOURCE,
        "type": "crm.email.send.v1",
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": data,
    }


def _data(number: int, draw: random.Random, senders: int) -> dict[str, Any]:
    name = draw.choice(_NAMES)
    data: dict[str, Any] = {
        "email_id": f"mail-{number:06d}",
        "from": {"address": f"user{draw.randrange(senders):02d}@{DOMAIN}", "name": name},
        "to": [_recipient(draw) for _ in range(draw.choice((1, 1, 1, 2, 5)))],
        "subject": draw.choice(_SUBJECTS),
        "body": _body(draw),
    }
    extras: list[dict[str, Any]] = [
        {"cc": [_recipient(draw)]},
        {"bcc": [_recipient(draw), _recipient(draw)]},
        {"reply_to": [{"address": f"desk@{DOMAIN}", "name": "Service desk"}]},
        {"importance": draw.choice(("low", "high")), "sensitivity": draw.choice(("private", "confidential"))},
        {"request_read_receipt": True, "request_delivery_receipt": True},
        {"headers": {"X-Campaign": "autumn", "X-Priority-Class": "gold"}},
        {
            "in_reply_to": "<question@customer.example>",
            "references": ["<first@customer.example>", "<question@customer.example>"],
        },
        {"tracking_token": f"CRM:{number:07d}"},
        {"attachments": _attachments(draw)},
    ]
    for extra in draw.sample(extras, draw.randint(0, 4)):
        data.update(extra)
    return data


def _recipient(draw: random.Random) -> dict[str, str]:
    return {"address": f"customer{draw.randrange(10_000)}@customer.example", "name": draw.choice(_NAMES)}


def _body(draw: random.Random) -> dict[str, str]:
    paragraphs = [draw.choice(_PARAGRAPHS) for _ in range(draw.randint(1, 6))]
    text = {"text": "\n\n".join(paragraphs)}
    html = {"html": "".join(f"<p>{each}</p>" for each in paragraphs) + '<img src="cid:logo">'}
    return draw.choice((text, html, {**html, **text}))


def _attachments(draw: random.Random) -> list[dict[str, Any]]:
    content = base64.b64encode(draw.randbytes(draw.choice((10, 2_000, 40_000)))).decode()
    return [
        {"name": "Angebot №7.pdf", "content_type": "application/pdf", "content": content},
        {"name": "logo.png", "content_type": "image/png", "content": _PIXEL, "content_id": "logo", "inline": True},
    ]
