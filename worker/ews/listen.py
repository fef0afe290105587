"""Listening to the Inboxes of one group of mailboxes: one subscription each, one connection for all of them.

    subscribe each  ->  [ connect, hear, connection ends ] ...  ->  unsubscribe

What is heard is a hint and nothing more: whatever goes wrong here, polling finds the mail.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

from worker.clock import Clock
from worker.ews.affinity import Affinity
from worker.ews.answer import UNREADABLE, read
from worker.ews.exchange import Exchange, Request
from worker.ews.http_answer import Answer
from worker.ews.operations import streaming
from worker.ews.portions import Portions
from worker.ews.reading import of_mailbox
from worker.ews.trouble import Trail, Trouble
from worker.mail.outcome import NO_ANSWER, Reason, Scope
from worker.mail.transport import WorkingMailbox

QUIET_SECONDS: Final = 150.0
"""The server says every minute or so that it is still there; when it has not for this long, it is not."""

_AT_ONCE: Final = 5
_MOST_MINUTES: Final = 30
_LEAST_SECONDS: Final = 1.0
_WORTHWHILE_SECONDS: Final = 10.0
_WAITS_SECONDS: Final = (1.0, 5.0, 20.0)
"""Before connecting again, by how many connections in a row were not worth while; one more, and it is given up."""
_GOODBYE_SECONDS: Final = 10.0
_UNKNOWN: Final = frozenset(
    {
        "ErrorSubscriptionNotFound",
        "ErrorExpiredSubscription",
        "ErrorInvalidSubscription",
        "ErrorSubscriptionUnsubscribed",
    }
)

Thing = TypeVar("Thing")


class Group:
    """Mailboxes of one endpoint, at most 200. Good for one time of listening."""

    def __init__(
        self,
        exchange: Exchange,
        mailboxes: Sequence[WorkingMailbox],
        heard: Callable[[WorkingMailbox], None],
        clock: Clock,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self._exchange = exchange
        self._impersonate = exchange.endpoint.impersonate
        # Every worker calls upon the server by the same mailbox of a group.
        self._mailboxes = sorted(mailboxes, key=lambda each: each.address)[: streaming.MOST_SUBSCRIPTIONS]
        self._heard = heard
        self._clock = clock
        self._quiet_seconds = quiet_seconds
        self._anchor = self._mailboxes[0].address
        self._affinity = Affinity(self._anchor)
        self._subscriptions: dict[str, WorkingMailbox] = {}
        self._unknown: set[str] = set()
        self._renewed: set[WorkingMailbox] = set()
        self._deaf: dict[WorkingMailbox, Reason] = {}
        self._hopeless: Reason | None = None
        self._listened = False

    async def listen(self, seconds: float) -> dict[WorkingMailbox, Reason]:
        """For about so long, or until the connection is lost for good. The mailboxes of which nothing could be heard,
        each with the reason.
        """
        until = self._clock.monotonic() + seconds
        await self._subscribe(self._mailboxes)
        failures = 0
        while self._subscriptions and (left := until - self._clock.monotonic()) >= _LEAST_SECONDS:
            began = self._clock.monotonic()
            trouble = await self._connect(left)
            await self._renew(trouble)
            failures = 0 if self._clock.monotonic() - began >= _WORTHWHILE_SECONDS else failures + 1
            if failures > len(_WAITS_SECONDS):
                self._give_up(trouble)
                break
            if trouble is not None and trouble.code.startswith(NO_ANSWER):
                self._tell(self._subscriptions.values())  # what the server told meanwhile went into a dead line
            if failures:
                told = trouble.retry_after_seconds if trouble is not None else None
                wait = max(_WAITS_SECONDS[failures - 1] * (1 + self._clock.jitter()), told or 0.0)
                await self._clock.sleep(max(0.0, min(wait, until - self._clock.monotonic())))
        await self._unsubscribe()
        return self._deaf

    async def _subscribe(self, mailboxes: Sequence[WorkingMailbox]) -> None:
        """One by one until one has succeeded, so that the rest goes to the same server; then several at once."""
        waiting = list(mailboxes)
        while waiting and not self._subscriptions:
            await self._subscribe_one(waiting.pop(0))
        await _each(self._subscribe_one, waiting)

    async def _subscribe_one(self, mailbox: WorkingMailbox) -> None:
        if self._hopeless is not None:
            self._deaf[mailbox] = self._hopeless
            return
        body = streaming.subscribe_request(mailbox.address, impersonate=self._impersonate)
        answers = await self._exchange.call("Subscribe", mailbox.address, body, 1, self._affinity)
        if not isinstance(answers, Trouble) and answers[0].succeeded:
            subscription = streaming.subscription(answers[0])
            if subscription:
                self._subscriptions[subscription] = mailbox
                self._tell([mailbox])
                return
        trouble = answers if isinstance(answers, Trouble) else answers[0].trouble
        reason = self._deaf[mailbox] = of_mailbox(trouble).reason
        if reason.scope in (Scope.PROFILE, Scope.SERVER) or trouble.code.startswith(NO_ANSWER):
            self._hopeless = reason

    async def _connect(self, seconds: float) -> Trouble | None:
        """One connection, until it ends: with a trouble, or in order, or because the time is up."""
        minutes = min(_MOST_MINUTES, max(1, -int(-seconds // 60)))
        ids = list(self._subscriptions)
        body = streaming.listen_request(self._anchor, ids, minutes, impersonate=self._impersonate)
        request = Request("GetStreamingEvents", self._anchor, body, self._affinity)
        portions = Portions()
        troubles: list[Trouble] = []
        nothing = True

        async def hear(received: bytes) -> None:
            nonlocal nothing
            for envelope in portions.cut(received):
                nothing = False
                troubles.extend(self._hear(envelope))

        async def conclude(answer: Answer, trail: Trail) -> Trouble | None:
            if answer.ok and nothing:
                return trail.trouble("answer-unreadable", UNREADABLE, "there are no notifications in the answer")
            got = () if answer.ok else read(answer, request.operation, trail)
            return got if isinstance(got, Trouble) else next(iter(troubles), None)

        try:
            async with asyncio.timeout(seconds):
                return await self._exchange.pour(request, hear, conclude, self._quiet_seconds)
        except TimeoutError:
            return None

    def _hear(self, envelope: bytes) -> list[Trouble]:
        """One portion of a connection: hints for those it names. The troubles it tells of."""
        trail = Trail(self._exchange.server(self._anchor))
        got = read(Answer(200, {}, envelope), "GetStreamingEvents", trail)
        if isinstance(got, Trouble):
            return [got]
        for message in got:
            told = streaming.told(message)
            self._listened = self._listened or message.succeeded
            self._tell(self._subscriptions[each] for each in told.heard if each in self._subscriptions)
            self._unknown |= told.unknown
        return [message.trouble for message in got if not message.succeeded]

    async def _renew(self, trouble: Trouble | None) -> None:
        """Subscribe anew where the server does not know a subscription any more; once for each mailbox."""
        if trouble is not None and trouble.code in _UNKNOWN and not self._unknown & self._subscriptions.keys():
            self._unknown = set(self._subscriptions)
        lost = [self._subscriptions.pop(each) for each in self._unknown & self._subscriptions.keys()]
        self._unknown = set()
        if trouble is not None:
            self._deaf |= dict.fromkeys(self._renewed.intersection(lost), of_mailbox(trouble).reason)
        anew = [each for each in lost if each not in self._renewed]
        self._renewed.update(anew)
        await self._subscribe(anew)

    def _give_up(self, trouble: Trouble | None) -> None:
        """The connection does not last. Whoever never heard anything by it is deaf."""
        if not self._listened and trouble is not None:
            self._deaf |= dict.fromkeys(self._subscriptions.values(), of_mailbox(trouble).reason)

    async def _unsubscribe(self) -> None:
        """As far as it goes within a few seconds: subscriptions that nobody asks about expire by themselves."""

        async def one(each: tuple[str, WorkingMailbox]) -> None:
            subscription, mailbox = each
            body = streaming.unsubscribe_request(mailbox.address, subscription, impersonate=self._impersonate)
            await self._exchange.call("Unsubscribe", mailbox.address, body, 1, self._affinity)

        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await _each(one, self._subscriptions.items())
        except TimeoutError:
            pass

    def _tell(self, mailboxes: Iterable[WorkingMailbox]) -> None:
        for mailbox in mailboxes:
            self._heard(mailbox)


async def _each(act: Callable[[Thing], Awaitable[None]], things: Iterable[Thing]) -> None:
    """Do it for each, a few at once."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(thing: Thing) -> None:
        async with turn:
            await act(thing)

    async with asyncio.TaskGroup() as tasks:
        for thing in things:
            tasks.create_task(one(thing))
