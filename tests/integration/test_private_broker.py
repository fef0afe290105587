"""The node that demo and tests run: loopback only, and nothing is left of it, however it ends."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scripts import private_broker
from scripts.private_broker import SERVER, BrokerError, PrivateBroker

pytestmark = pytest.mark.skipif(not SERVER.exists(), reason="RabbitMQ is not installed")

SECONDS = 60
SAY = "import os, sys; print(os.environ['MAILROUTER_AMQP_URL'], flush=True); "


def start(directory: Path, code: str) -> "subprocess.Popen[str]":
    """A node around a Python program that tells its URL first."""
    return subprocess.Popen(
        [sys.executable, private_broker.__file__, "--", sys.executable, "-c", SAY + code],
        env={**os.environ, "TMPDIR": str(directory)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def members(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_it_runs_around_a_command_and_leaves_nothing(tmp_path: Path) -> None:
    with start(tmp_path, "sys.stdin.read(); raise SystemExit(7)") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("amqp://guest:guest@127.0.0.1:")
        helpers = members(process)
        listening = [each for helper in helpers for each in helper.net_connections("inet") if each.status == "LISTEN"]
        assert {each.laddr.ip for each in listening} <= {"127.0.0.1", "::1"}
        assert len(listening) >= 3
        process.communicate(timeout=SECONDS)
    assert process.returncode == 7
    assert psutil.wait_procs(helpers, timeout=SECONDS)[1] == []
    assert list(tmp_path.iterdir()) == []


def test_it_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    with start(tmp_path, "sys.stdin.read()") as process:
        assert process.stdout is not None
        process.stdout.readline()
        helpers = members(process)
        process.kill()
        process.communicate()  # ends the command, which waits for us
        assert psutil.wait_procs(helpers, timeout=SECONDS)[1] == []


def test_why_it_cannot_start_is_told() -> None:
    with pytest.raises(BrokerError, match=r"RabbitMQ ended while starting.*It said"):
        PrivateBroker(config="this is no configuration").start()
