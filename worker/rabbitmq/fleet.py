"""Questions to all workers at once, and what the queues hold: what `mailrouter status` is made of.

A question goes to the fanout exchange, with the asker's own queue in `reply_to`; each worker answers into that. Neither
is kept anywhere: a question that nobody hears is asked again by whoever wants to know.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import structlog
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic
from pydantic import ValidationError

from worker.events.fleet import WorkerState, bounded
from worker.rabbitmq.lost import LOST, closing_told
from worker.rabbitmq.news import NEWS
from worker.rabbitmq.profiles import ANNOUNCEMENT
from worker.rabbitmq.session import OPEN_SECONDS, Session
from worker.rabbitmq.topology import FLEET, OUTBOUND, POLLS, QUEUES

WAIT_SECONDS: Final = 2.0
"""A worker that has not answered by then is stuck, or gone."""

QUESTION_SECONDS: Final = 5
"""A question not heard by then is not answered any more: nobody waits for it."""

MOST_WORKERS: Final = 1000

MOST_MESSAGES: Final = 5000
"""So many wait in a worker's own queue; older ones go. A worker that does not come to read them has other troubles."""

_STATUS: Final = "status"
_EVERYTHING: Final = "status-all"
_OWN: Final = f"{FLEET}."
_ROLE_QUEUES: Final[Mapping[str, str]] = {"outbound": OUTBOUND, "inbound": POLLS}
"""Each worker of a role consumes its queue once: so we know how many answers to wait for."""

_log = structlog.get_logger("fleet")


@dataclass(frozen=True, slots=True)
class QueueState:
    """`waiting`: messages that nobody has in hand."""

    name: str
    use: str
    waiting: int
    consumers: int


@dataclass(frozen=True, slots=True)
class FleetState:
    """`silent` is how many workers are connected that did not answer."""

    workers: tuple[WorkerState, ...]
    queues: tuple[QueueState, ...]
    silent: int


async def answer_questions(
    session: Session,
    state: Callable[[], WorkerState],
    announced: asyncio.Event,
    listening: asyncio.Event,
    hear: Callable[[bytes], None] = lambda _news: None,
) -> None:
    """Answer for this worker until the session is stopping; set `announced` when other profiles are announced, `hear`
    what the workers tell each other. `listening` is set when nothing is missed any more.
    """
    channel = await session.channel()
    underlay = await channel.get_underlay_channel()

    async def take(message: DeliveredMessage) -> None:
        told = message.header.properties
        if told.message_type == ANNOUNCEMENT:
            announced.set()
        elif told.message_type == NEWS:
            hear(message.body)
        else:
            await _answer(underlay, told, state)

    queue = await _own_queue(underlay)
    underlay.on_consumer_cancel_callbacks.add(lambda _: session.end(f"the broker has cancelled consuming {queue}"))
    with closing_told():
        await underlay.queue_bind(queue, FLEET)
        consumer = (await underlay.basic_consume(queue, take, no_ack=True, exclusive=True)).consumer_tag
    listening.set()
    await session.stopping.wait()
    with closing_told():
        if consumer is not None:  # what comes while the channel closes would be an error to aiormq
            await underlay.basic_cancel(consumer)
    await session.release(channel)


async def _answer(channel: AbstractChannel, asked: Basic.Properties, state: Callable[[], WorkerState]) -> None:
    """What is asked, where it is a question."""
    asker, everything = asked.reply_to or "", asked.message_type == _EVERYTHING
    # Only where askers wait: nobody is to make workers write into any other queue.
    if not asker.startswith(_OWN) or not (everything or asked.message_type == _STATUS):
        return
    try:
        body = bounded(state(), everything=everything).model_dump_json().encode()
    except Exception:  # noqa: BLE001 - a bug must cost its own answer, not the worker
        _log.exception("a bug stopped an answer")
        return
    try:
        with closing_told():
            # Not mandatory: whoever asked may be gone.
            properties = Basic.Properties(correlation_id=asked.correlation_id)
            await channel.basic_publish(body, routing_key=asker, properties=properties, timeout=WAIT_SECONDS)
    except LOST as error:
        _log.debug("an answer was not sent", cause=str(error))


class Asker:
    """Asks over one session, as often as wanted."""

    def __init__(self, channel: AbstractChannel, queue: str) -> None:
        self._channel = channel
        self._queue = queue
        self._answers: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MOST_WORKERS)

    @classmethod
    async def open(cls, session: Session) -> "Asker":
        """Raises one of `LOST`."""
        channel = await (await session.channel()).get_underlay_channel()
        asker = cls(channel, await _own_queue(channel))
        with closing_told():
            await channel.basic_consume(asker._queue, asker._answered, no_ack=True, exclusive=True)
        return asker

    async def ask(self, *, everything: bool = False) -> FleetState:
        """Returns when as many have answered as are connected, or after `WAIT_SECONDS`; while the broker takes no
        messages nobody does. Raises one of `LOST`.
        """
        queues = await self._queues()
        consumers = {each.name: each.consumers for each in queues}
        expected = {role: consumers[queue] for role, queue in _ROLE_QUEUES.items()}
        question = uuid4().hex
        properties = Basic.Properties(
            message_type=_EVERYTHING if everything else _STATUS,
            reply_to=self._queue,
            correlation_id=question,
            expiration=str(QUESTION_SECONDS * 1000),
        )
        with contextlib.suppress(TimeoutError), closing_told():
            await self._channel.basic_publish(b"", exchange=FLEET, properties=properties, timeout=WAIT_SECONDS)
        workers = await self._collect(question, expected)
        return FleetState(tuple(sorted(workers, key=lambda each: each.worker)), queues, _silent(workers, expected))

    async def _queues(self) -> tuple[QueueState, ...]:
        found = []
        for queue in QUEUES:
            with closing_told():
                declared = await self._channel.queue_declare(queue.name, passive=True, timeout=OPEN_SECONDS)
            found.append(QueueState(queue.name, queue.use, declared.message_count or 0, declared.consumer_count or 0))
        return tuple(found)

    async def _collect(self, question: str, expected: Mapping[str, int]) -> list[WorkerState]:
        workers: list[WorkerState] = []
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while (not workers or _silent(workers, expected)) and len(workers) < MOST_WORKERS:
                    answered, body = await self._answers.get()
                    if answered != question:
                        continue  # late, of one before
                    try:
                        workers.append(WorkerState.model_validate_json(body))
                    except ValidationError:
                        _log.warning("an answer that cannot be read")
        except TimeoutError:
            pass
        return workers

    async def _answered(self, answer: DeliveredMessage) -> None:
        if not self._answers.full():
            self._answers.put_nowait((answer.header.properties.correlation_id or "", answer.body))


async def _own_queue(channel: AbstractChannel) -> str:
    """A queue that goes with its consumer. Named by us: what the broker names itself our account may not declare."""
    name = _OWN + uuid4().hex
    with closing_told():
        await channel.queue_declare(name, exclusive=True, auto_delete=True, arguments={"x-max-length": MOST_MESSAGES})
    return name


def _silent(workers: Sequence[WorkerState], expected: Mapping[str, int]) -> int:
    """How many of a role are missing; of two roles the greater number, for most workers have both."""
    return max(0, *(count - sum(role in each.roles for each in workers) for role, count in expected.items()))
