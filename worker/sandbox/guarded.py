"""How the witness answers over HTTP: for loopback only, in JSON, and a wrong order is the asker's fault."""

from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from typing import Any

import orjson
from aiohttp import web

from worker.sandbox.soap import Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guarded(handler: Handler) -> Handler:
    async def guard(request: web.Request) -> web.StreamResponse:
        if not ip_address((request.remote or "0.0.0.0").partition("%")[0]).is_loopback:  # noqa: S104 - compared only
            raise web.HTTPForbidden
        try:
            return await handler(request)
        except Refusal as refusal:
            raise web.HTTPNotFound(text=f"{refusal.code}: {refusal.text}\n") from None
        except (ValueError, TypeError, KeyError) as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None

    return guard


def in_json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(value, option=orjson.OPT_UTC_Z), content_type="application/json")


def in_lines(values: Iterable[Any]) -> web.Response:
    """One JSON object a line."""
    body = b"".join(orjson.dumps(each, option=orjson.OPT_UTC_Z) + b"\n" for each in values)
    return web.Response(body=body, content_type="application/x-ndjson")
