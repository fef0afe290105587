"""From what pydantic found to one field and one sentence; neither ever repeats what the event holds."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from pydantic import ValidationError

from worker.events import models

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}", re.ASCII)

_PATTERNS: Final = {
    models.IDENTIFIER: "must not hold control characters, line breaks or U+FFFD",
    models.LINE: "must not hold control characters or line breaks",
    models.UNBROKEN: "must not hold line breaks",
    models.ADDRESS: "is not a mail address, local@domain without blanks, line breaks or angle brackets",
    models.MESSAGE_ID: "is not a Message-ID, <...> without blanks or line breaks",
    models.MESSAGE_ID_OR_NONE: "is not a Message-ID, <...> without blanks or line breaks",
    models.CONTENT_ID: "must not hold blanks, control characters or angle brackets",
    models.CONTENT_TYPE: "is not a media type, type/subtype",
    models.JSON_TYPE: "must be application/json",
    models.SHA256: "must be 64 hexadecimal digits",
    models.HEADER_NAME: "is not X- with letters, digits and hyphens",
}

_Context = dict[str, Any]
_SENTENCES: Final[dict[str, Callable[[_Context], str]]] = {
    "missing": lambda _: "is missing",
    "string_type": lambda _: "must be text",
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda context: f"is longer than {context['max_length']} characters",
    "string_pattern_mismatch": lambda context: _PATTERNS[context["pattern"]],
    "bool_type": lambda _: "must be true or false",
    "int_type": lambda _: "must be a whole number",
    "greater_than_equal": lambda _: "must not be negative",
    "literal_error": lambda context: f"must be {context['expected']}",
    "list_type": lambda _: "must be an array",
    "dict_type": lambda _: "must be an object",
    "model_type": lambda _: "must be an object",
    "too_long": lambda context: f"has more than {context['max_length']} entries",
}


def first(error: ValidationError) -> tuple[str, str]:
    """The first fault's field, in the event's own names, and what is wrong with it."""
    faults = error.errors(include_url=False, include_input=False)
    fault = faults[0]
    sentence = _SENTENCES.get(fault["type"])
    message = sentence(fault.get("ctx", {})) if sentence else fault["msg"]
    if fault["loc"][-1] == "[key]":
        message = f"has a name that {message}"
    others = len(faults) - 1
    if others:
        message += f" (and {others} more {'fault' if others == 1 else 'faults'} in this event)"
    return _field(fault["loc"]), message


def _field(location: Sequence[str | int]) -> str:
    """`data.to[3].address`. A header's name is the event's own text: one that is no plain name is left out."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _NAME.fullmatch(step):
            path += f".{step}" if path else step
    return path
