"""One table of the profiles file: what holds in it, and each key that does not, in a sentence of ours."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError

Table = TypeVar("Table", bound=BaseModel)

_Context = Mapping[str, Any]

_SENTENCES: Final[dict[str, Callable[[_Context], str]]] = {
    "missing": lambda _: "is missing",
    "string_type": lambda _: "must be text in quotes",
    "path_type": lambda _: "must be the path of a file, in quotes",
    "string_too_long": lambda context: f"is longer than {context['max_length']} characters",
    "bool_type": lambda _: "must be true or false, without quotes",
    "int_type": lambda _: "must be a whole number, without quotes",
    "float_type": lambda _: "must be a number, without quotes",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:.10g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:.10g}",
    "literal_error": lambda context: "must be " + context["expected"].replace("'", '"'),
    "value_error": lambda context: str(context["error"]),
}
"""By pydantic's type of error. None repeats the value: it might be a password typed in the wrong place."""

_STAND_INS: Final = {
    "name": "?",
    "direction": "outgoing",
    "server": "exchange",
    "authentication": "clear-text",
    "address": "nobody@invalid.invalid",
}
"""For required keys that do not hold, so that the rest of the table can be looked at all the same."""

_OF_THE_SERVER: Final = frozenset({"authentication", "location"})
"""What the choice of a server may fill in."""

_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Fault:
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Entry(Generic[Table]):
    """`table` as far as it holds; what it says of `faulty` keys means nothing. `place` names it for people."""

    place: str
    table: Table
    faulty: frozenset[str]
    faults: tuple[Fault, ...]

    def knows(self, *keys: str) -> bool:
        return self.faulty.isdisjoint(keys)

    def told(self, faults: Iterable[Fault]) -> list[str]:
        """`[[profile]] 2 (Incoming): start: what is wrong`."""
        return [f"{self.place}: {fault.key}: {fault.text}" for fault in faults]


def entry(model: type[Table], given: dict[str, Any], kind: str, number: int, title: str) -> Entry[Table]:
    """The `number`th `[[kind]]` table, which the key `title` gives its name."""
    written = given.get(title)
    named = shown(written) if isinstance(written, str) and written.strip() else f"without {title}"
    place = f"[[{kind}]] {number} ({named})"
    try:
        return Entry(place, model.model_validate(given), frozenset(), ())
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    faults = tuple(Fault(shown(each["loc"][0]), _spoken(each, model)) for each in found)
    wrong = {str(each["loc"][0]) for each in found}
    holds = {key: value for key, value in given.items() if key not in wrong}
    needed = {key: value for key, value in _STAND_INS.items() if key in wrong & model.model_fields.keys()}
    unknown = (_OF_THE_SERVER - given.keys()) if "server" in wrong else set()
    return Entry(place, model.model_validate({**needed, **holds}), frozenset(wrong | unknown), faults)


def known(table: Table, number: int) -> Entry[Table]:
    """The `number`th, of a directory that was found to hold."""
    title = next(iter(type(table).model_fields))
    place = f"[[{type(table).__name__.lower()}]] {number} ({shown(getattr(table, title))})"
    return Entry(place, table, frozenset(), ())


def _spoken(fault: Any, model: type[BaseModel]) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    if fault["type"] == "extra_forbidden":
        return "unknown key" + suggestion(str(fault["loc"][0]), model.model_fields)
    if fault["type"] == "missing" and fault["loc"][0] in ("direction", "server"):
        words = get_args(model.model_fields[fault["loc"][0]].annotation)
        return "is missing: " + " or ".join(f'"{word}"' for word in words)
    sentence = _SENTENCES.get(fault["type"])
    return sentence(fault.get("ctx", {})) if sentence else "is not of the right form"


def suggestion(written: str, known: Iterable[str]) -> str:
    """What was probably meant; "" where nothing is near."""
    near = difflib.get_close_matches(written.casefold().replace("-", "_"), known, n=1, cutoff=0.6)
    near = near or difflib.get_close_matches(written, known, n=1, cutoff=0.6)
    return f'; do you mean "{shown(near[0])}"?' if near else ""


def shown(value: object) -> str:
    """A key or a name on one line, of bounded length."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", str(value))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
