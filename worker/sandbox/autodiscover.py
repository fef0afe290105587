"""Autodiscover: which EWS URL an address has, asked in JSON (without signing in), SOAP and POX."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web
from lxml import etree
from yarl import URL

from worker.sandbox import autodiscover_pox as pox
from worker.sandbox import autodiscover_soap as soap
from worker.sandbox.directory import User
from worker.sandbox.exchange import Exchange
from worker.sandbox.guarded import in_json
from worker.sandbox.reply import XML, Reply
from worker.sandbox.request import PARSER
from worker.sandbox.sign_in import SignIn

# IIS does not mind the case of a path.
_FOLDER: Final = "/{folder:(?i:autodiscover)}"
_PROTOCOLS: Final = {"ews": "Ews", "autodiscoverv1": "AutodiscoverV1"}


@dataclass(frozen=True, slots=True)
class Autodiscover:
    exchange: Exchange
    sign_in: SignIn

    def routes(self) -> list[web.RouteDef]:
        xml, svc, json = (f"{_FOLDER}/{{file:(?i:autodiscover\\.{kind})}}" for kind in ("xml", "svc", "json"))
        return [
            web.get(json, self._json),
            web.get(f"{json}/{{version:(?i:v1\\.0)}}/{{email}}", self._json),
            web.post(svc, self._soap),
            web.post(xml, self._pox),
            web.get(xml, self._plain),
            web.get(svc, self._plain),
        ]

    async def _json(self, request: web.Request) -> web.StreamResponse:
        options = self.exchange.options.autodiscover
        if not options.json:
            return web.Response(status=404)
        if options.redirect in ("http", "url"):
            return _moved(request, options.redirect_to)
        asked = {name.casefold(): value for name, value in request.query.items()}
        address, protocol = request.match_info.get("email") or asked.get("email", ""), asked.get("protocol", "")
        if not address or not protocol:
            missing = "Protocol" if address else "Email"
            text = f"A valid value must be provided for the query parameter '{missing}'"
            return _wrong(400, "MandatoryParameterMissing", text)
        name = _PROTOCOLS.get(protocol.casefold())
        if name is None:
            supported = ",".join(_PROTOCOLS.values())
            text = f"The given protocol value '{protocol}' is not supported. Supported values are '{supported}'"
            return _wrong(400, "ProtocolNotSupported", text)
        if self._mailbox(address) is None:
            return _wrong(404, "UserNotFound", "The given user is not found")
        xml = f"{_origin(request)}/autodiscover/autodiscover.xml"
        return in_json({"Protocol": name, "Url": self._url(request, address) if name == "Ews" else xml})

    async def _soap(self, request: web.Request) -> web.StreamResponse:
        if (
            turned_away := await self._turned_away(request, offered=self.exchange.options.autodiscover.soap)
        ) is not None:
            return turned_away
        try:
            asked = soap.read(etree.fromstring(await request.read(), PARSER))
        except (etree.XMLSyntaxError, ValueError):
            raise web.HTTPBadRequest from None
        answers = [self._soap_answer(request, address, asked.settings) for address in asked.addresses]
        return _in_xml(soap.answer(answers))

    def _soap_answer(self, request: web.Request, address: str, settings: frozenset[str]) -> str:
        options, mailbox = self.exchange.options.autodiscover, self._mailbox(address)
        if options.redirect == "url":
            return soap.redirected("RedirectUrl", _target(request, options.redirect_to))
        if self._has_other_address(address):
            return soap.redirected("RedirectAddress", options.redirect_to)
        if mailbox is None:
            return soap.unknown(address)
        url = self._url(request, address)
        known = {
            "UserDisplayName": mailbox.name,
            "AutoDiscoverSMTPAddress": mailbox.address,
            "InternalEwsUrl": url,
            "ExternalEwsUrl": url,
            "GroupingInformation": options.grouping,
            **soap.SERVER,
        }
        return soap.found({name: value for name, value in known.items() if name in settings})

    async def _pox(self, request: web.Request) -> web.StreamResponse:
        options = self.exchange.options.autodiscover
        if (turned_away := await self._turned_away(request, offered=options.pox)) is not None:
            return turned_away
        try:
            address = pox.read(etree.fromstring(await request.read(), PARSER))
        except (etree.XMLSyntaxError, ValueError):
            return _in_xml(pox.wrong(600, "Invalid Request", self.exchange.clock.now()))
        if options.redirect == "url":
            return _in_xml(pox.redirected("redirectUrl", "RedirectUrl", _target(request, options.redirect_to)))
        if self._has_other_address(address):
            return _in_xml(pox.redirected("redirectAddr", "RedirectAddr", options.redirect_to))
        mailbox = self._mailbox(address)
        if mailbox is None:
            return _in_xml(pox.wrong(500, "The email address can't be found.", self.exchange.clock.now()))
        return _in_xml(pox.found(mailbox.address, mailbox.name, self._url(request, address)))

    async def _plain(self, request: web.Request) -> web.StreamResponse:
        """A GET that is no question: over plain HTTP, where a domain says so, the way to the right server."""
        options = self.exchange.options.autodiscover
        if options.plain_redirect_to:
            return _moved(request, options.plain_redirect_to)
        offered = options.pox if request.path.casefold().endswith("xml") else options.soap
        if (turned_away := await self._turned_away(request, offered=offered)) is not None:
            return turned_away
        return _in_xml(pox.wrong(600, "Invalid Request", self.exchange.clock.now()))

    async def _turned_away(self, request: web.Request, *, offered: bool) -> web.Response | None:
        """What is answered to who does not get as far as asking."""
        options = self.exchange.options.autodiscover
        if not offered:
            return web.Response(status=404)
        if options.redirect == "http":
            return _moved(request, options.redirect_to)
        who = await self.sign_in.who(request)
        return _written(who) if isinstance(who, Reply) else None

    def _mailbox(self, address: str) -> User | None:
        if not self.exchange.options.autodiscover.knows_addresses:
            return None
        user = self.exchange.directory.find(address)
        return user if user is not None and user.has_mailbox and user.state != "gone" else None

    def _has_other_address(self, address: str) -> bool:
        options = self.exchange.options.autodiscover
        return options.redirect == "address" and address.casefold() != options.redirect_to.casefold()

    def _url(self, request: web.Request, address: str) -> str:
        options = self.exchange.options.autodiscover
        return options.ews_urls.get(address.casefold()) or options.ews_url or f"{_origin(request)}/EWS/Exchange.asmx"


def _origin(request: web.Request) -> str:
    """The sandbox's address as the client knows it."""
    return f"{request.scheme}://{request.host}"


def _target(request: web.Request, to: str) -> str:
    """Where a redirect leads: to the same path and query on another server, if no path is given."""
    url = URL(to)
    return to if url.path not in ("", "/") else str(url.join(URL(request.path_qs)))


def _moved(request: web.Request, to: str) -> web.Response:
    return web.Response(status=302, headers={"Location": _target(request, to)})


def _wrong(status: int, code: str, text: str) -> web.Response:
    answer = in_json({"ErrorCode": code, "ErrorMessage": text})
    answer.set_status(status)
    return answer


def _written(reply: Reply) -> web.Response:
    assert isinstance(reply.body, bytes)
    answer = web.Response(status=reply.status, body=reply.body, headers=reply.headers)
    answer.headers["Content-Type"] = reply.content_type
    return answer


def _in_xml(text: str) -> web.Response:
    return web.Response(body=text.encode(), headers={"Content-Type": XML})
