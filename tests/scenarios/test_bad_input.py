"""What a CRM may publish by mistake or malice: kept byte for byte, told, and nobody else's mail is held up."""

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aio_pika
import orjson
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage

from scripts.eventually import eventually
from scripts.fleet import Fleet
from scripts.queues import DEAD_QUEUE
from scripts.samples import BODY, request
from tests.unit.events.bad_events import BAD, EMAIL_ID, Bad
from tests.unit.events.sample import full
from worker.clock import rfc3339

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAX_EVENT_BYTES: Final = 2**20
WITHOUT_AN_ID: Final = ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(module_amqp_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    environment = {"MAILROUTER_MAX_EVENT_BYTES": str(MAX_EVENT_BYTES)}
    directory = tmp_path_factory.mktemp("fleet")
    async with (
        Fleet(directory, broker_url=module_amqp_url, environment=environment) as fleet,
        fleet.listening(),
    ):
        yield fleet


def _bad_events() -> list[Bad]:
    """Each under an e-mail id of its own, so that the CRM's answers can be told apart."""
    big = {"name": "big", "content": base64.b64encode(bytes(MAX_EVENT_BYTES)).decode()}
    ahead = {**request(EMAIL_ID), "time": rfc3339(datetime.now(UTC) + timedelta(hours=2))}
    events = [
        *(each for each in BAD if each.name != "time ahead"),  # that one is ahead of the unit tests' clock
        Bad("bytes at both ends", b" \r\n{}\x00 \n", "", "not JSON", WITHOUT_AN_ID),
        Bad("time ahead", orjson.dumps(ahead), "time", "more than an hour ahead"),
        Bad("oversize", orjson.dumps(request(EMAIL_ID, attachments=[big])), "", f"{MAX_EVENT_BYTES} bytes"),
    ]
    return [
        Bad(
            each.name,
            each.body.replace(EMAIL_ID.encode(), name.encode()),
            each.field,
            each.says,
            name if each.email_id == EMAIL_ID else each.email_id,
        )
        for number, each in enumerate(events)
        for name in [f"bad-{number}"]
    ]


async def test_malformed_events_are_kept_and_told_and_harm_nobody(fleet: Fleet) -> None:
    processes = [worker.process.pid for worker in fleet.running.values()]
    bad, began_at = _bad_events(), datetime.now(UTC)
    good = [request(f"good-{number}", f"user{number % 5}@contoso.example") for number in range(30)]
    mixed = [each for pair in zip(bad, good, strict=False) for each in (pair[0].body, pair[1])]
    await fleet.publish([*mixed, *(each.body for each in bad[len(good) :])])

    expected = {each.email_id for each in bad if each.email_id}
    await fleet.until(lambda: fleet.reached["accepted"] == len(good) and fleet.reached["failed"] == len(expected), 30)
    letters = await _letters(fleet, len(bad))

    assert {each["data"]["email_id"] for each in fleet.statuses if each["type"] == "crm.email.failed.v1"} == expected
    for each in bad:
        _assert_kept(letters.pop(each.body), each, began_at)
        if each.email_id:
            _assert_told(fleet.about(each.email_id), each)
    assert letters == {}
    assert [worker.process.pid for worker in fleet.running.values()] == processes
    await _assert_well(fleet)


async def test_requests_nobody_may_send_any_more_or_yet(fleet: Fleet) -> None:
    now = datetime.now(UTC)
    nobody = request("no-profile", "nobody@elsewhere.example")
    old = {**request("too-old"), "time": rfc3339(now - timedelta(days=7, minutes=1))}
    late = {
        **request("expired", expires_at=rfc3339(now - timedelta(minutes=1))),
        "time": rfc3339(now - timedelta(hours=1)),
    }
    due_at = now + timedelta(seconds=2)
    await fleet.publish([nobody, old, late, request("not-yet", send_after=rfc3339(due_at))])
    wanted = ("no-profile", "too-old", "expired", "not-yet")
    await fleet.until(lambda: all(fleet.about(each) for each in wanted), 20)

    for email_id, scope in (("no-profile", "mailbox"), ("too-old", "message"), ("expired", "message")):
        (told,) = fleet.about(email_id)
        assert told["type"] == "crm.email.failed.v1"
        assert (told["data"]["reason"]["code"], told["data"]["reason"]["scope"]) == (email_id, scope)
        assert told["data"]["reason"]["remedy"]
    letters = await _letters(fleet, 2)
    for event in (nobody, old):
        letter = letters[orjson.dumps(event)]
        assert letter.headers["x-reason"] == event["data"]["email_id"]
        assert letter.message_id == event["id"]
    (told,) = fleet.about("not-yet")
    (mail,) = [each for each in await fleet.mails() if each["message_id"] == told["data"]["message_id"]]
    assert datetime.fromisoformat(mail["submitted_at"]) >= due_at
    assert (told["type"], told["data"]["attempt"]) == ("crm.email.accepted.v1", 1)


async def test_binary_mode(fleet: Fleet) -> None:
    spoiled = request("binary-bad")
    del spoiled["data"]["subject"]
    await fleet.publish(
        [
            _binary(request("binary-colon"), "cloudEvents:"),
            _binary(request("binary-underscore"), "cloudEvents_"),
            _binary(spoiled, "cloudEvents:"),
        ]
    )
    wanted = {"binary-colon": "accepted", "binary-underscore": "accepted", "binary-bad": "failed"}
    await fleet.until(lambda: all(fleet.about(each) for each in wanted), 20)

    assert {each: list(fleet.states[each].values()) for each in wanted} == {each: [wanted[each]] for each in wanted}
    ((body, letter),) = (await _letters(fleet, 1)).items()
    assert body == orjson.dumps(spoiled["data"])
    assert (letter.headers["cloudEvents:id"], letter.content_type) == (spoiled["id"], "application/json")
    assert letter.headers["x-detail"] == "data.subject: is missing"


async def test_nothing_that_is_nobodys_business_was_logged(fleet: Fleet) -> None:
    sample = full()["data"]
    secrets = [fleet.password, "a key for this machine only", ":guest@"]
    contents = [BODY, sample["body"]["text"].splitlines()[0], sample["subject"], sample["attachments"][0]["content"]]
    log = "".join(worker.log.read_text() for worker in fleet.running.values())
    assert "event invalid" in log, "nothing was logged: the test shows nothing"
    assert [each for each in (*secrets, *contents) if each in log] == []
    assert "Traceback" not in log


def _binary(event: Mapping[str, Any], prefix: str) -> aio_pika.Message:
    attributes = {f"{prefix}{name}": value for name, value in event.items() if name != "data"}
    return aio_pika.Message(
        orjson.dumps(event["data"]), content_type="application/json", headers=attributes, message_id=event["id"]
    )


async def _letters(fleet: Fleet, count: int) -> dict[bytes, AbstractIncomingMessage]:
    """The dead letters by their bodies, once there are so many."""
    await fleet.until_queued(DEAD_QUEUE, count, 10)
    letters = await fleet.take_dead_letters()
    assert len(letters) == count
    return {each.body: each for each in letters}


def _assert_kept(letter: AbstractIncomingMessage, bad: Bad, began_at: datetime) -> None:
    headers = letter.headers
    assert headers["x-reason"] == "invalid-event", bad.name
    detail = str(headers["x-detail"])
    assert detail.startswith(bad.field and bad.field + ": "), bad.name
    assert bad.says in detail, bad.name
    assert headers["x-remedy"]
    assert headers["x-attempts"] == 1
    first_seen_at = datetime.fromisoformat(str(headers["x-first-seen-at"]))
    assert began_at - timedelta(seconds=1) < first_seen_at <= datetime.now(UTC)


def _assert_told(told: Sequence[Mapping[str, Any]], bad: Bad) -> None:
    assert [each["type"] for each in told] == ["crm.email.failed.v1"], bad.name
    reason = told[0]["data"]["reason"]
    assert (reason["code"], reason["scope"]) == ("invalid-event", "message")
    assert bad.says in reason["message"]
    assert reason["remedy"]


async def _assert_well(fleet: Fleet) -> None:
    for number, worker in fleet.running.items():
        assert worker.process.returncode is None
        for page in ("healthz", "readyz"):
            async with fleet.http.get(f"{worker.http}/{page}") as answer:
                assert answer.status == 200
        await eventually(lambda number=number: _is_idle(fleet, number), 10)  # type: ignore[misc] # mypy knows no such default


async def _is_idle(fleet: Fleet, number: int) -> bool:
    return "mailrouter_outbound_in_progress 0.0\n" in await fleet.metrics(number)
