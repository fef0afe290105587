"""Every example on the pages is checked: JSON against the schemas, code against the file that a test runs."""

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson
import pytest

from tests.unit.docs import PAGES, ROOT, example, page, table
from tests.unit.events.sample import full, validator
from worker.events.schemas import event_schemas

CRM: Final = "docs/crm-developers.md"
RUN: Final = {
    (CRM, "publisher"): "tests/integration/test_docs_examples.py",
    (CRM, "consumer"): "tests/integration/test_docs_examples.py",
    ("docs/quick-start.md", "ten lines"): "tests/docs/test_quick_start.py",
}
"""Code in Python, and the test that runs it."""


def marked(language: str) -> Iterator[tuple[str, str, str]]:
    """Blocks in a language: page, what they are an example of ("" for nothing), text."""
    block = re.compile(rf"^(?:<!-- example: ([\w ]+) -->\n)?```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for name in PAGES:
        for kind, text in block.findall(page(name)):
            yield name, kind, text


@pytest.mark.parametrize(("name", "kind", "text"), list(marked("json")))
def test_json(name: str, kind: str, text: str) -> None:
    event: Any = orjson.loads(text)
    if kind == "attachment":
        whole = full()
        whole["data"]["attachments"] = [event]
        event = whole
    validator(event["type"]).validate(event)


def test_there_is_json() -> None:
    assert {kind for _, kind, _ in marked("json")} >= {"event", "received", "deferred", "attachment"}


def test_python_is_run() -> None:
    assert {(name, kind) for name, kind, _ in marked("python")} == set(RUN)
    for (_, kind), test in RUN.items():
        assert f'"{kind}"' in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "file"), [("node", "examples/node/crm.mjs"), ("csharp", "examples/csharp/Program.cs")]
)
def test_code_is_the_file(kind: str, file: str) -> None:
    assert example("docs/client-examples.md", kind) == (ROOT / file).read_text(encoding="utf-8")


def test_the_life_cycle_has_every_state() -> None:
    told = {row[0].strip("`*") for row in table(CRM, "Life cycle")}
    states = {each.split(".")[2] for each in event_schemas()} - {"send", "received"}
    assert told == states | {"published"}
