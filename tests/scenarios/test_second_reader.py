"""A client nobody here wrote sends the mail, and reads it beside the router: both must tell the same of it."""

import asyncio
import base64
from datetime import datetime

import pytest
from exchangelib import (
    FileAttachment,
    HTMLBody,
    Mailbox,
    Message,
)

from scripts.fleet import Fleet
from scripts.fleet_profiles import reading
from tests.exchangelib_account import account_of
from tests.scenarios.conftest import StartFleet
from tests.scenarios.test_mail_comes_in import first_sync

pytestmark = pytest.mark.usefixtures("exchangelib_closed")

ANNA, BEA = "anna@contoso.example", "bea@contoso.example"
CONTENT = bytes(range(256)) * 10


def send(fleet: Fleet) -> None:
    message = Message(
        account=account_of(fleet.url, BEA),
        subject="Übersicht – 見積もり",
        body=HTMLBody("<p>Grüße &amp; Küsse</p>"),
        to_recipients=[Mailbox(email_address=ANNA, name="Anna")],
        cc_recipients=["carl@customer.example"],
        importance="High",
    )
    message.attach(FileAttachment(name="liste ä.bin", content=CONTENT, content_type="application/octet-stream"))
    message.send()


async def test_both_tell_the_same(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(profiles=reading([ANNA], poll_seconds=1), workers=1)
    await first_sync(fleet, ANNA)
    await asyncio.to_thread(send, fleet)
    await fleet.until(lambda: len(fleet.inbound) == 1, 20)
    (event,) = fleet.inbound.values()

    def read() -> dict[str, object]:
        (mail,) = account_of(fleet.url, ANNA).inbox.all()
        return {
            "message_id": mail.message_id,
            "subject": mail.subject,
            "html": str(mail.body),
            "from": mail.author.email_address,
            "to": [each.email_address for each in mail.to_recipients],
            "cc": [each.email_address for each in mail.cc_recipients],
            "importance": mail.importance.lower(),
            "received": mail.datetime_received.timestamp(),
            "files": [(each.name, each.content) for each in mail.attachments],
        }

    told = event["data"]
    assert await asyncio.to_thread(read) == {
        "message_id": told["message_id"],
        "subject": told["subject"],
        "html": told["body"]["html"],
        "from": told["from"]["address"],
        "to": [each["address"] for each in told["to"]],
        "cc": [each["address"] for each in told["cc"]],
        "importance": told["importance"],
        "received": pytest.approx(_moment(told["received_at"]), abs=1),
        "files": [(each["name"], base64.b64decode(each["content"])) for each in told["attachments"]],
    }
    assert told["subject"] == "Übersicht – 見積もり"
    assert base64.b64decode(told["attachments"][0]["content"]) == CONTENT


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
