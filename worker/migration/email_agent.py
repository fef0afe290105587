"""What a `Microsoft.Crm.Tools.EmailAgent.xml` says, as far as it matters here.

The file holds `SystemConfiguration` (tunables, times in milliseconds) and one `ProviderConfiguration` for each mailbox
and direction: the provider's class tells protocol and direction, the rest whose mailbox it is and how it is reached
(Microsoft Dynamics CRM team, "Email router configuration XML file explained"). Nothing is taken from passwords: they
are encrypted for the machine they were written on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from lxml import etree

from worker.settings import ConfigurationError

MOST_BYTES: Final = 64 * 2**20
_PARSER: Final = etree.XMLParser(
    resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
)

Direction = Literal["incoming", "outgoing"]


@dataclass(frozen=True, slots=True)
class Provider:
    """One mailbox in one direction. `values` are its elements' texts by their lower-case names."""

    number: int
    direction: Direction
    protocol: str
    values: Mapping[str, str] = field(repr=False)

    def get(self, *names: str) -> str:
        """The first of these that is there and not empty."""
        return next((self.values[each] for each in names if self.values.get(each)), "")


@dataclass(frozen=True, slots=True)
class EmailAgent:
    system: Mapping[str, str]
    providers: tuple[Provider, ...]


def read(path: Path) -> EmailAgent:
    """Raises ConfigurationError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigurationError(f"{path}: is larger than {MOST_BYTES // 2**20} MiB")
        root = etree.fromstring(path.read_bytes(), _PARSER)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except etree.XMLSyntaxError as error:
        raise ConfigurationError(f"{path}: not XML: {error.msg}") from None
    providers = tuple(_provider(n, each) for n, each in enumerate(_named(root, "providerconfiguration"), 1))
    system = next((_values(each) for each in _named(root, "systemconfiguration")), {})
    if not providers and not system:
        raise ConfigurationError(
            f"{path}: holds neither SystemConfiguration nor ProviderConfiguration: it is no EmailAgent.xml"
        )
    return EmailAgent(system, providers)


def _named(root: etree._Element, name: str) -> Iterator[etree._Element]:
    return (each for each in root.iter("*") if _tag(each) == name)


def _tag(element: etree._Element) -> str:
    return etree.QName(element).localname.casefold()


def _values(element: etree._Element) -> dict[str, str]:
    """Of elements and attributes; nested ones under their own names, passwords not at all."""
    found = {str(name).casefold(): str(value).strip() for name, value in element.attrib.items()}
    leaves = (each for each in element.iterdescendants("*") if not len(each))
    found |= {_tag(each): (each.text or "").strip() for each in leaves}
    return {name: text for name, text in found.items() if "password" not in name}


def _provider(number: int, element: etree._Element) -> Provider:
    values = _values(element)
    told = " ".join((values.get("providerclass", ""), values.get("providerassembly", ""))).casefold()
    words = " ".join((told, values.get("direction", ""), values.get("protocol", ""))).casefold()
    outgoing = any(each in words for each in ("outbound", "outgoing", "send", "smtp"))
    return Provider(number, "outgoing" if outgoing else "incoming", _protocol(words), values)


def _protocol(words: str) -> str:
    for name, signs in _PROTOCOLS.items():
        if any(each in words for each in signs):
            return name
    return "unknown"


_PROTOCOLS: Final[Mapping[str, tuple[str, ...]]] = {
    "ews": ("exchangews", "exchangewebservice", "ews", "exchangeonline"),
    "pop3": ("pop3",),
    "smtp": ("smtp",),
    "webdav": ("exchange", "webdav", "dav"),
}
