"""What a log line about a bug shows: where it is, and nothing of what was worked on. In a process of its own, since
logging is set up for a whole process.
"""

import json
import subprocess
import sys

import pytest
from pydantic import BaseModel

from worker.events import fleet, models, news
from worker.profiles import model
from worker.settings import Settings

STUMBLES = """
import asyncio, gc, sys
import structlog
from worker import log

async def work():
    password, subject = "s3cret", ["your re" + "quest"]
    raise LookupError("stumbled")

async def main():
    try:
        await work()
    except LookupError:
        structlog.get_logger("test").exception("a bug stopped a test")
    forgotten = asyncio.create_task(work())
    await asyncio.wait([forgotten])
    del forgotten
    gc.collect()  # asyncio tells of it now

log.configure(sys.argv[1], "info")
asyncio.run(main())
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_local_variable_is_shown(form: str) -> None:
    ended = subprocess.run([sys.executable, "-c", STUMBLES, form], capture_output=True, text=True, check=True)

    assert ended.stderr.count("a bug stopped a test") == 1
    assert ended.stderr.count("Task exception was never retrieved") == 1
    assert ended.stderr.count("stumbled") >= 2
    assert "work" in ended.stderr
    assert "s3cret" not in ended.stderr
    assert "your request" not in ended.stderr
    if form == "json":
        lines = [json.loads(line) for line in ended.stderr.splitlines()]
        assert [line["exception"][0]["exc_type"] for line in lines] == ["LookupError"] * 2


def test_what_is_checked_is_not_repeated_where_it_does_not_fit() -> None:
    """An error that nobody expected is logged with its text."""
    checked: list[type[BaseModel]] = [
        each
        for module in (fleet, models, news, model)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, BaseModel) and each is not BaseModel
    ]
    assert len(checked) > 10
    checked.append(Settings)
    assert [each for each in checked if not each.model_config.get("hide_input_in_errors")] == []
