"""Profiles from a file, read again when it changes and on SIGHUP."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from worker.clock import Clock
from worker.profiles.book import Book
from worker.profiles.document import Document
from worker.profiles.edition import edition_of
from worker.profiles.in_force import InForce
from worker.profiles.loader import read_text
from worker.service import either
from worker.settings import ConfigurationError

LOOK_SECONDS: Final = 2.0
"""How often it is looked whether the file has changed."""


_log = structlog.get_logger("profiles")


class ProfilesFile:
    """`keep`: how long requests live that may have been begun under profiles before."""

    def __init__(self, path: Path, in_force: InForce, clock: Clock, keep: timedelta) -> None:
        self._path = path
        self._in_force = in_force
        self._clock = clock
        self._keep = keep
        self._document: Document | None = None
        self._seen: tuple[int, ...] = ()

    def load(self) -> None:
        """What stands in it is in force. Raises ConfigurationError; then what was in force stays so."""
        self._seen = self._state()
        self._take(self._read())

    def _take(self, read: tuple[Document, Book] | None) -> None:
        if read is not None:
            self._document, book = read
            self._in_force.take(book)

    def _read(self) -> tuple[Document, Book] | None:
        """None if it says what it said before."""
        text = read_text(self._path)
        if self._document is not None and text == self._document.text:
            return None
        edition, now = edition_of(text, str(self._path)), self._clock.now()
        before = self._document
        document = before.followed_by(edition, now, "", self._keep) if before else Document(text, now, "")
        return document, document.book()

    async def follow(self, hang_up: asyncio.Event) -> None:
        """Load it whenever it has changed, and whenever `hang_up` is set; never ends."""
        while True:
            await either(hang_up.wait(), self._clock.sleep(LOOK_SECONDS))
            if hang_up.is_set() or self._state() != self._seen:
                hang_up.clear()
                self._seen = self._state()
                await self._reload()

    async def _reload(self) -> None:
        try:
            read = await asyncio.to_thread(self._read)
        except ConfigurationError as error:
            self._in_force.refuse(error)
            return
        self._in_force.fault = ""
        if read is None:
            _log.info("profiles unchanged", file=str(self._path), revision=self._in_force.book.revision)
        self._take(read)

    def _state(self) -> tuple[int, ...]:
        """What changes with the file, also where it is a link to another one now; nothing where it is gone."""
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns
