"""SRV records: which servers a domain names for a service (RFC 2782)."""

from typing import Final

from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.rdtypes.IN.SRV import SRV
from dns.resolver import NXDOMAIN, NoAnswer

from worker.ews.autodiscover.answers import Failure, Servers
from worker.ews.autodiscover.steps import Result

SECONDS: Final = 5.0
_MOST_SERVERS: Final = 3
_HTTPS: Final = 443


async def ask_services(name: str, resolver: Resolver | None = None) -> Servers | Failure:
    """The servers of a name such as `_autodiscover._tcp.contoso.example`: those of the highest priority first, and of
    these the heaviest. By default this machine's name servers are asked.
    """
    try:
        answer = await (resolver or Resolver()).resolve(name, "SRV", lifetime=SECONDS, search=False)
    except (NXDOMAIN, NoAnswer):
        return Failure(Result.NOTHING, "there is no such record")
    except (DNSException, OSError) as error:
        return Failure(Result.UNREACHABLE, f"the name service does not tell: {' '.join(str(error).split())[:100]}")
    records = sorted((each for each in answer if isinstance(each, SRV)), key=lambda each: (each.priority, -each.weight))
    hosts = tuple(_host(each) for each in records if each.target.to_text() != ".")
    return (
        Servers(hosts[:_MOST_SERVERS]) if hosts else Failure(Result.NOTHING, "the domain has no Autodiscover, it says")
    )


def _host(record: SRV) -> str:
    host = record.target.to_text(omit_final_dot=True)
    return host if record.port == _HTTPS else f"{host}:{record.port}"
