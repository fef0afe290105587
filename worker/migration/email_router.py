"""Reading `Microsoft.Crm.Tools.EmailAgent.xml`, where the Email Router of Dynamics CRM 2011 keeps what was published.

    <Configuration>
      <SystemConfiguration>    tunables; <ProviderOverrides> more of them
      <ProviderConfiguration>  once for each mailbox that is read, and for each outgoing profile: server, account,
                               the CRM's <UserId> and <QueueId> it serves, <EmailAddress>

Microsoft never published a schema, and versions differ. So elements are known by any of several names, in any case and
depth; what is not known is counted and told. Nothing whose name speaks of a password or key is even looked at.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lxml import etree

from worker.settings import ConfigurationError

MOST_BYTES: Final = 32 * 2**20
"""Tens of thousands of mailboxes."""

_LONGEST: Final = 1000

TUNABLES: Final = (
    "MaxThreads",
    "MaxThreadExecution",
    "SchedulingPeriod",
    "ConfigRefreshPeriod",
    "ConfigUpdatePeriod",
    "LogLevel",
    "LogFile",
    "CacheCapacity",
    "PendingStatusDelay",
    "SendingStatusDelay",
    "MaximumDeliveryAttempts",
    "EWSRetrieveMessageCount",
    "BatchSize",
    "RequestBatchSize",
)

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "name": ("ProfileName", "ConfigurationName", "Name"),
    "direction": ("Direction", "Operation"),
    "class": ("ProviderClass",),
    "server": ("ServerType", "EmailServerType"),
    "protocol": ("Protocol", "EmailProtocol"),
    "location": ("EmailServer", "Location", "ServerLocation", "ServerUrl", "ExchangeServer", "EwsUrl"),
    "autodiscover": ("AutoDiscover", "UseAutoDiscover", "EnableAutoDiscover"),
    "authentication": ("EmailAuthMode", "AuthenticationType", "AuthenticationMode", "Authentication", "AuthMode"),
    "credentials": ("AccessCredentials", "CredentialType", "CredentialsType", "Credentials"),
    "username": ("EmailUser", "EmailUserName", "AccessUserName", "UserName"),
    "user_type": ("UserType",),
    "access": ("AccessType",),
    "port": ("EmailPort", "Port"),
    "tls": ("EmailUseSsl", "UseSsl"),
    "address": ("EmailAddress",),
    "kind": ("MailboxType", "EntityType"),
    "deployment": ("CrmServerUrl", "DeploymentUri", "Target"),
    "polling": ("PollingInterval", "PollingPeriod"),
    "all_mail": ("ProcessAllMessages",),
    "accept": ("IncomingEmailProcessing", "EmailFilteringMethod"),
    "delete": ("DeleteMessages", "DeleteEmails"),
    "enabled": ("Enabled",),
}
_KNOWN: Final = {each.casefold(): word for word, names in _NAMES.items() for each in names}
_OF_THE_SYSTEM: Final = {each.casefold(): each for each in TUNABLES}
_WITHOUT_MEANING: Final = frozenset(
    {"providerassembly", "connectiontimeout", "messageprocessingtimeout", "crmauthmode"}
)
_SECRET: Final = ("password", "key", "secret")


@dataclass(frozen=True, slots=True)
class Owner:
    """A user or queue of the CRM, by its id there."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Provider:
    """One ProviderConfiguration, the `number`th; `given` by the words of `_NAMES`."""

    number: int
    given: Mapping[str, str]
    owners: tuple[Owner, ...]


@dataclass(frozen=True, slots=True)
class EmailRouter:
    """`unknown`: names of elements nobody here knows, and how often each stands there."""

    tunables: Mapping[str, str]
    providers: tuple[Provider, ...]
    unknown: Mapping[str, int]


def read(path: Path) -> EmailRouter:
    """Raises ConfigurationError, in one line, for what is no such file."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise ConfigurationError(f"{path}: is larger than {MOST_BYTES // 2**20} MiB: that is no {_FILE}")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise ConfigurationError(f"{path}: line {error.lineno}: is not XML: {error.msg}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise ConfigurationError(f"{path}: declares a document type, which no {_FILE} does")
    if _name(root) != "configuration":
        raise ConfigurationError(
            f"{path}: is no {_FILE}: its root is <{etree.QName(root).localname}>, not <Configuration>"
        )
    return _router(root)


_FILE: Final = "Microsoft.Crm.Tools.EmailAgent.xml"


def _router(root: etree._Element) -> EmailRouter:
    unknown: Counter[str] = Counter()
    tunables: dict[str, str] = {}
    providers: list[Provider] = []
    for part in root:
        if _name(part) == "providerconfiguration":
            providers.append(_provider(part, len(providers) + 1, unknown))
        elif _name(part) == "systemconfiguration":
            for leaf in _leaves(part):
                known = _OF_THE_SYSTEM.get(_name(leaf))
                if known:
                    tunables[known] = _text(leaf)
                else:
                    unknown[etree.QName(leaf).localname] += 1
        else:
            unknown[etree.QName(part).localname] += 1
    return EmailRouter(tunables, tuple(providers), unknown)


def _provider(part: etree._Element, number: int, unknown: Counter[str]) -> Provider:
    given: dict[str, str] = {}
    owners: list[Owner] = []
    for leaf in _leaves(part):
        name, text = _name(leaf), _text(leaf)
        if any(word in name for word in _SECRET) or name in _WITHOUT_MEANING or name in _OF_THE_SYSTEM:
            continue
        if name in ("userid", "queueid"):
            owners.append(Owner(name.removesuffix("id"), text.casefold().strip("{}")))
        elif name in _KNOWN:
            given.setdefault(_KNOWN[name], text)
        else:
            unknown[etree.QName(leaf).localname] += 1
    if "location" in given:
        given["location"] = re.sub(r"//[^/]*@", "//", given["location"])  # a password might stand there
    return Provider(number, {word: text for word, text in given.items() if text}, tuple(owners))


def _leaves(part: etree._Element) -> Iterator[etree._Element]:
    """Elements without elements, at any depth."""
    return (each for each in part.iterdescendants("{*}*") if not len(each))


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname.casefold()


def _text(element: etree._Element) -> str:
    return " ".join((element.text or "").split())[:_LONGEST]
