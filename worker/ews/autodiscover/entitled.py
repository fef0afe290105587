"""Which hosts may be given credentials, when nobody but the name says so.

The address's own domain is its owner's, and so is whatever lies under it; some are known by name. Any other host must
have been named by one of these, over TLS. What plain HTTP or the DNS says, anybody on the way may have said.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

EXCHANGE_ONLINE: Final = frozenset(
    {
        "outlook.office365.com",
        "outlook.office.com",
        "autodiscover.outlook.com",
        "autodiscover-s.outlook.com",
        "outlook.office365.us",
        "autodiscover-s.office365.us",
        "outlook-dod.office365.us",
        "autodiscover-s-dod.office365.us",
        "partner.outlook.cn",
        "autodiscover-s.partner.outlook.cn",
    }
)
"""Microsoft's own, worldwide and in the national clouds (Microsoft 365 documentation, "URLs and IP address ranges")."""

_DOMAIN: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})+")
_HOST: Final = re.compile(r"[a-z0-9.-]+|[0-9a-f:.]+")
_LONGEST: Final = 240


@dataclass(frozen=True, slots=True)
class Entitled:
    """`hosts`: by name, in lower case; `online`: Microsoft's own besides, for an account that signs in to these."""

    hosts: frozenset[str] = frozenset()
    online: bool = False

    def covers(self, host: str, domain: str) -> bool:
        """Whether a host may be asked, with credentials, about an address of this domain."""
        host = host.rstrip(".")
        own = host == domain or host.endswith("." + domain)
        return own or host in self.hosts or (self.online and host in EXCHANGE_ONLINE)


def domain_of(address: str) -> str:
    """The domain of an address as it stands in the DNS, "" if it can be none: nothing but a name may get into a URL."""
    try:
        domain = address.rpartition("@")[2].casefold().encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    plausible = "@" in address and len(domain) <= _LONGEST and not domain.replace(".", "").isdecimal()
    return domain if plausible and _DOMAIN.fullmatch(domain) else ""


def secure_host(url: str) -> str:
    """The host of an https URL without user name and password, in lower case; "" for anything else, and for a host
    that two libraries might read differently.
    """
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return ""
    return host if parts.scheme == "https" and "@" not in parts.netloc and _HOST.fullmatch(host) else ""
