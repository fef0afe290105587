"""Every example on the pages is checked: JSON against the schemas, code against the file that a test runs."""

import ast
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


def test_the_consumer_notes_in_any_order() -> None:
    """`note`, as it stands there, does what the page says of states."""
    wanted = ("def note(", "states:")
    parts = [ast.unparse(each) for each in ast.parse(example(CRM, "consumer")).body]
    noting: dict[str, Any] = {}
    exec("\n".join(each for each in parts if each.startswith(wanted)), noting)

    def told(state: str, second: int) -> str:
        data = {
            "email_id": "a",
            "occurred_at": f"2026-11-23T08:00:{second:02d}.000Z",
            "recipient": "x@customer.example",
        }
        noting["note"](state, data)
        found: str = noting["states"]["a"][0]
        return found

    assert told("deferred", 2) == "deferred"
    assert told("failed", 4) == "failed"
    assert told("deferred", 3) == "failed", "late news"
    assert told("bounced", 5) == "failed", "a bounce is of one recipient"
    assert told("accepted", 0) == "accepted", "overrides what was said later"
    assert told("failed", 9) == "accepted", "for good"


def test_the_life_cycle_has_every_state() -> None:
    told = {row[0].strip("`*") for row in table(CRM, "Life cycle")}
    states = {each.split(".")[2] for each in event_schemas()} - {"send", "received"}
    assert told == states | {"published"}
