"""The examples of the pages, as they stand there, against a real broker."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scripts.fleet import Fleet
from tests.unit.docs import example

CRM = "docs/crm-developers.md"
LINE_SECONDS = 30


@asynccontextmanager
async def running(*command: str, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "MAILROUTER_AMQP_URL": url}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), LINE_SECONDS)).decode().strip()


async def ends_well(*command: str, url: str) -> None:
    async with running(*command, url=url) as process:
        assert await asyncio.wait_for(process.wait(), LINE_SECONDS) == 0


def written(directory: Path, name: str) -> str:
    file = directory / f"{name}.py"
    file.write_text(example(CRM, name), encoding="utf-8")
    return str(file)


async def test_publisher_and_consumer(tmp_path: Path, amqp_url: str) -> None:
    async with (
        Fleet(tmp_path, workers=1, broker_url=amqp_url),
        running(sys.executable, written(tmp_path, "consumer"), url=amqp_url) as consumer,
    ):
        await ends_well(sys.executable, written(tmp_path, "publisher"), url=amqp_url)
        assert await line_of(consumer) == "a3f09c1e accepted"
