"""The attachment store over obstore: a local directory, or a bucket of S3, Azure or GCS.

Files go through it in portions; at most two parts of `_PART_BYTES` are in memory for each file under way. A cloud's
credentials come from the environment variables that its own tools use, too (AWS_ACCESS_KEY_ID and so on).
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, from_url

from worker.mail.incoming import Sink
from worker.mail.store import Unstored
from worker.settings import ConfigurationError

_PART_BYTES: Final = 5 * 2**20
"""S3 takes no smaller parts, and nothing is gained by larger ones."""

BREAK_OFF_SECONDS: Final = 5.0
"""Whoever breaks off waits so long for the parts that are there already to be taken back. A store that takes longer may
keep them; a worker that stops, or has lost the broker, cannot wait.
"""

_PORTION_BYTES: Final = 256 * 2**10
_SCHEMES: Final = ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss")
_FAILURES: Final = (BaseError, OSError, ValueError)  # what obstore raises: its own, Python's, and for impossible keys


class Absent(Unstored):
    """There is no such object."""


def open_store(where: str) -> "Store":
    """The store of the setting: a directory, or the URL of a directory or a bucket. Nothing is made or asked yet.

    Raises ConfigurationError for what can never be one.
    """
    scheme, separator, rest = where.partition("://")
    if not separator or scheme == "file":
        directory = Path(unquote(rest) if separator else where).absolute()
        return Store(directory.as_uri(), lambda: LocalStore(directory, mkdir=True), directory)
    if scheme not in _SCHEMES or not rest:
        raise ConfigurationError(
            f"MAILROUTER_ATTACHMENT_STORE: {scheme}:// is no store. Meaning: a directory, or a URL that begins with "
            f"file:///, {', '.join(f'{each}://' for each in _SCHEMES)}"
        )
    if _holds_credentials(scheme, rest):
        raise ConfigurationError(
            f"MAILROUTER_ATTACHMENT_STORE: {scheme}:// with credentials or a query; it stands in each event's url. "
            "Remedy: name the bucket alone, and give the credentials in the environment (AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY; AZURE_STORAGE_ACCOUNT_KEY; GOOGLE_SERVICE_ACCOUNT)"
        )
    try:
        opened = from_url(
            where,
            client_options={
                "allow_http": _allows_http(scheme),
                "connect_timeout": timedelta(seconds=10),
                "read_timeout": timedelta(seconds=60),
                "timeout": timedelta(minutes=15),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
        )
    except _FAILURES as error:
        raise ConfigurationError(f"MAILROUTER_ATTACHMENT_STORE: {where} cannot be used: {_cause(error)}") from None
    return Store(where.rstrip("/"), lambda: opened)


def _holds_credentials(scheme: str, rest: str) -> bool:
    """A bucket has no port, so what follows a colon is half a secret; abfs names the container before an @."""
    place = rest.partition("/")[0]
    return ":" in place or "?" in rest or ("@" in place and scheme not in ("abfs", "abfss"))


def _allows_http(scheme: str) -> bool:
    """AWS_ALLOW_HTTP and its like, which obstore does not heed any more once it is given other options."""
    cloud = "AWS" if scheme.startswith("s3") else "GOOGLE" if scheme == "gs" else "AZURE"
    return os.environ.get(f"{cloud}_ALLOW_HTTP", "").lower() in ("1", "true")


class Store:
    """Implements `AttachmentStore`. `base` is the URL its objects' URLs begin with; `directory`: where it is local;
    `break_off_seconds`: how long it may take to give up what it has begun.
    """

    def __init__(
        self,
        base: str,
        opening: Callable[[], ObjectStore],
        directory: Path | None = None,
        *,
        break_off_seconds: float = BREAK_OFF_SECONDS,
    ) -> None:
        self._break_off_seconds = break_off_seconds
        self._base = base
        self._opening = opening
        self._directory = directory
        self._opened: ObjectStore | None = None

    def url(self, key: str) -> str:
        return f"{self._base}/{quote(key)}"

    def holds(self, url: str) -> bool:
        """Whether a URL is one of this store's, whether or not there is such an object."""
        return url.startswith(f"{self._base}/")

    @asynccontextmanager
    async def writing(self, key: str) -> AsyncIterator[Sink]:
        pipe = _Pipe()
        putting = asyncio.create_task(self._put(key, pipe.portions()))
        try:
            yield partial(pipe.give, putting)
            await pipe.end(putting)
            await asyncio.wait({putting})
        except BaseException:
            pipe.break_off(putting)
            putting.add_done_callback(_see)  # what is raised already counts
            try:
                await asyncio.wait({putting}, timeout=self._break_off_seconds)
            finally:
                putting.cancel()
            raise
        putting.result()

    async def _put(self, key: str, portions: AsyncIterator[bytes]) -> None:
        try:
            await obstore.put_async(
                self._open(), key, portions, use_multipart=True, chunk_size=_PART_BYTES, max_concurrency=1
            )
            if self._directory is not None:
                await asyncio.to_thread(_make_lasting, self._directory, key)
        except _FAILURES as error:
            raise self._unstored(error) from None

    async def read(self, url: str, sink: Sink) -> None:
        """What is under a URL of this store, into `sink`. Raises `Absent` or `Unstored`, and whatever `sink` raises."""
        key = unquote(url.removeprefix(f"{self._base}/"))
        try:
            found = await obstore.get_async(self._open(), key)
            portions = aiter(found.stream(min_chunk_size=_PORTION_BYTES))
        except (FileNotFoundError, ValueError):
            raise Absent(f"{self._base} has no such file") from None
        except _FAILURES as error:
            raise self._unstored(error, "gave no file") from None
        while True:
            try:
                portion = await anext(portions, None)
            except _FAILURES as error:
                raise self._unstored(error, "broke off") from None
            if portion is None:
                return
            await sink(bytes(portion))

    def _open(self) -> ObjectStore:
        if self._opened is None:
            self._opened = self._opening()
        return self._opened

    def _unstored(self, error: Exception, what: str = "did not take a file") -> Unstored:
        remedy = "see that there is room, and that MAILROUTER_ATTACHMENT_STORE names a place workers may write to"
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            remedy = "check the credentials in the workers' environment, and what they are allowed to do there"
        return Unstored(f"the attachment store {self._base} {what}: {_cause(error)}; remedy: {remedy}")


class _Pipe:
    """From who writes to who stores, one portion at a time. An empty one is the end, none at all breaks it off."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
        self._ended = False

    async def give(self, putting: asyncio.Task[None], portion: bytes) -> None:
        """Returns when the next one may come. Raises what the store raised, if it has given up."""
        if portion:
            await self._give(putting, portion)

    async def end(self, putting: asyncio.Task[None]) -> None:
        await self._give(putting, b"")
        self._ended = True

    async def _give(self, putting: asyncio.Task[None], portion: bytes) -> None:
        giving = asyncio.create_task(self._queue.put(portion))
        try:
            await asyncio.wait((giving, putting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            giving.cancel()
        if putting.done():
            putting.result()

    def break_off(self, putting: asyncio.Task[None]) -> None:
        """Nothing more comes, and what came is not to be kept."""
        if self._ended:
            putting.cancel()
            return
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def portions(self) -> AsyncIterator[bytes]:
        while portion := await self._queue.get():
            yield portion
        if portion is None:
            raise _BrokenOff


class _BrokenOff(Exception):  # noqa: N818 - what happened
    """Makes obstore give up what it has begun, remains included."""


def _see(ended: asyncio.Task[None]) -> None:
    if not ended.cancelled():
        ended.exception()


def _make_lasting(directory: Path, key: str) -> None:
    """Onto the disk, with the directories that lead to it: the mail it is from may be deleted any moment now."""
    path = directory / key
    for each in (path, *list(path.parents)[: len(Path(key).parts)]):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _cause(error: Exception) -> str:
    """Its first line, without the query of any URL: there may be a signature in it."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"\?\S+", "?...", first)[:300]
