"""What Autodiscover is asked, in its three forms (Exchange reference, "SOAP Autodiscover" and "POX Autodiscover";
MS-OXDSCLI). JSON, called version 2, takes no credentials and tells one URL.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape

from worker.ews.autodiscover.steps import Method

_NAMESPACE: Final = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
_POX: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook"
_ACTION: Final = f"{_NAMESPACE}/Autodiscover/GetUserSettings"
_SOAP_BODY: Final = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:w="http://www.w3.org/2005/08/addressing" '
    f'xmlns:a="{_NAMESPACE}">'
    "<s:Header><a:RequestedServerVersion>Exchange2013</a:RequestedServerVersion>"
    f"<w:Action>{_ACTION}</w:Action><w:To>{{url}}</w:To></s:Header>"
    "<s:Body><a:GetUserSettingsRequestMessage><a:Request>"
    "<a:Users><a:User><a:Mailbox>{address}</a:Mailbox></a:User></a:Users>"
    "<a:RequestedSettings><a:Setting>ExternalEwsUrl</a:Setting><a:Setting>InternalEwsUrl</a:Setting>"
    "</a:RequestedSettings></a:Request></a:GetUserSettingsRequestMessage></s:Body></s:Envelope>"
)
_POX_BODY: Final = (
    '<?xml version="1.0" encoding="utf-8"?>'
    f'<Autodiscover xmlns="{_POX}/requestschema/2006"><Request><EMailAddress>{{address}}</EMailAddress>'
    f"<AcceptableResponseSchema>{_POX}/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>"
)
_HEADERS: Final[Mapping[Method, Mapping[str, str]]] = {
    "soap": {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{_ACTION}"'},
    "pox": {"Content-Type": "text/xml; charset=utf-8"},
}


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask. With the method http, whether the server there sends us elsewhere; with srv, `url` is the name
    whose records are asked for.
    """

    method: Method
    url: str
    address: str

    @property
    def place(self) -> str:
        """Scheme, host and port, "" with srv."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}" if self.method != "srv" else ""

    @property
    def signs_in(self) -> bool:
        """Whether the server may have credentials, if it asks for them."""
        return self.method in ("soap", "pox")

    @property
    def headers(self) -> Mapping[str, str]:
        return _HEADERS.get(self.method, {"Accept": "application/json"})

    @property
    def body(self) -> bytes:
        """What is posted, b"" if it is not posted."""
        form = {"soap": _SOAP_BODY, "pox": _POX_BODY}.get(self.method, "")
        return form.format(url=escape(self.url), address=escape(self.address)).encode()


def at(host: str, address: str, methods: tuple[Method, ...] = ("json", "soap", "pox")) -> Iterator[Question]:
    """The questions to the Autodiscover of a host, or host and port."""
    paths = {
        "json": f"autodiscover.json?Email={quote(address, safe='')}&Protocol=EWS",
        "soap": "autodiscover.svc",
        "pox": "autodiscover.xml",
    }
    return (Question(method, f"https://{host}/autodiscover/{paths[method]}", address) for method in methods)


def plan(address: str, domain: str, online: str) -> Iterator[Question]:
    """Everything worth asking about an address, the safest first: without credentials; with them, at its own domain;
    last what plain HTTP and the DNS say. `online` is asked before all others, if it is not "".
    """
    if online:
        yield from at(online, address, ("json",))
    own = (domain, f"autodiscover.{domain}")
    for host in reversed(own):
        yield from at(host, address, ("json",))
    for host in own:
        yield from at(host, address, ("soap", "pox"))
    yield Question("http", f"http://autodiscover.{domain}/autodiscover/autodiscover.xml", address)
    yield Question("srv", f"_autodiscover._tcp.{domain}", address)
