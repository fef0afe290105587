"""The wheel, installed where there is no checkout: it carries its schemas, and a worker starts from it."""

import asyncio
import json
import os
import signal
import site
import subprocess
import sys
import venv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from scripts.eventually import eventually
from scripts.fleet_profiles import PROFILES
from scripts.private_broker import free_ports
from worker.sandbox.exchange import Exchange
from worker.sandbox.server import Sandbox
from worker.sandbox.users import invented

ROOT: Final = Path(__file__).parents[2]
SECONDS: Final = 30


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory `bin` of a new environment. The dependencies are those of this one: its packages are searched, but
    not its `.pth` files, so the editable install of the checkout is not seen.
    """
    directory = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = directory.glob("*.whl")
    venv.create(directory / "venv", with_pip=False)
    (packages,) = (directory / "venv/lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    install = ["pip", "--python", str(directory / "venv"), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([sys.executable, "-m", *install, str(wheel)], check=True)
    return directory / "venv/bin"


@asynccontextmanager
async def running(bin_directory: Path, *arguments: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {"PATH": os.environ["PATH"], "FLEET_PASSWORD": "sandbox-router", **settings}
    process = await asyncio.create_subprocess_exec(
        bin_directory / "mailrouter", *arguments, cwd=bin_directory, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def printed(bin_directory: Path, *arguments: str, **settings: str) -> bytes:
    async with running(bin_directory, *arguments, **settings) as process:
        output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        assert process.returncode == 0, output
        return output


async def test_the_schemas_are_in_it(installed: Path) -> None:
    told = json.loads(await printed(installed, "schemas", "--json"))
    files = [Path(each) for each in (*told["events"].values(), told["asyncapi"])]
    assert {each.name for each in files} == {each.name for each in (ROOT / "schemas/events").iterdir() if each.suffix}
    for each in files:
        assert each.is_relative_to(installed.parent)
        assert each.read_bytes() == (ROOT / "schemas/events" / each.name).read_bytes()


async def test_a_worker_of_it(installed: Path, tmp_path: Path, amqp_url: str) -> None:
    """It speaks to Exchange (by the schemas of EWS that the wheel carries), begins to work, and stops."""
    profiles, (port,) = tmp_path / "profiles.toml", free_ports(1)
    settings = {"MAILROUTER_PROFILES": str(profiles), "MAILROUTER_AMQP_URL": amqp_url}
    async with Sandbox(Exchange(invented("contoso.example", None))) as sandbox:
        profiles.write_text(PROFILES.format(url=sandbox.url))
        checked = json.loads(
            await printed(installed, "check", "--mailbox", "anna@contoso.example", "--json", **settings)
        )
        assert [each["pass"] for each in checked] == [True]
        async with running(installed, "run", MAILROUTER_HTTP=f"127.0.0.1:{port}", **settings) as worker:
            await ready(f"http://127.0.0.1:{port}/readyz", worker)
            worker.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(worker.wait(), SECONDS) == 0


async def ready(url: str, worker: asyncio.subprocess.Process) -> None:
    async with aiohttp.ClientSession() as http:

        async def answers() -> bool:
            assert worker.returncode is None, "the worker ended"
            try:
                async with http.get(url) as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(answers, SECONDS)
