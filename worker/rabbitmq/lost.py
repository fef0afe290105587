"""How it shows that the broker is lost or refuses us, what to do about it, and what becomes of a call meanwhile."""

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import Coroutine, Iterator
from typing import Any, Final, TypeVar

from aio_pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    AuthenticationError,
    ChannelInvalidStateError,
    ChannelPreconditionFailed,
    IncompatibleProtocolError,
    InvalidFrameError,
    ProbableAuthenticationError,
    ProtocolSyntaxError,
)
from aiormq.exceptions import ChannelAccessRefused

from worker.events.broker import Unconfirmed
from worker.rabbitmq.address import VARIABLE, BrokerAddress, Unavailable
from worker.service import ended

LOST: Final = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError)
"""What aio-pika and aiormq raise when connection or channel are gone or do not answer."""

CALL_SECONDS: Final = 5.0
"""How long a call of the broker may take that nobody waits for any more."""

_CONNECTING: Final = re.compile(r"\[Errno (\d+)\] Connect call failed")
_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")

Answer = TypeVar("Answer")


def explained(error: BaseException, address: BrokerAddress) -> Unavailable:
    """The one table from what went wrong to what a person can do about it."""
    server, answer = address.server, told(error)
    match error:
        case ProbableAuthenticationError() | AuthenticationError():
            cause = f"{server} refused to sign in the user {address.user}: {answer}"
            remedy = f"correct user and password, or the client certificate, in {VARIABLE}"
        case ChannelAccessRefused():
            cause = f"the user {address.user} may not do what is needed in the vhost {address.vhost!r}: {answer}"
            remedy = "grant configure, write and read on 'crm[.]mail.*|amq[.]default'"
        case ChannelPreconditionFailed():
            cause = f"an exchange or queue is there already, but a different one: {answer}"
            remedy = "delete it, or give the CRM organisation a vhost of its own"
        case InvalidFrameError() if "Connection.Close" in answer:  # to opening the vhost; the text is lost in aiormq
            cause = f"{server} does not let the user {address.user} into the vhost {address.vhost!r}"
            remedy = "make the vhost, or grant the user access to it; RabbitMQ's log tells the reason"
        case (
            ProtocolSyntaxError()
            | IncompatibleProtocolError()
            | AMQPConnectionError(__cause__=asyncio.IncompleteReadError() | ConnectionResetError())
        ):
            cause = f"{server} does not answer in AMQP 0-9-1"
            remedy = f"check host, port and amqp:// or amqps:// in {VARIABLE}, and that RabbitMQ is not just stopping"
        case TimeoutError():
            cause = f"{server} does not answer"
            remedy = "check the address, firewalls and the state of RabbitMQ"
        case AMQPConnectionError(__cause__=ssl.SSLError() as refusal):
            cause = f"{server}: no TLS connection: {told(refusal)}"
            remedy = f"check cafile, certfile and keyfile in {VARIABLE}"
        case _:
            cause = f"{server} cannot be reached: {answer}"
            remedy = f"check {VARIABLE} and that RabbitMQ runs"
    return Unavailable(cause, remedy)


def is_loss(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(is_loss(each) for each in error.exceptions)
    return isinstance(error, (*LOST, Unconfirmed))


def told(error: BaseException | None) -> str:
    """What an error says, in one line of bounded length."""
    if error is None:
        return "closed"
    if isinstance(error, BaseExceptionGroup):
        return told(error.exceptions[0])
    text = _CONNECTING.sub(lambda found: os.strerror(int(found[1])), " ".join(str(error).split()))
    text = _ERRNO.sub("", text) or ("no answer in time" if isinstance(error, TimeoutError) else "")
    return (text or type(error).__name__)[:500]


@contextlib.contextmanager
def closing_told() -> Iterator[None]:
    """Makes a lost connection one of `LOST`. aiormq answers what still waits for a channel that has closed with
    CancelledError or with a bare Exception: cancelled, the waiting task was not.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError("closed") from None
    except Exception as error:
        if type(error) is Exception:
            raise ConnectionResetError("closed") from error
        raise


async def unbroken(call: Coroutine[Any, Any, Answer]) -> Answer:
    """Do a call of the broker to its end, also where the caller is cancelled meanwhile: aiormq closes the channel of a
    call that was broken off, and with the channel the session goes, and with the session all work under way.
    """
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait((task,), timeout=CALL_SECONDS)
        await ended(task)
        raise
