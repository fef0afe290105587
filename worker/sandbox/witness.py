"""What the sandbox saw, over HTTP, for other processes on this machine; and orders to it."""

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

import orjson
from aiohttp import web

from worker.sandbox.departures import SentMail
from worker.sandbox.directory import RIGHTS
from worker.sandbox.exchange import Exchange
from worker.sandbox.faults import Order
from worker.sandbox.options import Dwell

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def stamps(sent: list[SentMail]) -> dict[str, int]:
    """How many mails left under each stamp; unstamped ones count under ""."""
    return dict(Counter(each.stamp for each in sent))


def statistics(exchange: Exchange) -> dict[str, Any]:
    counts = stamps(exchange.departures.sent)
    return {
        "mails": len(exchange.departures.sent),
        "stamps": len(counts) - ("" in counts),
        "unstamped": counts.get("", 0),
        "doubled": {stamp: number for stamp, number in counts.items() if stamp and number > 1},
        "in_transit": exchange.departures.in_transit,
        "mailboxes": len(exchange.store.mailboxes),
        "drafts": sum(len(each.folders["drafts"].items) for each in exchange.store.mailboxes.values()),
        "requests": dict(exchange.requests),
        "faults": dict(exchange.faults.struck),
    }


class Witness:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sandbox/mails", _local(self._mails)),
            web.get("/sandbox/stats", _local(self._stats)),
            web.post("/sandbox/faults", _local(self._order)),
            web.delete("/sandbox/faults", _local(self._clear)),
            web.post("/sandbox/options", _local(self._options)),
            web.post("/sandbox/rights", _local(self._rights)),
            web.post("/sandbox/release", _local(self._release)),
        ]

    async def _mails(self, request: web.Request) -> web.Response:
        """One JSON object a line; `since=N` leaves out the first N, `limit=N` gives so many at most."""
        since, limit = int(request.query.get("since", "0")), int(request.query.get("limit", "1000000"))
        chosen = self._exchange.departures.sent[since : since + limit]
        body = b"".join(orjson.dumps(each, option=orjson.OPT_UTC_Z) + b"\n" for each in chosen)
        return web.Response(body=body, content_type="application/x-ndjson")

    async def _stats(self, _request: web.Request) -> web.Response:
        return _json(statistics(self._exchange))

    async def _order(self, request: web.Request) -> web.Response:
        """`{"kind": "busy", "operation": "", "mailbox": "", "domain": "", "times": 3}`, or
        `{"seed": 1, "rates": {"lost": {"*": 0.05}}}`.
        """
        faults, asked = self._exchange.faults, await request.json()
        if "rates" in asked:
            faults.reseed(int(asked.get("seed", 0)), asked["rates"])
        else:
            faults.orders.append(Order(**asked))
        return _json({"orders": len(faults.orders), "rates": faults.rates})

    async def _clear(self, _request: web.Request) -> web.Response:
        self._exchange.faults.orders.clear()
        self._exchange.faults.reseed(self._exchange.faults.seed, {})
        return _json({"orders": 0, "rates": {}})

    async def _options(self, request: web.Request) -> web.Response:
        """The fields of `Options` to change; `dwell` as an object of its own."""
        options = self._exchange.options
        for name, value in (await request.json()).items():
            if name not in {each.name for each in dataclasses.fields(options)}:
                raise ValueError(f"no such option: {name}")
            setattr(options, name, Dwell(**value) if name == "dwell" else value)
        return _json(dataclasses.asdict(options))

    async def _rights(self, request: web.Request) -> web.Response:
        """`{"user": "a@contoso.example", "send_as": ["*"]}`: replaces the rights that are named."""
        asked = await request.json()
        user = self._exchange.directory.find(asked.pop("user"))
        if user is None:
            raise ValueError("no such user")
        for right, mailboxes in asked.items():
            if right not in RIGHTS:
                raise ValueError(f"no such right: {right}")
            setattr(user, right, {each.casefold() for each in mailboxes})
        return _json({"user": user.address})

    async def _release(self, _request: web.Request) -> web.Response:
        return _json({"released": self._exchange.departures.release()})


def _local(handler: Handler) -> Handler:
    """Loopback only, and a wrong order is the asker's fault."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        if not ip_address((request.remote or "0.0.0.0").partition("%")[0]).is_loopback:  # noqa: S104 - compared only
            raise web.HTTPForbidden
        try:
            return await handler(request)
        except (ValueError, TypeError, KeyError) as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None

    return guarded


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
