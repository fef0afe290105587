"""Profiles change while mail is under way: through the broker, in a file, by a password; and a sender who may not.

MAILROUTER_PROFILE_CHANGES=20 ./scripts/test tests/scenarios/test_profiles_change.py      changes them more often
"""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any, Final

import pytest

from scripts.eventually import eventually
from scripts.fleet import COMMAND, Fleet
from scripts.fleet_profiles import PROFILES
from scripts.queues import DEAD_QUEUE
from scripts.samples import event, request
from tests.scenarios.conftest import StartFleet, assert_each_once

SEND_AS = PROFILES.replace("router@", "delegate@").replace('"env:FLEET_PASSWORD"', '"env:DELEGATE_PASSWORD"')
SEND_AS = SEND_AS.replace('"impersonation"', '"send-as"')
PACED = PROFILES.replace("[[mailbox]]", "messages_per_minute = 5000\n\n[[mailbox]]", 1)
ENVIRONMENT = {"DELEGATE_PASSWORD": "sandbox-delegate"}
TURNS: Final = int(os.environ.get("MAILROUTER_PROFILE_CHANGES", "6"))
MAILS: Final = 25
"""Of each turn."""
PUBLISHED = {**ENVIRONMENT, "MAILROUTER_PROFILES": "broker"}


async def command(fleet: Fleet, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, env=fleet.settings(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


async def publish(fleet: Fleet, tmp_path: Path, text: str) -> dict[str, Any]:
    file = tmp_path / "to-publish.toml"
    file.write_text(text.format(url=fleet.url))
    status, out, error = await command(fleet, "profiles", "publish", str(file), "--json")
    assert status == 0, error
    told: dict[str, Any] = json.loads(out)
    return told


async def test_mail_under_way_while_profiles_are_published_leaves_once(tmp_path: Path, start_fleet: StartFleet) -> None:
    """Each time for another mailbox to be sent from, or for another limit; workers killed meanwhile."""
    fleet = await start_fleet(workers=0, environment=PUBLISHED)
    told = await publish(fleet, tmp_path, PROFILES)
    assert (told["changed"], told["workers"]) == (True, [])
    for number in range(2):
        await fleet.start_worker(number)
    await asyncio.gather(*(fleet.ready(number) for number in range(2)))
    events = [event(number, senders=20) for number in range(TURNS * MAILS)]
    texts = [PROFILES, SEND_AS, PACED, SEND_AS]
    for turn in range(TURNS):
        for each in (batch := events[turn * MAILS : (turn + 1) * MAILS]):
            each["time"] = event(0)["time"]
        await fleet.publish(batch)
        await publish(fleet, tmp_path, texts[(turn + 1) % 4])
        if turn % 3 == 2:
            await fleet.kill_worker(0)
            await fleet.start_worker(0)
    await fleet.until(lambda: fleet.reached["accepted"] == len(events), 60)
    await assert_each_once(fleet, len(events))
    assert not fleet.reached["failed"] + fleet.reached["unresolved"]
    await asyncio.gather(*(fleet.ready(number) for number in range(2)))
    status, out, _ = await command(fleet, "status", "--json")
    assert status == 0
    assert len({each["revision"] for each in json.loads(out)["workers"]}) == 1


async def test_workers_without_published_profiles_wait_for_them(tmp_path: Path, start_fleet: StartFleet) -> None:
    fleet = await start_fleet(workers=0, environment=PUBLISHED)
    await fleet.start_worker(0)
    await fleet.publish([request("early")])
    async with fleet.http.get(f"{await url(fleet)}/readyz") as answer:
        assert (answer.status, (await answer.json())["profiles"]) == (503, False)
    await publish(fleet, tmp_path, PROFILES)
    await fleet.ready(0)
    await fleet.until(lambda: fleet.reached["accepted"] == 1, 30)


async def url(fleet: Fleet) -> str:
    """Of the worker's health, once it answers."""

    async def answers() -> bool:
        try:
            async with fleet.http.get(f"{fleet.running[0].http}/healthz") as answer:
                return answer.status == 200
        except OSError:
            return False

    await eventually(answers, 30)
    return fleet.running[0].http


async def test_what_a_worker_cannot_work_by_is_told_to_who_publishes(tmp_path: Path, start_fleet: StartFleet) -> None:
    fleet = await start_fleet(workers=0, environment=PUBLISHED)
    await publish(fleet, tmp_path, PROFILES)
    await fleet.start_worker(0)
    await fleet.ready(0)
    file = tmp_path / "other.toml"
    file.write_text(PROFILES.format(url=fleet.url).replace("env:FLEET_PASSWORD", "env:NOWHERE_TO_BE_FOUND"))
    status, _, error = await command(fleet, "profiles", "publish", str(file))
    assert status == 1
    assert "NOWHERE_TO_BE_FOUND is not set" in error
    await fleet.publish([request("meanwhile")])
    await fleet.until(lambda: fleet.reached["accepted"] == 1, 30)


async def test_a_changed_file_is_read_and_a_bad_one_is_not(tmp_path: Path, start_fleet: StartFleet) -> None:
    fleet = await start_fleet(workers=1, environment=ENVIRONMENT)
    profiles = tmp_path / "profiles.toml"
    first = profiles.read_text()

    async def revision_is_new() -> bool:
        _, out, _ = await command(fleet, "status", "--json")
        (worker,) = json.loads(out)["workers"]
        return bool(worker["revision"] != before)

    _, out, _ = await command(fleet, "status", "--json")
    before = json.loads(out)["workers"][0]["revision"]
    profiles.write_text(first.replace('outgoing = "Sandbox"', 'outgoing = "Sandbocks"'))
    fleet.running[0].process.send_signal(signal.SIGHUP)
    await eventually(lambda: said(fleet, "profiles refused"), 20)
    await fleet.publish([request("as-before")])
    await fleet.until(lambda: fleet.reached["accepted"] == 1, 30)
    profiles.write_text(first + '\n[[mailbox]]\naddress = "*@fabrikam.example"\noutgoing = "Sandbox"\n')
    await eventually(revision_is_new, 30)


async def said(fleet: Fleet, line: str) -> bool:
    return line in fleet.running[0].log.read_text()


async def test_a_changed_password_is_picked_up(tmp_path: Path, start_fleet: StartFleet) -> None:
    """First in Exchange, then in the file: nothing is lost, nothing doubled, nobody restarts."""
    password = tmp_path / "password"
    password.write_text("sandbox-router")
    text = PROFILES.replace("env:FLEET_PASSWORD", f"file:{password}")
    fleet = await start_fleet(workers=1, profiles=text)
    await fleet.publish([event(number) for number in range(30)])
    await fleet.until(lambda: fleet.reached["accepted"] >= 5, 30)
    await fleet.order("accounts", user="router@contoso.example", password="another")
    await fleet.publish([event(number) for number in range(30, 60)])
    await fleet.until(lambda: fleet.reached["deferred"] > 0, 30)
    password.write_text("another")
    await fleet.until(lambda: fleet.reached["accepted"] == 60, 60)
    await assert_each_once(fleet, 60)


@pytest.mark.parametrize("access", ["send-as", "delegate"])
async def test_a_sender_may_forbid_that_others_send_for_it(access: str, start_fleet: StartFleet) -> None:
    text = SEND_AS.replace('"send-as"', f'"{access}"') + "allow_send_on_behalf = false\n"
    fleet = await start_fleet(workers=1, profiles=text, environment=ENVIRONMENT)
    await fleet.publish([request("refused")])
    await fleet.until(lambda: fleet.reached["failed"] == 1, 30)
    (told,) = fleet.about("refused")
    assert told["data"]["reason"]["code"] == "send-on-behalf-not-allowed"
    await fleet.until_queued(DEAD_QUEUE, 1, 20)


async def test_waiting_has_an_end(start_fleet: StartFleet) -> None:
    """A missing right: the CRM hears of it once, and of the end; no draft stays behind."""
    text = PROFILES.replace("router@", "behalf@").replace('"impersonation"', '"send-as"')
    text = text.replace("env:FLEET_PASSWORD", "env:BEHALF_PASSWORD")
    environment = {"BEHALF_PASSWORD": "sandbox-behalf", "MAILROUTER_MAX_WAIT_HOURS": "0.001"}
    fleet = await start_fleet(workers=1, profiles=text, environment=environment)
    await fleet.order("rights", user="behalf@contoso.example", send_on_behalf=[])
    await fleet.publish([request("no-right")])
    await fleet.until(lambda: fleet.reached["failed"] == 1, 60)
    deferred, failed = fleet.about("no-right")
    assert deferred["data"]["reason"]["code"] == "ErrorSendAsDenied"
    assert failed["data"]["reason"]["code"] == "waited-too-long"
    assert "ErrorSendAsDenied" in failed["data"]["reason"]["message"]
    assert (await fleet.stats())["drafts"] == 0
