"""Files that events name by URL, spooled for their mail: from the attachment store, or over https from allowed hosts.

Implements `LinkedFiles`. The spool is a file without a name in the directory of temporary files (TMPDIR): it is gone
when it is closed, and when the process dies.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import BinaryIO

from yarl import URL

from worker.attachments.addresses import Network
from worker.attachments.download import Source, missing, unavailable
from worker.attachments.store import Absent, Store
from worker.mail.message import Link, Spooled
from worker.mail.outcome import Deferred, Reason, Rejected, Scope
from worker.mail.store import Unstored
from worker.tls import client_context


class Fetcher:
    """`hosts` are HOST or HOST:PORT, `networks` such in which they may lie although not public. No file is larger than
    `max_bytes`, nor are all of one mail larger than `mail_bytes` together.
    """

    def __init__(
        self, store: Store, hosts: Iterable[str], networks: Sequence[Network], *, max_bytes: int, mail_bytes: int
    ) -> None:
        self._store = store
        self._source = Source(frozenset(map(_host_and_port, hosts)), networks, client_context())
        self._max_bytes = max_bytes
        self._mail_bytes = mail_bytes

    async def fetch(self, links: Sequence[Link]) -> tuple[Spooled, ...] | Deferred | Rejected:
        spool: _Spool | None = None
        kept = False
        try:
            spool = _Spool()
            for number, link in enumerate(links, 1):
                failed = await self._one(link, spool)
                if failed is not None:
                    return _about(number, len(links), failed)
            kept = True
            return tuple(spool.files)
        except (OSError, _NoRoomError) as error:
            return unavailable(f"the worker cannot write to its TMPDIR: {error}")
        finally:
            if spool is not None and not kept:
                spool.close()

    async def _one(self, link: Link, spool: "_Spool") -> Deferred | Rejected | None:
        most = min(self._max_bytes, self._mail_bytes - spool.size)
        if link.size is not None and link.size > most:
            return _too_large(most)
        try:
            spool.begin(most if link.size is None else link.size)
            failed = await self._from_its_place(link, spool)
        except _TooLong:
            return (
                _too_large(most)
                if link.size is None
                else _mismatch(f"is longer than the event says, {link.size} bytes")
            )
        return failed or spool.end(link)

    async def _from_its_place(self, link: Link, spool: "_Spool") -> Deferred | Rejected | None:
        if not self._store.holds(link.url):
            return await self._source.download(link, spool.take)
        try:
            await self._store.read(link.url, spool.take)
        except Absent:
            return missing("the attachment store")
        except Unstored as error:
            return unavailable(str(error))
        return None


class _TooLong(Exception):  # noqa: N818 - it ends a reading
    """The file goes on beyond what it may have."""


class _NoRoomError(Exception):
    """The disk does not take it. No OSError: that is what a network fails with."""


class _Spool:
    """The files of one mail, one after another in one file on disk."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it outlives this
        self._digest = hashlib.sha256()
        self._start = 0
        self._end = 0
        self.size = 0
        self.files: list[Spooled] = []

    def begin(self, most: int) -> None:
        self._start = self.size
        self._end = self.size + most
        self._digest = hashlib.sha256()

    async def take(self, portion: bytes) -> None:
        self.size += len(portion)
        if self.size > self._end:
            raise _TooLong
        await asyncio.to_thread(self._write, portion)

    def _write(self, portion: bytes) -> None:
        self._digest.update(portion)
        left = memoryview(portion)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise _NoRoomError(error.strerror) from error

    def end(self, link: Link) -> Rejected | None:
        """The file is there; whether it is the one the event means."""
        size = self.size - self._start
        if link.size is not None and size != link.size:
            return _mismatch(f"is {size} bytes long, not {link.size} as the event says")
        if link.sha256 and self._digest.hexdigest() != link.sha256.lower():
            return _mismatch("does not have the sha256 of the event")
        self.files.append(Spooled(self._file, self._start, size))
        return None

    def close(self) -> None:
        self._file.close()


def _host_and_port(text: str) -> tuple[str, int]:
    url = URL(f"https://{text}")
    return url.raw_host or "", url.port or 0


def _about(number: int, count: int, failed: Deferred | Rejected) -> Deferred | Rejected:
    """Where there are several, which of them it is about."""
    if count == 1:
        return failed
    reason = failed.reason
    return replace(failed, reason=replace(reason, message=f"attachment by url no. {number}: {reason.message}"))


def _too_large(most: int) -> Rejected:
    return Rejected(
        Reason(
            "attachment-too-large",
            Scope.MESSAGE,
            f"it is larger than what is left for it in this mail, {most} bytes",
            "send a link to it; MAILROUTER_MAX_ATTACHMENT_BYTES bounds each file, and a mail holds about 48 MB of them",
        )
    )


def _mismatch(what: str) -> Rejected:
    return Rejected(
        Reason(
            "attachment-mismatch",
            Scope.MESSAGE,
            f"the file {what}",
            "publish a new event with the size and sha256 of the file as it is, and do not change files in place",
        )
    )
