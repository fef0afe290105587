"""One mailbox's campaign, limit or server in trouble is nobody else's; and everything goes on by itself."""

import json
from itertools import pairwise

import pytest

from benchmarks.fairness import CAMPAIGN, DOWN, LIMITED, behind_a_gate, campaign, others_seconds, outage
from scripts.eventually import eventually
from scripts.fleet import Fleet
from scripts.samples import request
from tests.integration.rabbitmq.commands import Command
from tests.scenarios.conftest import StartFleet

BACK_OFF_SECONDS = 3

SLACK_SECONDS = 2.0
"""What a busy machine may add, with so few mails."""

MINUTE_SECONDS = 55.0
"""What a worker counts as a minute, less what may pass before the first of what it counts is seen here."""

FEW = LIMITED.replace("messages_per_minute = 30", "messages_per_minute = 8")


def _sent(fleet: Fleet, mailbox: str) -> list[float]:
    """When it was heard of each mail of a mailbox that it had left."""
    return [
        each["_heard_at"]
        for each in fleet.statuses
        if each["type"] == "crm.email.accepted.v1" and each["data"]["mailbox"] == mailbox
    ]


def _in_first_minute(moments: list[float]) -> int:
    return sum(each - moments[0] < MINUTE_SECONDS for each in moments)


@pytest.mark.parametrize("key", ["email.send", "email.send.bulk"])
async def test_a_campaign_beyond_its_limit_delays_nobody(start_fleet: StartFleet, key: str) -> None:
    fleet = await start_fleet(profiles=LIMITED)
    result = await campaign(fleet, mails=500, others=60, key=key)
    assert result.numbers["campaign_sent"] <= 30
    await fleet.until(lambda: len(_sent(fleet, CAMPAIGN)) >= 30, 60)  # what it may send in a minute
    assert result.numbers["p95_beside_seconds"] <= 2 * result.numbers["p95_alone_seconds"] + SLACK_SECONDS


async def test_a_limit_holds_for_all_workers_and_status_tells(start_fleet: StartFleet, amqp_url: str) -> None:
    fleet = await start_fleet(workers=3, profiles=FEW)
    await others_seconds(fleet, 5)
    await fleet.publish(request(f"few-{number}", CAMPAIGN) for number in range(30))
    await fleet.until(lambda: len(_sent(fleet, CAMPAIGN)) >= 7, 60)
    await others_seconds(fleet, 20)
    assert _in_first_minute(_sent(fleet, CAMPAIGN)) <= 8
    run = await Command(amqp_url)("status", "--json")
    [waiting] = [each for each in json.loads(run.out)["mailboxes"] if each["state"] == "waiting"]
    assert (waiting["mailbox"], waiting["cause"]) == (CAMPAIGN, "it may send 8 a minute")
    assert waiting["waiting"] > 0
    assert run.status == 0, "to wait for one's turn is no trouble"
    told = [await fleet.metrics(number) for number in fleet.running]
    assert any('mailrouter_mailboxes{state="waiting"} 1.0\n' in each for each in told)
    assert not all("mailrouter_outbound_waiting 0.0\n" in each for each in told)
    assert not fleet.reached["deferred"]


async def test_a_profile_makes_no_more_requests_than_it_may(start_fleet: StartFleet, amqp_url: str) -> None:
    """Mail of many mailboxes, of which each may send: what they ask of their server together is limited."""
    fleet = await start_fleet(workers=0)
    async with behind_a_gate(fleet, 2, keys="profile_requests_per_minute = 36") as gate:
        await others_seconds(fleet, 5)
        events = [request(f"much-{number}", sender) for number, sender in enumerate(DOWN)]
        await fleet.publish(events)

        async def mostly_used_up() -> bool:
            return len(gate.came) >= 24

        await eventually(mostly_used_up, 60)
        assert max(await others_seconds(fleet, 20)) <= 10, "another profile's mail waited"
        status = json.loads((await Command(amqp_url)("status", "--json")).out)
        assert _in_first_minute(gate.came) <= 36
    [waiting] = {(each["profile"], each["cause"]) for each in status["mailboxes"] if each["state"] == "waiting"}
    assert waiting == ("Down", "it may make 36 requests a minute")
    assert not fleet.reached["deferred"]


async def test_a_mailbox_in_back_off_is_left_alone_by_all_workers(start_fleet: StartFleet) -> None:
    """What one worker was told holds for all: behind each back-off comes one probe, from one of them; now and then a
    second one, from a worker whose turn came before it had heard of the first.
    """
    fleet = await start_fleet(workers=0)
    async with behind_a_gate(fleet, 3) as gate:
        await fleet.order("options", back_off_milliseconds=BACK_OFF_SECONDS * 1000)
        await fleet.order("faults", kind="busyfault", mailbox=DOWN[0])
        events = [request(f"busy-{number}", DOWN[0]) for number in range(60)]
        await fleet.publish(events)
        await fleet.until(lambda: bool(fleet.reached["deferred"]), 20)
        await fleet.publish([request(f"later-{number}", DOWN[0]) for number in range(20)])

        async def probed() -> bool:
            return gate.came[-1] - gate.came[0] > 3 * BACK_OFF_SECONDS

        await eventually(probed, 60)
        came = tuple(gate.came)
        await fleet.clear_faults()
        ids = [each["data"]["email_id"] for each in events]
        await fleet.until(lambda: all("accepted" in fleet.states[each].values() for each in ids), 60)
    gaps = [later - sooner for sooner, later in pairwise(came)]
    begins = [0, *(number for number, gap in enumerate(gaps, 1) if gap > 0.9 * BACK_OFF_SECONDS)]
    sizes = [end - begin for begin, end in pairwise([*begins, len(came)])]
    assert sizes[0] <= 3, "one request of each worker was under way at most"
    probes, looks = sizes[1:], 2  # a probe is one look, of two requests at most
    assert sum(probes) <= 2 * looks * len(probes), "all of the workers probed"
    assert (await fleet.arrived())["doubled"] == {}


async def test_a_server_that_is_down_is_nobody_elses_trouble(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(workers=0, environment={"MAILROUTER_EWS_TIMEOUT_SECONDS": "5"})
    async with behind_a_gate(fleet, 2) as gate:
        result = await outage(fleet, gate, down_seconds=9, mails=60, others=20)
    others_quick = "the others' p95 is more than twice that of an empty system"  # of so few it tells little
    assert [each for each in result.faults if each != others_quick] == []
    assert result.numbers["p95_beside_seconds"] <= 2 * result.numbers["p95_alone_seconds"] + SLACK_SECONDS


async def test_a_right_that_was_missing_is_noticed_when_it_is_there(start_fleet: StartFleet) -> None:
    """Its mail is deferred once, with the remedy; the others of the account do not notice; then it goes by itself."""
    fleet = await start_fleet()
    await fleet.order("faults", kind="sendasdenied", mailbox="desk@contoso.example")
    denied = [request(f"denied-{number}", "desk@contoso.example") for number in range(5)]
    await fleet.publish(denied)
    ids = [each["data"]["email_id"] for each in denied]
    await fleet.until(lambda: all(fleet.about(each) for each in ids), 20)
    assert max(await others_seconds(fleet, 20)) <= 10
    await fleet.clear_faults()
    await fleet.until(lambda: all("accepted" in fleet.states[each].values() for each in ids), 60)
    for each in ids:
        deferred, accepted = fleet.about(each)
        assert deferred["data"]["reason"]["code"] == "ErrorSendAsDenied"
        assert "Add-ADPermission" in deferred["data"]["reason"]["remedy"]
        assert accepted["type"] == "crm.email.accepted.v1"
    assert (await fleet.arrived())["doubled"] == {}
