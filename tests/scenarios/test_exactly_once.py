"""One mail leaves per request, whatever dies when: real processes, real RabbitMQ, real sockets.

The same at full size: `python -m benchmarks.exactly_once`.
"""

import signal

from scripts.eventually import eventually
from scripts.samples import event
from tests.scenarios.conftest import StartFleet, assert_each_once

COUNT = 120


async def test_every_request_once(start_fleet: StartFleet) -> None:
    fleet = await start_fleet()
    await fleet.publish(event(number) for number in range(COUNT))
    await fleet.until(lambda: fleet.reached["accepted"] == COUNT, 60)
    await assert_each_once(fleet, COUNT)


async def test_published_twice(start_fleet: StartFleet) -> None:
    fleet = await start_fleet()
    events = [event(number) for number in range(COUNT)]
    await fleet.publish(events, copies=2)
    await fleet.publish(events[: COUNT // 2])
    await fleet.until(lambda: fleet.reached["accepted"] == COUNT, 60)
    await assert_each_once(fleet, COUNT)


async def test_workers_killed(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(environment={"MAILROUTER_PREFETCH": "20"}, sandbox_arguments=["--dwell-outbox", "0.2"])
    await fleet.publish(event(number) for number in range(COUNT))
    for kills in range(6):
        await fleet.until(lambda kills=kills: fleet.reached["accepted"] >= kills * COUNT // 8, 60)  # type: ignore[misc]
        await fleet.kill_worker(kills % 2)
        await fleet.start_worker(kills % 2)
    await fleet.until(lambda: fleet.reached["accepted"] == COUNT, 60)
    await assert_each_once(fleet, COUNT)


async def test_answers_lost_after_the_work_was_done(start_fleet: StartFleet) -> None:
    fleet = await start_fleet(sandbox_arguments=["--seed", "7", "--fault", "lost=0.05"])
    await fleet.publish(event(number) for number in range(COUNT))
    await fleet.until(lambda: fleet.reached["accepted"] == COUNT, 90)
    await assert_each_once(fleet, COUNT)
    stats = await fleet.stats()
    assert stats["faults"], "no answer was lost: the test shows nothing"


async def test_a_worker_frozen_while_others_take_over(start_fleet: StartFleet, amqp_url: str) -> None:
    """Thawed, it goes on with mail that is somebody else's by now, on a connection that is none any more."""
    broker_url = amqp_url + ("&" if "?" in amqp_url else "?") + "heartbeat=1"
    fleet = await start_fleet(broker_url=broker_url, sandbox_arguments=["--dwell-outbox", "0.1"])
    await fleet.order("options", find_pause_seconds=0.05)
    await fleet.publish(event(number, senders=8) for number in range(COUNT))
    await fleet.until(lambda: fleet.reached["accepted"] >= COUNT // 8, 60)
    frozen = fleet.running[0]
    frozen.process.send_signal(signal.SIGSTOP)
    await fleet.until(lambda: fleet.reached["accepted"] == COUNT, 60)
    frozen.process.send_signal(signal.SIGCONT)

    async def thawed() -> bool:
        return frozen.log.read_text().count("broker connected") > 1

    await eventually(thawed, 20)
    await assert_each_once(fleet, COUNT)
