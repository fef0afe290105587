"""A profiles file that changes while a worker runs; what is published; and what is not fit to work by."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.outbound.fakes import StubClock
from tests.unit.profiles.test_document import ACCOUNT, OWN, PACED
from worker.profiles import document
from worker.profiles.book import Book
from worker.profiles.document import Document
from worker.profiles.edition import revision_of
from worker.profiles.file import ProfilesFile
from worker.profiles.in_force import InForce
from worker.profiles.published import PublishedProfiles
from worker.settings import ConfigurationError


class Ticking(StubClock):
    """Sleeps until it is told that time has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.passed.wait()
        self.passed.clear()
        self.seconds += seconds


class Scene:
    def __init__(self, directory: Path) -> None:
        self.path = directory / "profiles.toml"
        self.path.write_text(OWN)
        self.clock = Ticking()
        self.in_force = InForce()
        self.file = ProfilesFile(self.path, self.in_force, self.clock, timedelta(days=7))
        self.file.load()
        self.hang_up = asyncio.Event()
        self.changed: asyncio.Queue[Book] = asyncio.Queue()
        self.in_force.follow(self.changed.put_nowait)

    def write(self, text: str) -> None:
        """As an editor or a mounted volume does: another file in its place."""
        other = self.path.with_suffix(".new")
        other.write_text(text)
        other.replace(self.path)

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        following = asyncio.create_task(self.file.follow(self.hang_up))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def test_a_change_is_noticed(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with scene.followed():
        scene.write(PACED)
        scene.clock.passed.set()
        assert (await scene.changed.get()).revision == revision_of(PACED)


async def test_asked_to_it_reads_at_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with scene.followed():
        scene.write(ACCOUNT)
        scene.hang_up.set()
        book = await scene.changed.get()
    assert [each.revision for each in book.earlier] == [revision_of(OWN)]


async def test_what_is_wrong_changes_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with scene.followed():
        scene.write(OWN.replace("exchange", "exchanje"))
        scene.hang_up.set()
        while not scene.in_force.fault:  # noqa: ASYNC110 - a thread reads the file, and nobody tells
            await asyncio.sleep(0)
        assert scene.in_force.book.revision == revision_of(OWN)
        assert "server" in scene.in_force.fault
        scene.write(PACED)
        scene.hang_up.set()
        assert (await scene.changed.get()).revision == revision_of(PACED)
        assert scene.in_force.fault == ""


async def test_a_change_while_nobody_followed_is_noticed(tmp_path: Path) -> None:
    """The broker was lost meanwhile, say."""
    scene = Scene(tmp_path)
    scene.write(PACED)
    async with scene.followed():
        scene.clock.passed.set()
        assert (await scene.changed.get()).revision == revision_of(PACED)


def test_a_file_that_is_not_there_cannot_be_started_with(tmp_path: Path) -> None:
    missing = ProfilesFile(tmp_path / "none.toml", InForce(), StubClock(), timedelta(days=7))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        missing.load()


async def test_what_is_published_is_in_force_as_far_as_this_machine_can_work_by_it() -> None:
    in_force, clock = InForce(), StubClock()
    published = PublishedProfiles(in_force)
    await published.take(None)
    assert not in_force.loaded
    os.environ.pop("ONLY_ON_THE_WORKERS", None)
    elsewhere = OWN.replace("env:PATH", "env:ONLY_ON_THE_WORKERS")
    await published.take(document.write(Document(elsewhere, clock.now(), "tests")))
    assert not in_force.loaded
    assert "ONLY_ON_THE_WORKERS" in in_force.fault
    await published.take(document.write(Document(OWN, clock.now(), "tests")))
    await asyncio.wait_for(in_force.wait(), 1)
    assert (in_force.book.revision, in_force.fault) == (revision_of(OWN), "")
    await published.take(b"nonsense")
    assert in_force.book.revision == revision_of(OWN)
    assert "publish them again" in in_force.fault
