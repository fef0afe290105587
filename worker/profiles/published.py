"""Profiles as the broker keeps them: what was published last is in force, as far as this machine can work by it."""

import asyncio

import structlog

from worker.profiles import document
from worker.profiles.in_force import InForce
from worker.settings import ConfigurationError

_log = structlog.get_logger("profiles")


class PublishedProfiles:
    def __init__(self, in_force: InForce) -> None:
        self._in_force = in_force
        self._taken: bytes | None = None
        self._missed = False

    async def take(self, body: bytes | None) -> None:
        """What is published now, None for nothing. What cannot be worked by is told once, and changes nothing."""
        if body is None:
            if not self._missed:
                _log.warning("no profiles are published yet", remedy="publish them: mailrouter profiles publish FILE")
            self._missed = True
            return
        if body == self._taken:
            return
        self._taken, self._missed = body, False
        try:
            told = document.read(body)
            book = await asyncio.to_thread(told.book)
        except ConfigurationError as error:
            self._in_force.refuse(error)
            return
        self._in_force.take(book)
        _log.info("profiles published", revision=book.revision, published_at=told.published_at.isoformat(), by=told.by)
