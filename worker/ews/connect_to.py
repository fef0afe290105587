"""Connections to other places than the name service tells, as curl's --connect-to has it. TLS and the Host header keep
the names; only where the connection goes is changed.
"""

import socket
from collections.abc import Mapping

from aiohttp import DefaultResolver
from aiohttp.abc import AbstractResolver, ResolveResult

Place = tuple[str, int]
"""A host in lower case, or an address, and a port."""


class ConnectTo(AbstractResolver):
    """The name service, but for the places named here. Create it within the event loop."""

    def __init__(self, places: Mapping[Place, Place]) -> None:
        self._places = places
        self._names = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        there = self._places.get((host.casefold().rstrip("."), port))
        found = await self._names.resolve(*(there or (host, port)), family)
        return [{**each, "hostname": host} for each in found]

    async def close(self) -> None:
        await self._names.close()
