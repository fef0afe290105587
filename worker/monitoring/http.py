"""/metrics for Prometheus, /healthz (the event loop answers), /readyz (it can do its work)."""

import contextlib
import errno
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from worker.settings import ConfigurationError

_HIGHEST_PORT: Final = 65535

_log = structlog.get_logger("http")

Ready = Callable[[], Mapping[str, bool]]
"""What must be so for the worker to do its work, by name, and whether it is."""


@contextlib.asynccontextmanager
async def serve_http(
    address: str, registry: CollectorRegistry, ready: Ready, *, chosen: bool = True
) -> AsyncIterator[str]:
    """Serve at HOST:PORT while the context lasts; "off" serves nothing. Gives the URL, "" when off.

    Raises ConfigurationError when the address cannot be listened on. One that nobody has chosen another worker of this
    machine may have: then it is a free port.
    """
    if address == "off":
        yield ""
        return
    host, _, port = address.rpartition(":")
    if int(port) > _HIGHEST_PORT:  # uvloop would take another one
        raise ConfigurationError(f"MAILROUTER_HTTP: {address}: there is no port {port}; the highest is {_HIGHEST_PORT}")
    runner = web.AppRunner(_app(registry, ready), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            if chosen or error.errno != errno.EADDRINUSE:
                raise _refused(address, error) from None
            remedy = "give each worker of a machine a MAILROUTER_HTTP of its own"
            _log.warning("another process listens there, so a free port is taken", address=address, remedy=remedy)
            await web.TCPSite(runner, host.strip("[]"), 0).start()
        bound_host, bound_port = runner.addresses[0][:2]
        yield f"http://{bound_host}:{bound_port}"
    finally:
        await runner.cleanup()


def _refused(address: str, error: OSError) -> ConfigurationError:
    cause = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return ConfigurationError(
        f"MAILROUTER_HTTP: {address} cannot be listened on: {cause}; "
        "give another address, one per worker of a machine, or 'off'"
    )


def _app(registry: CollectorRegistry, ready: Ready) -> web.Application:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        state = ready()
        return web.json_response(dict(state), status=200 if all(state.values()) else 503)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    return app
