"""One mailbox's campaign or trouble never delays the mail of another."""

from typing import Any

from scripts.fleet import Fleet
from scripts.samples import request
from tests.scenarios.conftest import StartFleet, assert_each_once

CAMPAIGN = "campaign@contoso.example"
HANGS = "hangs@contoso.example"


async def test_other_mail_overtakes_a_campaign(start_fleet: StartFleet) -> None:
    fleet = await start_fleet()
    await fleet.order("options", find_pause_seconds=0.1)  # a batch of ten takes a fifth of a second
    bulk = [request(f"bulk-{number}", CAMPAIGN) for number in range(200)]
    normal = [request(f"normal-{number}", CAMPAIGN) for number in range(10)]
    normal += [request(f"normal-{number}", f"user{number % 5}@contoso.example") for number in range(10, 20)]
    await fleet.publish(bulk, key="email.send.bulk")
    await fleet.until(lambda: _accepted(fleet, bulk) >= 20, 20)
    before = _accepted(fleet, bulk)

    await fleet.publish(normal)
    await fleet.until(lambda: _accepted(fleet, normal) == len(normal), 20)

    meanwhile = _accepted(fleet, bulk) - before
    assert meanwhile <= 100, "other mail waited for half of the campaign"
    await fleet.order("options", find_pause_seconds=0.0)
    await fleet.until(lambda: _accepted(fleet, bulk) == len(bulk), 30)
    await assert_each_once(fleet, len(bulk) + len(normal))


async def test_a_mailbox_that_hangs_holds_up_nobody_else(start_fleet: StartFleet) -> None:
    """Though its mail alone is more than the workers may have in hand."""
    fleet = await start_fleet(environment={"MAILROUTER_PREFETCH": "15", "MAILROUTER_EWS_TIMEOUT_SECONDS": "5"})
    await fleet.order("options", slow_seconds=600.0)
    await fleet.order("faults", kind="slow", mailbox=HANGS)
    stuck = [request(f"stuck-{number}", HANGS) for number in range(60)]
    others = [request(f"other-{number}", f"user{number % 5}@contoso.example") for number in range(20)]
    await fleet.publish([*stuck, *others])

    await fleet.until(lambda: _accepted(fleet, others) == len(others), 12)  # thrice as long if they waited for it

    assert _accepted(fleet, stuck) == 0
    await fleet.clear_faults()
    await fleet.until(lambda: _accepted(fleet, stuck) == len(stuck), 30)
    assert (await fleet.arrived())["doubled"] == {}
    assert {told["data"]["attempt"] for each in stuck for told in fleet.about(each["data"]["email_id"])} == {1}


def _accepted(fleet: Fleet, events: list[dict[str, Any]]) -> int:
    return sum("accepted" in fleet.states.get(each["data"]["email_id"], {}).values() for each in events)
