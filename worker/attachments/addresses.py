"""Which addresses attachments may be fetched from: the public ones, and those that the operator names.

An event says where to fetch from, so whoever writes events could make the worker ask servers that only it can reach.
What counts is the address of the very connection: a name may resolve to anything, and to something else next time.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

_NOT_PUBLIC: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "100.64.0.0/10",  # shared by providers (RFC 6598)
            "192.0.0.0/24",
            "192.88.99.0/24",  # 6to4 relays
            "198.18.0.0/15",  # benchmarking
            "::/96",  # IPv4-compatible
            "64:ff9b::/96",  # NAT64: leads to any IPv4 address, private ones included
            "64:ff9b:1::/48",
            "2001::/23",  # Teredo among them
            "2002::/16",  # 6to4
            "fec0::/10",  # site-local, of old
        ),
    )
)
"""Besides what Python's ipaddress calls not global, which differs from release to release."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """An address of the internet that stands for itself: not one of a private network, of this machine, of many hosts,
    nor one that leads to an IPv4 address hidden in it.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in each for each in _NOT_PUBLIC if each.version == address.version)
    )


class NotAllowedError(OSError):
    """The address is none that may be connected to."""


class Guard:
    """Makes the sockets of a connector, for allowed addresses only. `refused` are those that were not."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self.refused: list[str] = []
        self.allowed = 0

    def allows(self, address: str) -> bool:
        """Whether an address, as a resolver gives it, may be connected to."""
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
        return is_public(parsed) or any((mapped or parsed) in each for each in self._networks)

    def socket(self, address: tuple[int, int, int, str, tuple[str | int, ...]]) -> socket.socket:
        """Aiohttp asks for one right before each attempt to connect, and connects it to that very address."""
        family, kind, protocol, _, (host, *_rest) = address
        if family not in (socket.AF_INET, socket.AF_INET6) or not self.allows(str(host)):
            self.refused.append(str(host))
            raise NotAllowedError(f"{host} is not to be connected to")
        self.allowed += 1
        return socket.socket(family, kind, protocol)
