"""SRV records, from a name server of real packets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.message
import dns.rcode
import dns.rrset
import pytest
from dns.asyncresolver import Resolver

from worker.ews.autodiscover.answers import Failure, Servers
from worker.ews.autodiscover.services import ask_services
from worker.ews.autodiscover.steps import Result

NAME = "_autodiscover._tcp.contoso.example"


class NameServer(asyncio.DatagramProtocol):
    def __init__(self, records: tuple[str, ...], code: dns.rcode.Rcode) -> None:
        self._records = records
        self._code = code
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        answer = dns.message.make_response(dns.message.from_wire(data))
        answer.set_rcode(self._code)
        if self._records:
            answer.answer.append(dns.rrset.from_text(NAME + ".", 60, "IN", "SRV", *self._records))
        self._transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def name_server(*records: str, code: dns.rcode.Rcode = dns.rcode.NOERROR) -> AsyncIterator[Resolver]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: NameServer(records, code), ("127.0.0.1", 0))
    resolver = Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    yield resolver
    transport.close()


async def test_the_servers_by_priority_and_weight() -> None:
    records = ("20 1 443 c.example.", "10 5 443 b.example.", "10 9 8443 a.example.", "30 1 443 d.example.")
    async with name_server(*records) as resolver:
        assert await ask_services(NAME, resolver) == Servers(("a.example:8443", "b.example", "c.example"))


@pytest.mark.parametrize(
    ("records", "code", "result"),
    [
        ((), dns.rcode.NXDOMAIN, Result.NOTHING),
        ((), dns.rcode.NOERROR, Result.NOTHING),
        (("0 0 0 .",), dns.rcode.NOERROR, Result.NOTHING),
        ((), dns.rcode.SERVFAIL, Result.UNREACHABLE),
    ],
)
async def test_no_servers(records: tuple[str, ...], code: dns.rcode.Rcode, result: Result) -> None:
    async with name_server(*records, code=code) as resolver:
        failure = await ask_services(NAME, resolver)

    assert isinstance(failure, Failure)
    assert failure.result is result
