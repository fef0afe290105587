"""Requests about a list of things that have ids: an envelope, and one element for each of them."""

from collections.abc import Iterable

from lxml import etree

from worker.ews.template import Filled, Template, Values, find, fragment, hollow, place
from worker.ews.text import escaped

ITEM_BY_ID = {"Id": place("id")}
"""An item, in whatever state it is by now."""


def acting(mailbox: str, *, impersonate: bool) -> dict[str, bytes | Filled]:
    """The values of a request that names its mailbox only to act as it."""
    return {"mailbox": escaped(mailbox)} if impersonate else {}


class ListedRequest:
    """`container` and `element` are paths, the second within the first; the element has the place `id`."""

    def __init__(self, envelope: etree._Element, container: str, element: str) -> None:
        holder = find(envelope, f".//{container}")
        self._one = Template(fragment(find(holder, element)))
        hollow(holder, "ids")
        self._whole = Template(etree.tostring(envelope))

    def fill(self, ids: Iterable[str], values: Values) -> Filled:
        """The request about these, in order, with the other values it has places for."""
        named = [piece for each in ids for piece in self._one.fill({"id": escaped(each)})]
        return self._whole.fill({**values, "ids": named})
