"""What a person got wrong keeps the worker from starting: exit status 2, a readable line for each fault, no secret."""

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Final

import pytest

from scripts.fleet_profiles import PROFILES
from worker.settings import Settings

SECRET: Final = "hunter2"
NO_PROFILE: Final = """
[[profile]]
name = "P"
direction = "sideways"
server = "exchange"
location = "http://127.0.0.1:1/EWS/Exchange.asmx"
username = "router@contoso.example"
password = "hunter2"
"""

REFUSED: Final = {
    "MAILROUTER_AMQP_URL=http://router:hunter2@broker/ MAILROUTER_HTTP=nowhere MAILROUTER_CORRELATION_KEY=hunter2 "
    "MAILROUTER_LOG_LEVEL=loud MAILROUTER_PREFETCH=many MAILROUTER_TRACING=perhaps": [
        "MAILROUTER_AMQP_URL: is not of the right form",
        "MAILROUTER_HTTP: is not of the right form",
        "MAILROUTER_CORRELATION_KEY: must be a reference",
        "MAILROUTER_LOG_LEVEL: ",
        "MAILROUTER_PREFETCH: ",
        "MAILROUTER_TRACING: must be on or off",
    ],
    "MAILROUTER_AMQP_URL=amqp://router:hunter2@[::1": ["MAILROUTER_AMQP_URL: not a URL"],
    "MAILROUTER_HTTP=127.0.0.1:99999": ["MAILROUTER_HTTP: 127.0.0.1:99999: there is no port 99999"],
    "MAILROUTER_CORRELATION_KEY=env:NOT_SET": ["MAILROUTER_CORRELATION_KEY: env:NOT_SET: the environment variable"],
    "MAILROUTER_ROLES=outbound,postman": ["MAILROUTER_ROLES: unknown role postman"],
    "MAILROUTER_TRACING=on OTEL_EXPORTER_OTLP_PROTOCOL=grpc": [
        "OTEL_EXPORTER_OTLP_PROTOCOL: spans go by http/protobuf only. Remedy: "
    ],
    "MAILROUTER_TRACING=on OTEL_BSP_MAX_EXPORT_BATCH_SIZE=100000": [
        "MAILROUTER_TRACING: OpenTelemetry does not take its settings: max_export_batch_size must be "
    ],
    "MAILROUTER_PROFILES=missing.toml": ["missing.toml: cannot be read: No such file"],
    "MAILROUTER_PROFILES=bad.toml": [
        "bad.toml: [[profile]] 1 (P): direction: ",
        "bad.toml: [[profile]] 1 (P): password: must be a reference",
    ],
    "FLEET_PASSWORD=": ["good.toml: [[profile]] 1 (Sandbox): password: env:FLEET_PASSWORD: the secret is empty"],
}
"""What is set in place of what would do, and how the lines begin that are said about it."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "good.toml").write_text(PROFILES.format(url="http://127.0.0.1:1/EWS/Exchange.asmx"))
    (tmp_path / "bad.toml").write_text(NO_PROFILE)
    return tmp_path


async def test_each_fault_is_named_in_a_line(directory: Path) -> None:
    limit = asyncio.Semaphore(2)

    async def refused(setting: str) -> tuple[int, str]:
        async with limit:
            return await _run(directory, **dict(each.split("=") for each in setting.split()))

    answers = dict(zip(REFUSED, await asyncio.gather(*map(refused, REFUSED)), strict=True))
    for setting, (status, said) in answers.items():
        lines = [line for line in said.splitlines() if line.startswith("mailrouter: ")]
        assert status == 2, setting
        assert len(lines) == len(REFUSED[setting]), said
        for line, beginning in zip(lines, REFUSED[setting], strict=True):
            assert line.startswith(f"mailrouter: {beginning}"), setting
        assert SECRET not in said, setting
        assert "Traceback" not in said, setting


async def test_an_address_that_is_taken(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, said = await _run(directory, MAILROUTER_HTTP=address)

    assert status == 2
    last = said.splitlines()[-1]
    assert last.startswith(
        f"mailrouter: MAILROUTER_HTTP: {address} cannot be listened on: Address already in use; give"
    )
    assert "Traceback" not in said


async def test_help_names_every_environment_twin(directory: Path) -> None:
    status, said = await _run(directory, "--help")

    assert status == 0
    for name in (*Settings.model_fields, "roles"):
        assert f"--{name.replace('_', '-')} " in said
        assert f"env var: MAILROUTER_{name.upper()}" in " ".join(said.split())


async def _run(directory: Path, *flags: str, **environment: str) -> tuple[int, str]:
    """Exit status of the worker, and what it said; it must end by itself."""
    would_do = {
        "MAILROUTER_AMQP_URL": "amqp://127.0.0.1:1/",
        "MAILROUTER_PROFILES": "good.toml",
        "MAILROUTER_HTTP": "off",
        "FLEET_PASSWORD": SECRET,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAILROUTER_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "run", *flags),
        cwd=directory,
        env={**inherited, "PYTHONPATH": str(Path.cwd()), **would_do, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 20)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, said.decode()
