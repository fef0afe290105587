"""Reading the pages: sections, tables, examples."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(f"docs/{each.name}" for each in sorted((ROOT / "docs").glob("*.md"))),
)

Row = list[str]


@cache
def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}$\n(.*?)(?=^#+ |\Z)", page(name), re.MULTILINE | re.DOTALL)
    assert found, f"{name}: no heading {heading!r}"
    return found[1]


def table(name: str, heading: str, number: int = 0) -> list[Row]:
    """The rows of a section's table, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", section(name, heading), re.MULTILINE)
    _head, _line, *rows = tables[number].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def spans(text: str) -> list[str]:
    """What is set in backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def blocks(name: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


def examples(name: str, kind: str) -> Iterator[tuple[str, str]]:
    """Blocks marked as examples of a kind, with a name for each."""
    for number, found in enumerate(
        re.findall(rf"^<!-- example: {kind} -->\n```\w*\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL), 1
    ):
        yield f"{name}, {kind} {number}", found


def example(name: str, kind: str) -> str:
    ((_, text),) = examples(name, kind)
    return text
