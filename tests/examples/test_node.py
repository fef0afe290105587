"""The example in JavaScript. Needs node, and what `npm ci` in examples/node installs (scripts/setup test does, where
there is npm).
"""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from scripts.fleet import Fleet
from scripts.fleet_profiles import reading
from tests.unit.docs import ROOT

HERE = ROOT / "examples/node"
DESK = "desk@contoso.example"
SECONDS = 60

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and (HERE / "node_modules/amqplib").exists()),
    reason="needs node and amqplib: install node with npm, then scripts/setup test",
)


async def node(what: str, url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "node",
        "crm.mjs",
        what,
        cwd=HERE,
        env={**os.environ, "MAILROUTER_AMQP_URL": url},
        stdout=asyncio.subprocess.PIPE,
    )


async def test_publishes_and_consumes(tmp_path: Path, amqp_url: str) -> None:
    async with Fleet(tmp_path, workers=1, broker_url=amqp_url, profiles=reading([DESK], poll_seconds=1, start="all")):
        listening = await node("listen", amqp_url)
        try:
            sending = await node("send", amqp_url)
            assert await asyncio.wait_for(sending.wait(), SECONDS) == 0
            assert listening.stdout is not None
            lines = {(await asyncio.wait_for(listening.stdout.readline(), SECONDS)).decode().strip() for _ in range(2)}
        finally:
            listening.kill()
            await listening.wait()
    assert lines == {"from-node accepted", "received Re: Good morning: answers from-node"}


async def test_says_that_nobody_takes_it(amqp_url: str) -> None:
    """No exchange yet: the channel is closed, and the program ends with an error."""
    sending = await node("send", amqp_url)
    assert await asyncio.wait_for(sending.wait(), SECONDS) != 0


def test_the_lock_names_no_place() -> None:
    assert "resolved" not in json.dumps(json.loads((HERE / "package-lock.json").read_text()))
