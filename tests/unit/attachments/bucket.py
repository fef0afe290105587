"""As much of S3 on loopback as the store uses: uploads in parts, objects, a refusal."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Bucket:
    """`objects` by path; `begun` are uploads neither completed nor aborted; `largest` is the size of a part. With
    `hanging` a part is not answered until the end; `asked` is set when one came.
    """

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    begun: dict[str, dict[int, bytes]] = field(default_factory=dict)
    largest: int = 0
    refusing: bool = False
    hanging: bool = False
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, request: web.Request) -> web.Response:  # noqa: PLR0911 - one per kind of request
        body = await request.read()
        if self.refusing:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        upload = request.query.get("uploadId", "")
        match request.method:
            case "POST" if "uploads" in request.query:
                name = f"upload-{next(_NUMBERS)}"
                self.begun[name] = {}
                return _xml("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>")
            case "PUT" if upload:
                self.asked.set()
                if self.hanging:
                    await self.ending.wait()
                self.largest = max(self.largest, len(body))
                self.begun[upload][int(request.query["partNumber"])] = body
                return web.Response(headers={"ETag": '"part"'})
            case "POST":
                parts = self.begun.pop(upload)
                self.objects[request.path] = b"".join(parts[number] for number in sorted(parts))
                return _xml("CompleteMultipartUploadResult", '<ETag>"whole"</ETag>')
            case "DELETE":
                del self.begun[upload]
                return web.Response(status=204)
            case "GET" if request.path in self.objects:
                headers = {"ETag": '"whole"', "Last-Modified": "Mon, 23 Nov 2026 08:00:00 GMT"}
                return web.Response(body=self.objects[request.path], headers=headers)
        return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")


def _xml(name: str, inner: str) -> web.Response:
    return web.Response(text=f"<{name}>{inner}</{name}>", content_type="application/xml")


_NUMBERS = itertools.count(1)


@asynccontextmanager
async def bucket_on_loopback() -> AsyncIterator[Bucket]:
    bucket = Bucket()
    application = web.Application(client_max_size=2**27)
    application.router.add_route("*", "/{path:.*}", bucket.serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bucket.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield bucket
    finally:
        bucket.ending.set()
        await runner.cleanup()
