"""The fleet asked over a real broker: every worker answers, and only into an asker's own queue."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator

import aio_pika
import pytest

from scripts.eventually import eventually
from tests.integration.rabbitmq.commands import Command
from tests.integration.rabbitmq.watching import SECONDS, Inbox, Queues
from worker.events.fleet import MOST, InboundState, MailboxState, OutboundState, WorkerState
from worker.rabbitmq import topology
from worker.rabbitmq.address import BrokerAddress
from worker.rabbitmq.consumer import consume
from worker.rabbitmq.fleet import Asker, FleetState, answer_questions
from worker.rabbitmq.session import Session, connect
from worker.service import ended


@contextlib.asynccontextmanager
async def worker(url: str, state: WorkerState, *, answers: bool = True) -> AsyncIterator[Session]:
    """One of the roles it tells; with its queues consumed, and its questions answered or not."""
    queues = {"outbound": topology.OUTBOUND, "inbound": topology.POLLS}
    async with connect(BrokerAddress.parse(url), name=state.worker) as session:
        tasks = [asyncio.create_task(consume(session, {queues[role]: (1, Inbox().take) for role in state.roles}))]
        if answers:
            tasks.append(
                asyncio.create_task(answer_questions(session, lambda: state, asyncio.Event(), asyncio.Event()))
            )
        try:
            yield session
            session.stopping.set()
            async with asyncio.timeout(SECONDS):
                await asyncio.gather(*tasks)
        finally:
            await ended(*tasks)


async def ask(asker: Asker, count: int, *, everything: bool = False) -> FleetState:
    """Ask until so many answer: those that have just begun may not hear the first question."""
    async with asyncio.timeout(SECONDS):
        while True:
            state = await asker.ask(everything=everything)
            if len(state.workers) == count:
                return state


def outbound(name: str) -> WorkerState:
    return WorkerState(worker=name, roles=("outbound",), outbound=OutboundState(in_progress=3))


def inbound(name: str, *mailboxes: MailboxState, scheduler: bool = False) -> WorkerState:
    state = InboundState(scheduler=scheduler, trouble=mailboxes, all=mailboxes, mailboxes={"paused": len(mailboxes)})
    return WorkerState(worker=name, roles=("inbound",), inbound=state)


async def test_every_worker_answers(amqp_url: str, session: Session) -> None:
    paused = MailboxState(mailbox="anna@contoso.example", state="paused", code="ErrorAccessDenied")
    first, second = outbound("first"), inbound("second", paused, scheduler=True)
    async with worker(amqp_url, first), worker(amqp_url, second):
        asker = await Asker.open(session)
        state = await ask(asker, 2)
        assert state.silent == 0
        assert state.workers[0] == first
        told = state.workers[1].inbound
        assert told is not None
        assert (told.scheduler, told.trouble, told.all, told.mailboxes) == (True, (paused,), (), {"paused": 1})
        assert (await ask(asker, 2, everything=True)).workers[1] == second
    state = await asker.ask()
    assert (state.workers, state.silent) == ((), 0)


async def test_a_worker_that_does_not_answer_is_counted(amqp_url: str, session: Session) -> None:
    async with worker(amqp_url, outbound("well")), worker(amqp_url, outbound("stuck"), answers=False):
        asker = await Asker.open(session)
        async with asyncio.timeout(SECONDS):
            while not (state := await ask(asker, 1)).silent:  # both consume from some moment on
                pass
        assert [each.worker for each in state.workers] == ["well"]
        assert state.silent == 1


async def test_a_late_answer_to_an_earlier_question_is_no_answer(
    amqp_url: str, session: Session, queues: Queues
) -> None:
    asker = await Asker.open(session)
    late = aio_pika.Message(outbound("gone").model_dump_json().encode(), correlation_id="an earlier question")
    async with worker(amqp_url, outbound("here")):
        await queues.put(asker._queue, late)
        assert [each.worker for each in (await ask(asker, 1)).workers] == ["here"]


async def test_what_waits_in_the_queues_is_told(queues: Queues, session: Session) -> None:
    await queues.put(topology.DEAD, aio_pika.Message(b"1", delivery_mode=2))
    asker = await Asker.open(session)

    async def told() -> bool:
        waiting = {each.name: each.waiting for each in (await asker.ask()).queues}
        return waiting == {queue.name: int(queue.name == topology.DEAD) for queue in topology.QUEUES}

    await eventually(told, SECONDS)


async def test_an_answer_is_bounded(amqp_url: str, session: Session) -> None:
    fine = [MailboxState(mailbox=f"m-{number}@contoso.example") for number in range(3 * MOST)]
    paused = MailboxState(mailbox="last@contoso.example", state="paused", cause="x" * 100_000)
    async with worker(amqp_url, inbound("large", *fine, paused, scheduler=True)):
        told = (await ask(await Asker.open(session), 1, everything=True)).workers[0].inbound
    assert told is not None
    assert len(told.all) == len(told.trouble) == MOST
    assert told.all[0].mailbox == "last@contoso.example", "those in trouble come first"
    assert len(told.all[0].cause) < 1000


async def test_a_defect_costs_an_answer_and_nothing_else(amqp_url: str) -> None:
    def state() -> WorkerState:
        raise LookupError("a defect")

    async with (
        connect(BrokerAddress.parse(amqp_url), name="worker") as session,
        connect(BrokerAddress.parse(amqp_url), name="asker") as other,
    ):
        answering = asyncio.create_task(answer_questions(session, state, asyncio.Event(), asyncio.Event()))
        assert not (await (await Asker.open(other)).ask()).workers
        assert not answering.done()
        session.stopping.set()
        await answering


@pytest.mark.parametrize("reply_to", [topology.INBOUND, None])
async def test_answers_go_to_askers_only(amqp_url: str, reply_to: str | None, session: Session, queues: Queues) -> None:
    """Whoever may publish to the exchange could else make workers write into any queue."""
    asker = await Asker.open(session)
    async with worker(amqp_url, outbound("worker")):
        await ask(asker, 1)
        exchange = await queues.channel.get_exchange(topology.FLEET)
        for kind in ("status", "something else"):
            await exchange.publish(aio_pika.Message(b"", type=kind, reply_to=reply_to), "")
        await ask(asker, 1)  # it has dealt with those before
        assert await queues.count(topology.INBOUND) == 0


async def test_status_of_a_fleet_that_is_fine(amqp_url: str, mailrouter: Command, session: Session) -> None:
    async with worker(amqp_url, inbound("both", scheduler=True).model_copy(update={"roles": ("inbound", "outbound")})):
        await ask(await Asker.open(session), 1)

        async def told() -> bool:
            run = await mailrouter("status")
            lines = ("worker\tboth\t\tinbound, outbound, scheduler\t", "crm.mail.outbound\t0\t1\tsend requests\n")
            fine = (run.status, run.err) == (0, "") and all(each in run.out for each in lines)
            return fine and "crm.mail.retry" not in run.out

        await eventually(told, SECONDS)


async def test_status_tells_what_is_not_fine(amqp_url: str, mailrouter: Command, session: Session) -> None:
    nobody = await mailrouter("status", "--json")
    assert nobody.status == 1
    assert json.loads(nobody.out)["workers"] == []
    assert nobody.err == (
        "mailrouter: no worker answers. Remedy: start one with 'mailrouter run', on the same broker and vhost.\n"
    )
    paused = MailboxState(
        mailbox="anna@contoso.example",
        state="paused",
        code="ErrorAccessDenied",
        cause="no [bold]rights",
        remedy="grant",
    )
    async with worker(amqp_url, inbound("reader", paused, scheduler=True)):
        await ask(await Asker.open(session), 1)
        run = await mailrouter("status")
        assert run.status == 1
        row = "anna@contoso.example\tin\t\tpaused\t\t\t\t\t\tErrorAccessDenied: no [bold]rights\tgrant"
        assert f"mailbox\t{row}\n" in run.out
        (told,) = json.loads((await mailrouter("status", "--json", "--all")).out)["mailboxes"]
        assert (told["mailbox"], told["code"], told["direction"]) == (paused.mailbox, paused.code, "in")


async def test_status_is_watched_until_interrupted(amqp_url: str, mailrouter: Command, session: Session) -> None:
    async with worker(amqp_url, outbound("sender")):
        await ask(await Asker.open(session), 1)
        process = await mailrouter.start("status", "--watch", "--json")
        assert process.stdout is not None
        async with asyncio.timeout(SECONDS):
            for _ in range(2):
                assert json.loads(await process.stdout.readline())["fine"]
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
        assert (process.returncode, err.strip()) == (130, b"")
