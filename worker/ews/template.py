"""Requests as zeep builds them, kept with places in them for what differs from mail to mail.

zeep is the authority on structure: it knows the schema (`schemas/ews`), so element names, order and namespaces come
from it. It is asked once per kind of request, with a place `[[name]]` for each value; filling a place in takes
microseconds where building the whole takes hundreds of them. An element is in the mail or not, and schema order
survives leaving elements out, so one message with everything in it serves for every mail.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import zeep
from lxml import etree

from worker.events.schemas import schemas_path
from worker.ews.upload import Upload

SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES: Final = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES: Final = "http://schemas.microsoft.com/exchange/services/2006/types"
NAMESPACES: Final = {"s": SOAP, "m": MESSAGES, "t": TYPES}

SERVER_VERSION: Final = "Exchange2013"
"""The oldest version whose CreateItem takes body and attachments together, and so what we ask every server to speak."""

Filled = list[bytes | Upload]
"""XML ready to go, in pieces: a large attachment is a piece of its own, never copied or not even in memory."""
Values = Mapping[str, bytes | Filled]

_PLACE = re.compile(rb"\[\[(\w+)\]\]")
_DECLARATION = re.compile(rb' xmlns:\w[\w-]*="[^"]*"')


def place(name: str) -> str:
    """What to hand to zeep where a value will stand."""
    return f"[[{name}]]"


class Template:
    """XML with places in it."""

    def __init__(self, xml: bytes) -> None:
        first, *rest = _PLACE.split(xml)
        self._first = first
        self._rest = [(name.decode(), literal) for name, literal in zip(rest[::2], rest[1::2], strict=True)]
        self._names = {name for name, _ in self._rest}

    def fill(self, values: Values) -> Filled:
        """The XML with each place taken by its value, which is escaped already."""
        assert values.keys() == self._names
        filled = [self._first]
        for name, literal in self._rest:
            value = values[name]
            if isinstance(value, bytes):
                filled.append(value)
            else:
                filled += value
            filled.append(literal)
        return filled


class Shape:
    """An element whose children are each there or not: a template for every child, in schema order."""

    def __init__(self, element: etree._Element) -> None:
        self.children = {local_name(child): Template(fragment(child)) for child in element}
        hollow(element, "children")
        self._whole = Template(fragment(element))

    def fill(self, children: Mapping[str, Values]) -> Filled:
        """The element with these children, whatever order they are named in."""
        assert children.keys() <= self.children.keys()
        filled: Filled = []
        for name, template in self.children.items():
            if name in children:
                filled += template.fill(children[name])
        return self._whole.fill({"children": filled})


@cache
def _binding() -> Any:  # noqa: ANN401 - zeep has no types
    load: Callable[[str], Any] = zeep.Client  # zeep has no types
    client = load(str(schemas_path() / "ews" / "services.wsdl"))
    client.set_ns_prefix("m", MESSAGES)
    client.set_ns_prefix("t", TYPES)
    (binding,) = client.wsdl.bindings.values()
    return binding


def build(operation: str, body: Mapping[str, Any], *, impersonate: bool, **more_headers: str) -> etree._Element:
    """The envelope of one request, by zeep. Impersonation has the place `mailbox` for its address."""
    headers: dict[str, Any] = {"RequestVersion": {"Version": SERVER_VERSION}, **more_headers}
    if impersonate:
        headers["Impersonation"] = {"ConnectingSID": {"PrimarySmtpAddress": place("mailbox")}}
    envelope = _binding().get(operation).input.serialize(**body, _soapheaders=headers).content
    assert isinstance(envelope, etree._Element)  # noqa: SLF001 - lxml gives its element type no other name
    return envelope


def find(element: etree._Element, path: str) -> etree._Element:
    """The one element at a path with the prefixes of this module; zeep left it out if it is not there."""
    found = element.find(path, NAMESPACES)
    assert found is not None, path
    return found


def hollow(element: etree._Element, name: str) -> None:
    """Put one place where the element's content was."""
    for child in list(element):
        element.remove(child)
    element.text = place(name)


def fragment(element: etree._Element) -> bytes:
    """The element's XML for use inside an envelope, which declares the prefixes."""
    return _DECLARATION.sub(b"", etree.tostring(element, with_tail=False))


def local_name(element: etree._Element) -> str:
    return etree.QName(element).localname


def folder(name: str) -> dict[str, Any]:
    """A well-known folder of the mailbox at the place `mailbox`, which is named always, own or not (EWS reference,
    DistinguishedFolderId): a draft and its sent copy must never come to lie in different mailboxes.
    """
    return {"DistinguishedFolderId": {"Id": name, "Mailbox": {"EmailAddress": place("mailbox")}}}
