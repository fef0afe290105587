"""A host on loopback that gives files over https, under a CA of its own: what attachments by URL need."""

import hashlib
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from aiohttp import web

_PORTION_BYTES = 2**20


@dataclass
class FileHost:
    """`files` is the directory it gives files from; `requests` counts what was asked of it."""

    files: Path
    ca_file: Path
    port: int = 0
    requests: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a worker needs that is to fetch from here."""
        return {
            "MAILROUTER_ATTACHMENT_HOSTS": f"localhost:{self.port}",
            "MAILROUTER_ATTACHMENT_NETWORKS": "127.0.0.0/8,::1/128",
            "SSL_CERT_FILE": str(self.ca_file),
        }

    def url(self, name: str) -> str:
        return f"https://localhost:{self.port}/{name}"

    async def give(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        path = self.files / request.match_info["name"]
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)


@asynccontextmanager
async def file_host(directory: Path) -> AsyncIterator[FileHost]:
    """Use it before the workers are started. `directory` takes the files and the CA."""
    authority = trustme.CA()
    host = FileHost(directory, directory / "ca.pem")
    authority.cert_pem.write_to_path(str(host.ca_file))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    application = web.Application()
    application.router.add_get("/{name}", host.give)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    host.port = runner.addresses[0][1]
    try:
        yield host
    finally:
        await runner.cleanup()


def random_file(path: Path, size: int) -> dict[str, Any]:
    """A file that no compression makes small; its `size` and `sha256`, as events tell them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, _PORTION_BYTES):
            portion = os.urandom(min(_PORTION_BYTES, size - start))
            digest.update(portion)
            file.write(portion)
    return {"size": size, "sha256": digest.hexdigest()}
