"""Profiles published by the command over a real broker, which keeps the last ones."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scripts.fleet_profiles import PROFILES
from tests.integration.rabbitmq.commands import Command
from tests.integration.rabbitmq.watching import SECONDS, Inbox, Queues
from worker.clock import SystemClock
from worker.events.fleet import WorkerState
from worker.profiles import document
from worker.profiles.edition import edition_of
from worker.rabbitmq import topology
from worker.rabbitmq.consumer import consume
from worker.rabbitmq.fleet import answer_questions
from worker.rabbitmq.profiles import in_hand, published
from worker.rabbitmq.session import Session
from worker.service import ended

MOVED = PROFILES.replace('"impersonation"', '"send-as"')


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Two, of which the second has mail sent from another mailbox."""
    paths = tmp_path / "before.toml", tmp_path / "after.toml"
    for path, text in zip(paths, (PROFILES, MOVED), strict=True):
        path.write_text(text.format(url="https://mail.contoso.example/EWS/Exchange.asmx"))
    return str(paths[0]), str(paths[1])


@contextlib.asynccontextmanager
async def worker(session: Session, before: str, after: str, *, answers: bool = True) -> AsyncIterator[None]:
    """One that sends by the revision `before`, and by `after` once others are announced; that answers, or does not."""
    announced, listening = asyncio.Event(), asyncio.Event()

    def state() -> WorkerState:
        revision = after if announced.is_set() else before
        return WorkerState(worker="sender", roles=("outbound",), published=True, revision=revision)

    tasks = [asyncio.create_task(consume(session, {topology.OUTBOUND: (1, Inbox().take)}))]
    if answers:
        tasks.append(asyncio.create_task(answer_questions(session, state, announced, listening)))
        async with asyncio.timeout(SECONDS):
            await listening.wait()
    try:
        yield
    finally:
        await ended(*tasks)


def revision(path: str) -> str:
    return edition_of(Path(path).read_text(), path, here=False).revision


async def kept(session: Session) -> document.Document:
    body = await published(session, SystemClock())
    assert body is not None
    return document.read(body)


async def test_a_worker_that_waits_for_profiles_is_no_sign_of_others(
    session: Session, mailrouter: Command, files: tuple[str, str]
) -> None:
    async with worker(session, "", revision(files[0])):
        run = await mailrouter("profiles", "publish", files[0])
    assert (run.status, run.err) == (0, "")
    assert (await kept(session)).earlier == ()


@pytest.mark.parametrize("answers", [True, False])
async def test_what_is_in_somebodys_hand_is_not_overlooked(
    session: Session, queues: Queues, mailrouter: Command, files: tuple[str, str], *, answers: bool
) -> None:
    """By what is refused mail would be sent from another mailbox at once, while workers work by the one before."""
    assert (await mailrouter("profiles", "publish", files[0])).status == 0
    async with worker(session, revision(files[0]), revision(files[1]), answers=answers):
        await queues.consumers(topology.OUTBOUND, 1)
        async with in_hand(session, SystemClock()):
            run = await mailrouter("profiles", "publish", files[1])
    assert (run.status, run.out) == (1, "")
    assert "in somebody's hand" in run.err
    assert ("works by revision" if answers else "does not answer") in run.err
    assert "Remedy: try again" in run.err
    assert (await kept(session)).edition(here=False).revision == revision(files[0])
