"""docker-compose.yml as data, with what .env may say left at its defaults."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(VARIABLE.sub(lambda match: match[2], TEXT))
    return found


def defaults() -> dict[str, str]:
    """The variables and their defaults. Fails where one has two."""
    found: dict[str, str] = {}
    for name, default in VARIABLE.findall(TEXT):
        assert found.setdefault(name, default) == default, name
    return found
