"""What pydantic finds wrong with a key, in words for whoever wrote it; never with the value: it might be a password
typed in the wrong place.
"""

import difflib
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

_TEXTS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "bool_type": "must be true or false, without quotes",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number, without quotes",
    "float_parsing": "must be a number, without quotes",
    "string_type": "must be a text in quotes",
    "path_type": "must be a text in quotes",
    "string_too_short": "must not be empty",
    "string_too_long": "must not be longer than {max_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of these: {expected}",
}


def spoken(fault: Any, model: type[BaseModel]) -> tuple[str, str]:  # noqa: ANN401 - pydantic's ErrorDetails
    """(key, what is wrong with it)."""
    key = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        return _shown(key), _unknown(key, model)
    text = _TEXTS.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))
    return key, text.format(**fault.get("ctx", {})) if fault["type"] in _TEXTS else text


def _unknown(key: str, model: type[BaseModel]) -> str:
    near = difflib.get_close_matches(key, model.model_fields, 1)
    return f"unknown key; {near[0]} is meant?" if near else "unknown key"


def _shown(key: str) -> str:
    return key if key.isprintable() and len(key) <= 100 else "(a key)"  # noqa: PLR2004 - a line's worth
