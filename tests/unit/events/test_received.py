from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from tests.unit.events.sample import validator
from worker.events.event import Event
from worker.events.received import Correlation, Kind, ReceivedFile, received
from worker.inbound.files import FILES
from worker.inbound.intake import INLINE_BYTES
from worker.inbound.normalise import normalise
from worker.mail.address import Address
from worker.mail.incoming import File, IncomingMail

MOST_BYTES: Final = 8 * 2**20
AT: Final = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MAIL: Final = IncomingMail(
    "item-1",
    AT,
    message_id="<2@c.example>",
    in_reply_to="<1@c.example> <0@c.example>",
    references="<0@c.example> <1@c.example>",
    conversation_id="conversation-1",
    from_=Address("x@c.example", "X"),
    sender=Address("y@c.example"),
    to=(Address("anna@contoso.example"),),
    bcc=(Address("b@c.example"),),
    reply_to=(Address("r@c.example"),),
    subject="Re: A question",
    html="<p>Yes",
    sent_at=AT,
    importance="high",
    headers=(("Content-Type", "text/html"), ("X-Mailer", "one"), ("X-Mailer", "two"), ("List-Id", "")),
    incomplete="something",
)
PICTURE: Final = ReceivedFile("a.png", "image/png", 3, "0" * 64, "logo", inline=True, content=b"\x00\x01\x02")
LARGE: Final = ReceivedFile("b.zip", "application/zip", 10**8, "1" * 64, url="file:///store/b.zip")


def event(mail: IncomingMail = MAIL, files: tuple[ReceivedFile, ...] = (), kind: Kind = "message") -> Event:
    correlation = Correlation("in-reply-to", "mail-1", "CRM:1", verified=True)
    return received(
        "a" * 32,
        "anna@contoso.example",
        mail,
        kind=kind,
        automatic=False,
        correlation=correlation,
        files=files,
        forwarded_by=Address("ben@contoso.example", "Ben"),
    )


def body(of: Event) -> dict[str, Any]:
    told = orjson.loads(of.body)
    against = validator("crm.email.received.v1")
    against.validate(told)
    assert isinstance(told, dict)
    return told


def test_in_full() -> None:
    told = body(event(files=(PICTURE, LARGE)))

    assert (told["id"], told["time"], told["subject"]) == ("a" * 32, "2026-11-23T09:00:00.000Z", "anna@contoso.example")
    assert told["data"] == {
        "mailbox": "anna@contoso.example",
        "message_id": "<2@c.example>",
        "item_id": "item-1",
        "conversation_id": "conversation-1",
        "from": {"address": "x@c.example", "name": "X"},
        "sender": {"address": "y@c.example"},
        "to": [{"address": "anna@contoso.example"}],
        "cc": [],
        "bcc": [{"address": "b@c.example"}],
        "reply_to": [{"address": "r@c.example"}],
        "subject": "Re: A question",
        "body": {"html": "<p>Yes"},
        "sent_at": "2026-11-23T09:00:00.000Z",
        "received_at": "2026-11-23T09:00:00.000Z",
        "importance": "high",
        "sensitivity": "normal",
        "headers": {"X-Mailer": "one"},
        "in_reply_to": "<1@c.example>",
        "references": ["<0@c.example>", "<1@c.example>"],
        "attachments": [
            {
                "name": "a.png",
                "content_type": "image/png",
                "size": 3,
                "content_id": "logo",
                "inline": True,
                "sha256": "0" * 64,
                "content": "AAEC",
            },
            {
                "name": "b.zip",
                "content_type": "application/zip",
                "size": 10**8,
                "inline": False,
                "sha256": "1" * 64,
                "url": "file:///store/b.zip",
            },
        ],
        "kind": "message",
        "automatic": False,
        "correlation": {"method": "in-reply-to", "email_id": "mail-1", "tracking_token": "CRM:1", "verified": True},
        "forwarded_by": {"address": "ben@contoso.example", "name": "Ben"},
        "incomplete": "something",
    }


def test_of_next_to_nothing() -> None:
    told = body(event(IncomingMail("item-1", AT)))["data"]

    assert told["subject"] == ""
    assert told["body"] == {}
    assert {"from", "sender", "message_id", "sent_at", "incomplete"}.isdisjoint(told)
    assert (told["headers"], told["references"], told["bcc"], told["reply_to"]) == ({}, [], [], [])


def test_who_a_mail_is_from_has_sent_it_unless_it_says_otherwise() -> None:
    told = body(event(replace(MAIL, sender=None)))["data"]

    assert told["sender"] == told["from"]


def test_the_same_mail_gives_the_same_bytes() -> None:
    assert event(files=(PICTURE,)) == event(files=(PICTURE,))


def test_the_largest_event_stays_below_what_a_broker_should_carry() -> None:
    """Everything at its limit at once: bodies, recipients, header fields, ids, files within and without."""
    wide = "\U0001f600"
    mail = normalise(
        replace(
            MAIL,
            subject=wide * 10_000,
            html='"' * 10**7,
            text=wide * 10**7,
            to=tuple(Address(f"{number}@c.example", wide * 300) for number in range(20_000)),
            cc=tuple(Address(f"{number}@c.example") for number in range(20_000)),
            references=" ".join(f"<{number}{wide * 990}@x>" for number in range(500)),
            headers=tuple((name, wide * 3000) for name in ("X-Mailer", "Organization", "X-Loop", "List-Id") * 30),
            files=tuple(File(str(number), wide * 300, "a/b", content_id=wide * 300) for number in range(20_000)),
        )
    )
    content = b"\x00" * (INLINE_BYTES // 4 * 3)
    files = tuple(
        ReceivedFile(each.name, each.content_type, 10**9, "0" * 64, each.content_id, url="file:///" + "x" * 200)
        for each in mail.files[:FILES]
    )

    assert len(event(mail, (replace(PICTURE, content=content), *files)).body) < MOST_BYTES
