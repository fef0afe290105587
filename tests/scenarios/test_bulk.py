"""A campaign never stands before other mail, not even before that of its own mailbox."""

from typing import Any

from scripts.fleet import Fleet
from tests.scenarios.conftest import StartFleet, assert_each_once
from tests.scenarios.requests import request

CAMPAIGN = "campaign@contoso.example"


async def test_other_mail_overtakes_a_campaign(start_fleet: StartFleet) -> None:
    fleet = await start_fleet()
    await fleet.order("options", find_pause_seconds=0.1)  # a batch of ten takes a fifth of a second
    bulk = [request(f"bulk-{number}", CAMPAIGN) for number in range(300)]
    normal = [request(f"normal-{number}", CAMPAIGN) for number in range(10)]
    normal += [request(f"normal-{number}", f"user{number % 5}@contoso.example") for number in range(10, 20)]
    await fleet.publish(bulk, key="email.send.bulk")
    await fleet.until(lambda: _accepted(fleet, bulk) >= 20, 20)
    before = _accepted(fleet, bulk)

    await fleet.publish(normal)
    await fleet.until(lambda: _accepted(fleet, normal) == len(normal), 20)

    meanwhile = _accepted(fleet, bulk) - before
    assert meanwhile <= 100, "other mail waited for a third of the campaign"
    await fleet.order("options", find_pause_seconds=0.0)
    await fleet.until(lambda: _accepted(fleet, bulk) == len(bulk), 30)
    await assert_each_once(fleet, len(bulk) + len(normal))


def _accepted(fleet: Fleet, events: list[dict[str, Any]]) -> int:
    return sum("accepted" in fleet.states.get(each["data"]["email_id"], {}).values() for each in events)
