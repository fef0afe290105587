"""Requests with something else in the place of something, for hypothesis."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.unit.events.sample import full

Place = tuple[str | int, ...]


def places(value: object, way: Place = ()) -> Iterator[Place]:
    """The way to everything in an event, the event itself left out."""
    steps: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        steps = list(value.items())
    elif isinstance(value, list):
        steps = list(enumerate(value))
    for step, inner in steps:
        yield (*way, step)
        yield from places(inner, (*way, step))


@st.composite
def mutated(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    """A full request in which one to three things are gone, there twice, or replaced by a drawn value."""
    event = full()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(places(event))))
        target: Any = event
        for step in place[:-1]:
            target = target[step]
        what = draw(st.sampled_from(["replace", "replace", "replace", "remove", "repeat"]))
        if what == "remove":
            del target[place[-1]]
        elif what == "repeat" and isinstance(target, list):
            target.append(copy.deepcopy(target[place[-1]]))  # type: ignore[index]
        else:
            target[place[-1]] = copy.deepcopy(draw(values))
        if not event:
            break
    return event
