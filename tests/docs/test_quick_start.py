"""The newcomer's walk: the blocks of the quick start as they stand there, in their order."""

import ast
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.docs.terminals import Terminal, steps, terminal
from tests.unit.docs import ROOT, example

PAGE = "docs/quick-start.md"
DONE = "walked up to here"
SECONDS = 90


@pytest.mark.timeout(300)
async def test_the_walk(tmp_path: Path, amqp_url: str) -> None:
    assert not (ROOT / "demo.env").exists(), "a demo is running here, and would be disturbed"
    environment = {"MAILROUTER_AMQP_URL": amqp_url, "CRM_DATABASE": str(tmp_path / "crm.sqlite")}
    async with AsyncExitStack() as stack:
        terminals: dict[str, Terminal] = {}
        for step in steps(PAGE):
            if step.terminal not in terminals:
                terminals[step.terminal] = await stack.enter_async_context(terminal(environment))
            here = terminals[step.terminal]
            if step.kind == "text":
                await here.until(step.text.splitlines(), SECONDS)
                continue
            stays = "--keep" in step.text
            end = f"{DONE} {len(here.shown)}"
            await here.type(step.text if stays else f"{step.text}echo {end}\n")
            if not stays:
                await here.until([end], SECONDS)
    assert not (ROOT / "demo.env").exists()


def test_the_ten_lines() -> None:
    """They are those of the file, and ten."""
    source = (ROOT / "examples/ten_lines.py").read_text()
    shown = example(PAGE, "ten lines")
    assert source.endswith(shown)
    assert len([line for line in shown.splitlines() if line]) == 10
    rest = ast.parse(source.removesuffix(shown)).body
    assert all(isinstance(each, ast.Expr | ast.Import | ast.ImportFrom) for each in rest)
