"""What the image adds to the wheel: its health check and its first process."""

import asyncio
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from worker.settings import Settings

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8")
HEALTHY: Final = ROOT / "deploy/docker/healthy.py"
START: Final = ROOT / "deploy/docker/start.py"
PID_1: Final = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
SECONDS: Final = 30


async def exit_status(*command: object, **environment: str) -> int:
    process = await asyncio.create_subprocess_exec(*map(str, command), env=environment)
    return await asyncio.wait_for(process.wait(), SECONDS)


async def healthy(address: str, *path: str) -> int:
    return await exit_status(sys.executable, "-I", HEALTHY, *path, MAILROUTER_HTTP=address)


@pytest.mark.parametrize("listens_on", ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"])
async def test_the_health_check(listens_on: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.path == "/healthz" else 503)

    runner = web.AppRunner(application := web.Application())
    application.router.add_get("/{path}", answer)
    await runner.setup()
    try:
        await web.TCPSite(runner, listens_on.strip("[]"), 0).start()
        address = f"{listens_on}:{runner.addresses[0][1]}"
        assert await healthy(address) == 0
        assert await healthy(address, "/readyz") == 1
    finally:
        await runner.cleanup()
    assert await healthy(address) == 1


async def test_the_health_check_of_what_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert await healthy(f"127.0.0.1:{silent.getsockname()[1]}") == 1


async def test_nothing_is_served() -> None:
    assert await healthy("off") == 0


def can_be_first() -> bool:
    return subprocess.run([*PID_1, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_be_first(), reason="needs namespaces of processes, which this kernel does not give")
async def test_stopped_before_it_has_begun(tmp_path: Path) -> None:
    """As a first process, for which SIGTERM does nothing by itself, while the command is being loaded."""
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker/__init__.py").touch()
    (tmp_path / "worker/cli.py").write_text("import os, signal\nos.kill(1, signal.SIGTERM)\ndef main(): pass\n")
    assert await exit_status(*PID_1, sys.executable, START, PYTHONPATH=str(tmp_path)) == 143


def test_what_the_image_says() -> None:
    """The settings it gives are settings; it runs as a user, without a shell, and SIGTERM, the default, stops it."""
    named = set(re.findall(r"MAILROUTER_[A-Z_]+", DOCKERFILE))
    assert named <= {Settings.variable(each) for each in Settings.model_fields}
    assert re.search(r"^USER \d+:\d+$", DOCKERFILE, re.MULTILINE)
    assert all(each.startswith("[") for each in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", DOCKERFILE, re.MULTILINE))
    assert "STOPSIGNAL" not in DOCKERFILE


def test_all_packages_are_pinned() -> None:
    installs = re.findall(r"pip .*?install (.*)", DOCKERFILE)
    assert len(installs) == 3
    for each in installs:
        assert "--require-hashes" in each or "--no-deps --no-index" in each
