"""Mail comes in: every mail to the CRM, correlated, whatever dies when: real processes, real RabbitMQ, real sockets.

The same at full size: `python -m benchmarks.every_mail`.
"""

import asyncio
import base64
import signal
import statistics
import time
from datetime import datetime
from email.message import EmailMessage
from typing import Any

import orjson
import pytest

from scripts.arrivals import arrival
from scripts.eventually import eventually
from scripts.fleet import COMMAND, Fleet
from scripts.fleet_profiles import reading
from scripts.queues import DEAD_QUEUE
from scripts.samples import request
from tests.integration.ews_by_hand import Client, folder_id
from tests.scenarios.conftest import StartFleet
from tests.unit.events.sample import validator

ANNA, BEA = "anna@contoso.example", "bea@contoso.example"
COUNT = 60


def subjects(fleet: Fleet) -> list[str]:
    return [each["data"]["subject"] for each in fleet.inbound.values()]


def of(fleet: Fleet, message_id: str) -> dict[str, Any]:
    """What the CRM was told of the mail with this Message-ID; once, or several times under one id."""
    (found,) = [each["data"] for each in fleet.inbound.values() if each["data"].get("message_id") == message_id]
    return dict(found)


def mail(subject: str, **headers: str) -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "x@customer.example", ANNA, subject
    made["Message-ID"] = f"<{subject.replace(' ', '-')}@customer.example>"
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content("Hello")
    return made.as_bytes()


async def first_sync(fleet: Fleet, *mailboxes: str) -> None:
    """Until these were looked at for the first time: what comes from now on is owed."""

    async def noted() -> bool:
        answers = []
        for each in mailboxes:
            async with fleet.http.get(f"{fleet.witness}/configurations", params={"mailbox": each}) as answer:
                answers.append(await answer.read())
        return all(answers)

    await eventually(noted, 30)


def assert_valid(fleet: Fleet) -> None:
    for event in fleet.received:
        validator("crm.email.received.v1").validate({name: each for name, each in event.items() if name[0] != "_"})


async def test_every_mail_whatever_dies(start_fleet: StartFleet) -> None:
    mailboxes = [f"user{number}@contoso.example" for number in range(8)]
    fleet = await start_fleet(
        profiles=reading(mailboxes, poll_seconds=1, start="all"),
        sandbox_arguments=["--seed", "7", "--fault", "lost=0.03"],
    )
    homes = {}
    for number in range(COUNT):
        home = mailboxes[number % 8]
        homes[f"<arrival-{number:06d}@customer.example>"] = home
        await fleet.arrive(home, arrival(number, home))
        if number % 15 == 14:
            await fleet.kill_worker(number % 2)
            await fleet.start_worker(number % 2)
    await fleet.until(lambda: len(fleet.inbound) == COUNT, 60)
    assert {each["data"]["message_id"]: each["data"]["mailbox"] for each in fleet.inbound.values()} == homes
    assert_valid(fleet)
    assert await fleet.take_dead_letters() == []


async def test_from_now_on_and_not_again(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(profiles=reading([ANNA], poll_seconds=1), workers=0)
    await fleet.arrive(ANNA, mail("before"))
    await fleet.start_worker(0)
    await first_sync(fleet, ANNA)
    moved = await fleet.arrive(ANNA, mail("moved"))
    await fleet.until(lambda: subjects(fleet) == ["moved"], 20)
    async with fleet.http.post(f"{fleet.witness}/moves", json={"id": moved, "folder": "Elsewhere"}) as answer:
        elsewhere = (await answer.json())["id"]
    await fleet.arrive(ANNA, mail("in between"))
    await fleet.until(lambda: len(fleet.inbound) == 2, 20)
    await fleet.order("moves", id=elsewhere, folder="inbox")
    await fleet.until(lambda: len(fleet.received) == 3, 20)
    for each in await fleet.inbox(ANNA):
        await fleet.order("reads", id=each["id"], read=True)
    await fleet.order("forget", sync_states=ANNA)
    await fleet.until(lambda: len(fleet.received) == 5, 20)
    await fleet.arrive(ANNA, mail("last"))
    await fleet.until(lambda: "last" in subjects(fleet), 20)
    assert sorted(subjects(fleet)) == ["in between", "last", "moved"], "ids stay, what was there before is not owed"
    assert len(fleet.received) == 6, "flags publish nothing"


async def test_now_is_when_the_worker_began(start_fleet: StartFleet) -> None:
    """Not when it could first look into the mailbox."""
    fleet = await start_fleet(profiles=reading([ANNA], poll_seconds=1), workers=0)
    await fleet.arrive(ANNA, mail("before"), received="2026-11-01T08:00:00Z")
    await fleet.order("faults", kind="busy", operation="FindItem", mailbox=ANNA)
    await fleet.start_worker(0)
    await fleet.ready(0)
    await fleet.arrive(ANNA, mail("meanwhile"))

    async def asked() -> bool:
        return int((await fleet.stats())["requests"].get("FindItem", 0)) > 0

    await eventually(asked, 20)
    await fleet.clear_faults()
    await fleet.until(lambda: subjects(fleet) == ["meanwhile"], 60)
    await fleet.arrive(ANNA, mail("after"))
    await fleet.until(lambda: subjects(fleet) == ["meanwhile", "after"], 20)


async def test_from_a_day_on(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(profiles=reading([ANNA], poll_seconds=1, start="2026-11-02T00:00:00Z"), workers=0)
    for day in (1, 2, 3):
        await fleet.arrive(ANNA, mail(f"day {day}"), received=f"2026-11-0{day}T08:00:00Z")
    await fleet.start_worker(0)
    await fleet.until(lambda: len(fleet.inbound) == 2, 20)
    await fleet.arrive(ANNA, mail("last"))
    await fleet.until(lambda: "last" in subjects(fleet), 20)
    assert sorted(subjects(fleet)) == ["day 2", "day 3", "last"]
    assert of(fleet, "<day-2@customer.example>")["received_at"] == "2026-11-02T08:00:00.000Z"


async def test_put_there_by_another_client(start_fleet: StartFleet) -> None:
    """As an .eml gets into an Inbox over EWS: a draft, unless its flags say otherwise."""
    fleet = await start_fleet(profiles=reading([ANNA], poll_seconds=1), workers=1)
    await first_sync(fleet, ANNA)
    flags = '<t:ExtendedFieldURI PropertyTag="0x0E07" PropertyType="Integer"/><t:Value>0</t:Value>'
    async with Client(fleet.url, ANNA) as anna:
        for subject, said in (("draft", ""), ("mail", f"<t:ExtendedProperty>{flags}</t:ExtendedProperty>")):
            mime = base64.b64encode(mail(subject, Auto_Submitted="auto-replied")).decode()
            made = f"<t:Message><t:MimeContent>{mime}</t:MimeContent>{said}</t:Message>"
            assert (await anna.create(made, folder=folder_id("inbox"))).codes == ["NoError"]
    await fleet.until(lambda: len(fleet.inbound) == 2, 20)
    for subject in ("draft", "mail"):
        assert of(fleet, f"<{subject}@customer.example>")["kind"] == "auto-reply"


async def test_exchange_begins_anew(start_fleet: StartFleet) -> None:
    """Killed and started again on its port, the sandbox knows nothing of what was; the workers run on."""
    fleet = await start_fleet(profiles=reading([ANNA], poll_seconds=1))
    await first_sync(fleet, ANNA)
    for number in range(3):
        await fleet.arrive(ANNA, mail(f"before {number}"))
    await fleet.until(lambda: len(fleet.inbound) == 3, 20)
    assert fleet.sandbox is not None
    await fleet.sandbox.end(signal.SIGKILL)
    await fleet.start_sandbox()
    for number in range(2):
        await fleet.arrive(ANNA, mail(f"after {number}"))
    await fleet.until(lambda: len(fleet.inbound) == 5, 30)
    await fleet.arrive(ANNA, mail("last"))
    await fleet.until(lambda: "last" in subjects(fleet), 20)
    assert sorted(subjects(fleet)) == ["after 0", "after 1", "before 0", "before 1", "before 2", "last"]


async def test_notifications_make_it_quick(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(profiles=reading([ANNA, BEA], poll_seconds=300))
    await first_sync(fleet, ANNA, BEA)

    async def listened_to() -> bool:
        return bool((await fleet.stats())["connections"])

    await eventually(listened_to, 20)
    for number in range(20):
        home = (ANNA, BEA)[number % 2]
        await fleet.arrive(home, mail(f"quick {number}"))
        await fleet.until(lambda number=number: len(fleet.inbound) == number + 1, 20)  # type: ignore[misc]
    taken = [
        each["_heard_wall"] - datetime.fromisoformat(each["data"]["received_at"]).timestamp()
        for each in fleet.inbound.values()
    ]
    assert statistics.quantiles(taken, n=20)[18] < 3, "received_at is in whole seconds: up to one of them is not ours"


async def test_a_reply_a_bounce_and_an_absence(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(profiles=reading([ANNA], poll_seconds=2))
    await first_sync(fleet, ANNA)
    to = {name: {"address": f"x+{name}@customer.example"} for name in ("reply", "postfix", "bounce", "ooo")}
    await fleet.publish(request(f"for-{name}", ANNA, to=[address]) for name, address in to.items())
    await fleet.until(lambda: len(fleet.inbound) == 4 and fleet.reached["bounced"] == 2, 30)
    told = {each["data"]["correlation"].get("email_id"): each["data"] for each in fleet.inbound.values()}
    assert {name: told[f"for-{name}"]["kind"] for name in to} == {
        "reply": "message",
        "postfix": "bounce",
        "bounce": "bounce",
        "ooo": "auto-reply",
    }
    assert all(each["correlation"]["verified"] for each in told.values())
    for name in ("postfix", "bounce"):
        (bounced,) = [each for each in fleet.about(f"for-{name}") if each["type"] == "crm.email.bounced.v1"]
        validator("crm.email.bounced.v1").validate({key: each for key, each in bounced.items() if key[0] != "_"})
        assert bounced["data"]["recipient"] == to[name]["address"]
        assert bounced["data"]["reason"]["code"] == "5.1.1"
        assert bounced["data"]["reason"]["remedy"]
    forged = "<crm.Zm9yLXJlcGx5.AAAAAAAAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBBBB@contoso.example>"
    await fleet.arrive(ANNA, mail("forged", In_Reply_To=forged))
    await fleet.until(lambda: len(fleet.inbound) == 5, 20)
    assert of(fleet, "<forged@customer.example>")["correlation"] == {"method": "none", "verified": False}


async def test_replies_only(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(profiles=reading([ANNA], poll_seconds=1, accept="replies", after="move:Done"))
    await first_sync(fleet, ANNA)
    await fleet.arrive(ANNA, mail("unasked"))
    await fleet.publish([request("asked", ANNA, to=[{"address": "x+reply@customer.example"}])])
    await fleet.until(lambda: len(fleet.inbound) == 1, 20)
    (event,) = fleet.inbound.values()
    assert event["data"]["correlation"]["email_id"] == "asked"

    async def put_away() -> bool:
        return [each["subject"] for each in await fleet.inbox(ANNA)] == ["unasked"]

    await eventually(put_away, 20)


async def test_a_mail_that_cannot_be_read(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(profiles=reading([ANNA], poll_seconds=1))
    await first_sync(fleet, ANNA)
    await fleet.order("faults", kind="corrupt", operation="GetItem", mailbox="poison@customer.example")
    poison = mail("poison").replace(b"x@customer", b"poison@customer")
    await fleet.arrive(ANNA, poison)
    await fleet.arrive(ANNA, mail("good"))
    await fleet.until(lambda: subjects(fleet) == ["good"], 20)
    await fleet.until_queued(DEAD_QUEUE, 1, 20)
    await fleet.clear_faults()

    async def put_back() -> bool:
        replay = await asyncio.create_subprocess_exec(
            *COMMAND, "dead", "replay", env=fleet.settings(), stdout=asyncio.subprocess.PIPE
        )
        told, _ = await replay.communicate()
        assert replay.returncode == 0
        return told == b"1 put back\n"  # a busy queue may be told to be empty

    await eventually(put_back, 30)
    await fleet.until(lambda: "poison" in subjects(fleet), 20)
    await fleet.until_queued(DEAD_QUEUE, 0, 10)


async def test_a_mailbox_without_rights(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(profiles=reading([ANNA, BEA], poll_seconds=1))
    await first_sync(fleet, ANNA, BEA)
    await fleet.order("rights", user="router@contoso.example", impersonates=[BEA])
    await fleet.arrive(ANNA, mail("for anna"))
    await fleet.arrive(BEA, mail("for bea"))
    await fleet.until(lambda: subjects(fleet) == ["for bea"], 20)

    async def named() -> bool:
        status = await asyncio.create_subprocess_exec(
            *COMMAND, "status", "--json", env=fleet.settings(), stdout=asyncio.subprocess.PIPE
        )
        told, _ = await status.communicate()
        return status.returncode == 1 and ANNA.encode() in told and b"remedy" in told

    await eventually(named, 30)
    await fleet.order("rights", user="router@contoso.example", impersonates=["*"])
    await fleet.until(lambda: "for anna" in subjects(fleet), 60)


@pytest.mark.parametrize("after", ["mark-read", "delete"])
async def test_what_is_done_with_it_after(start_fleet: StartFleet, after: str) -> None:
    fleet = await start_fleet(profiles=reading([ANNA], poll_seconds=1, after=after), workers=1)
    await first_sync(fleet, ANNA)
    await fleet.arrive(ANNA, mail("one"))
    await fleet.until(lambda: len(fleet.inbound) == 1, 20)

    async def done() -> bool:
        there = await fleet.inbox(ANNA)
        deleted = await fleet.inbox(ANNA, "deleteditems")
        return [each["read"] for each in there] == [True] if after == "mark-read" else len(deleted) == 1 and not there

    await eventually(done, 20)
    assert len(fleet.received) == 1


async def test_a_forward_mailbox(start_fleet: StartFleet) -> None:
    central = "central@contoso.example"
    fleet = await start_fleet(profiles=reading([central], kind="forward", poll_seconds=1, after="delete"), workers=1)
    await first_sync(fleet, central)
    outer = EmailMessage()
    outer["From"], outer["To"], outer["Subject"] = ANNA, central, "FW: inside"
    inner = EmailMessage()
    inner["From"], inner["To"], inner["Subject"] = "x@customer.example", ANNA, "inside"
    inner["Message-ID"] = "<inside@customer.example>"
    inner.set_content("What was written")
    outer.set_content("")
    outer.add_attachment(inner)
    await fleet.arrive(central, outer.as_bytes())
    await fleet.arrive(central, mail("not forwarded"))
    await fleet.until(lambda: subjects(fleet) == ["inside"], 20)
    told = of(fleet, "<inside@customer.example>")
    assert told["forwarded_by"]["address"] == ANNA
    assert told["from"]["address"] == "x@customer.example"
    assert told["body"]["text"].strip() == "What was written"

    async def sorted_out() -> bool:
        if await fleet.inbox(central):
            return False  # there is no other folder before something was moved there
        return [each["subject"] for each in await fleet.inbox(central, "Undeliverable")] == ["not forwarded"]

    await eventually(sorted_out, 30)
    (letter,) = await fleet.take_dead_letters()
    assert letter.headers["x-reason"] == "no-original"
    assert orjson.loads(letter.body)["mailbox"] == central


async def test_the_scheduler_dies(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(profiles=reading([ANNA], poll_seconds=1))
    await first_sync(fleet, ANNA)

    async def schedules(number: int) -> bool:
        return "mailrouter_scheduler 1.0" in await fleet.metrics(number)

    first = 0 if await schedules(0) else 1
    await fleet.kill_worker(first)
    began = time.monotonic()
    await fleet.arrive(ANNA, mail("while nobody schedules"))
    await fleet.until(lambda: len(fleet.inbound) == 1, 20)
    await eventually(lambda: schedules(1 - first), 10)
    assert time.monotonic() - began < 10
