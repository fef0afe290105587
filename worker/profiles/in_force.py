"""The profiles that are in force in this process, and whoever has to hear when others come into force."""

import asyncio
from collections.abc import Callable

import structlog

from worker.profiles.book import Book
from worker.settings import ConfigurationError

_log = structlog.get_logger("profiles")


class InForce:
    """`fault`: why what was to come into force last did not, "" if it did; the book before stays."""

    def __init__(self) -> None:
        self._book: Book | None = None
        self._loaded = asyncio.Event()
        self._followers: list[Callable[[Book], None]] = []
        self.fault = ""

    @property
    def loaded(self) -> bool:
        return self._book is not None

    @property
    def book(self) -> Book:
        """Only once something was loaded."""
        assert self._book is not None
        return self._book

    async def wait(self) -> None:
        """Until something is loaded."""
        await self._loaded.wait()

    def take(self, book: Book) -> None:
        """From now on this one."""
        self._book = book
        self._loaded.set()
        self.fault = ""
        for follower in self._followers:
            follower(book)

    def refuse(self, error: ConfigurationError) -> None:
        """What was to come next cannot be worked by: what is in force stays so."""
        self.fault = error.faults[0]
        for fault in error.faults:
            _log.error("profiles refused", fault=fault, in_force=self._book.revision if self._book else "none")

    def follow(self, follower: Callable[[Book], None]) -> None:
        """Call it with each book that comes into force from now on."""
        self._followers.append(follower)
