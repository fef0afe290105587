"""What the sandbox saw, over HTTP, for other processes on this machine; and orders to it."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from aiohttp import web

from worker.sandbox.exchange import Exchange
from worker.sandbox.faults import Order
from worker.sandbox.guarded import guarded, in_json, in_lines
from worker.sandbox.options import WAYS, Autodiscover, Dwell, Options, Way
from worker.sandbox.sent_mail import SentMail


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
        "subscriptions": len(exchange.subscriptions),
        "connections": exchange.subscriptions.connections,
        "drafts": sum(len(each.folders["drafts"].items) for each in exchange.store.mailboxes.values()),
        "requests": dict(exchange.requests),
        "faults": dict(exchange.faults.struck),
    }


class Witness:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sandbox/mails", guarded(self._mails)),
            web.get("/sandbox/stats", guarded(self._stats)),
            web.post("/sandbox/faults", guarded(self._order)),
            web.delete("/sandbox/faults", guarded(self._clear)),
            web.post("/sandbox/options", guarded(self._options)),
            web.post("/sandbox/release", guarded(self._release)),
        ]

    async def _mails(self, request: web.Request) -> web.Response:
        """One JSON object a line; `since=N` leaves out the first N, `limit=N` gives so many at most."""
        since, limit = int(request.query.get("since", "0")), int(request.query.get("limit", "1000000"))
        chosen = self._exchange.departures.sent[since : since + limit]
        return in_lines(chosen)

    async def _stats(self, _request: web.Request) -> web.Response:
        return in_json(statistics(self._exchange))

    async def _order(self, request: web.Request) -> web.Response:
        """`{"kind": "busy", "operation": "", "mailbox": "", "domain": "", "times": 3}`, or
        `{"seed": 1, "rates": {"lost": {"*": 0.05}}}`.
        """
        faults, asked = self._exchange.faults, await request.json()
        if "rates" in asked:
            faults.reseed(int(asked.get("seed", 0)), asked["rates"])
        else:
            faults.orders.append(Order(**asked))
        return in_json({"orders": len(faults.orders), "rates": faults.rates})

    async def _clear(self, _request: web.Request) -> web.Response:
        self._exchange.faults.orders.clear()
        self._exchange.faults.reseed(self._exchange.faults.seed, {})
        return in_json({"orders": 0, "rates": {}})

    async def _options(self, request: web.Request) -> web.Response:
        """The fields of `Options` to change; `dwell` and `autodiscover` as objects of their own, each as a whole."""
        options = self._exchange.options
        _check(Options, asked := await request.json())
        for name, value in asked.items():
            if name not in {each.name for each in dataclasses.fields(options)}:
                raise ValueError(f"no such option: {name}")
            setattr(options, name, _READ.get(name, _as_it_is)(value))
        return in_json(dataclasses.asdict(options))

    async def _release(self, _request: web.Request) -> web.Response:
        return in_json({"released": self._exchange.departures.release()})


def _check(kind: type, values: dict[str, Any]) -> None:
    """Raises ValueError for a word that is none of an option's."""
    for name, hint in get_type_hints(kind).items():
        if name in values and get_origin(hint) is Literal and values[name] not in get_args(hint):
            raise ValueError(f"{name}: {values[name]}: must be one of {', '.join(map(str, get_args(hint)))}")


def _object(kind: type) -> Callable[[dict[str, Any]], object]:
    def read(values: dict[str, Any]) -> object:
        _check(kind, values)
        return kind(**values)

    return read


def _as_it_is(value: object) -> object:
    return value


def _ways(value: list[str]) -> tuple[Way, ...]:
    """Raises ValueError."""
    if unknown := set(value) - set(WAYS):
        raise ValueError(f"no such way to sign in: {min(unknown)}; there are {', '.join(WAYS)}")
    return tuple(each for each in WAYS if each in value)


_READ: Final[dict[str, Callable[[Any], object]]] = {
    "dwell": _object(Dwell),
    "autodiscover": _object(Autodiscover),
    "sign_in": _ways,
    "ews_allowed_app_ids": lambda value: None if value is None else tuple(value),
}
"""Options that are more than one value."""
