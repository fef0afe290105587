"""Test Access over EWS: the steps of one mailbox and direction, in order, each by the requests that the work itself
makes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import uuid4

from aiohttp.abc import AbstractResolver

from worker.clock import Clock
from worker.ews import remedies
from worker.ews.autodiscover.lookup import Lookup
from worker.ews.endpoint import Endpoint
from worker.ews.exchange import Exchange
from worker.ews.folders import Folders
from worker.ews.incoming import EwsIncomingMailbox
from worker.ews.operations import get_folder, newest, user_configuration
from worker.ews.reach import Reach
from worker.ews.reading import of_mailbox
from worker.ews.trial import Trial
from worker.ews.trouble import Trouble
from worker.mail.checks import REACHING, Finding, Step, passed, skipped
from worker.mail.incoming import Changes, StateLost
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.transport import WorkingMailbox

_NOTE_NAME: Final = "CrmMailRouter.Check"
_Act = Callable[[], Awaitable[Finding]]


class EwsChecks:
    """Implements `Checks`. `route` says how a working mailbox is reached; `horizon`, `resolver` and `lookup` are those
    of `EwsTransport`. Close it when all checks have ended.
    """

    def __init__(
        self,
        route: Callable[[WorkingMailbox], Endpoint],
        clock: Clock,
        horizon: timedelta,
        *,
        resolver: AbstractResolver | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self._route = route
        self._clock = clock
        self._horizon = horizon
        self._resolver = resolver
        self._lookup = lookup
        self._exchanges: dict[Endpoint, Exchange] = {}

    async def outgoing(self, mailbox: WorkingMailbox, sender: str, *, send: bool) -> AsyncIterator[Step]:
        way = self._way(mailbox)
        trial = Trial(way.exchange, mailbox.address, sender, self._clock, self._horizon)
        acts = [*way.acts(trial.folders), ("draft", trial.draft), ("right", trial.right)]
        if send:
            acts.append(("send", trial.send))
        async for step in self._walked(way, acts):
            yield step

    async def incoming(self, mailbox: WorkingMailbox) -> AsyncIterator[Step]:
        way = self._way(mailbox)
        reading = Reading(way.exchange, mailbox.address)
        acts = [*way.acts(reading.folders), ("sync", reading.sync), ("cursor", reading.cursor)]
        async for step in self._walked(way, acts):
            yield step

    async def close(self) -> None:
        for exchange in self._exchanges.values():
            await exchange.close()
        self._exchanges.clear()

    def _way(self, mailbox: WorkingMailbox) -> "Way":
        endpoint = self._route(mailbox)
        exchange = self._exchanges.get(endpoint)
        if exchange is None:
            exchange = Exchange(endpoint, _unobserved, self._clock, self._resolver, self._lookup)
            self._exchanges[endpoint] = exchange
        return Way(exchange, mailbox.address, lambda located: Reach(located, self._clock, self._resolver))

    async def _walked(self, way: "Way", acts: Sequence[tuple[str, _Act]]) -> AsyncIterator[Step]:
        """Each step after the one before; behind the first that fails they are skipped."""
        failed = ""
        try:
            for name, act in acts:
                began = self._clock.monotonic()
                finding = skipped(f"{failed} failed") if failed else await act()
                step = Step(name, finding, self._clock.monotonic() - began)
                failed = name if step.failed else failed
                yield step
        finally:
            await way.close()


class Way:
    """As far as both directions go alike: to the open mailbox."""

    def __init__(self, exchange: Exchange, address: str, reach: Callable[[Endpoint], Reach]) -> None:
        self.exchange = exchange
        self._address = address
        self._new_reach = reach
        self._reach: Reach | None = None
        self._opened: Finding | None = None

    def acts(self, folders: _Act) -> list[tuple[str, _Act]]:
        acts = (self._name, self._connect, self._tls, self._sign_in, self._open, folders)
        return list(zip(REACHING, acts, strict=True))

    async def close(self) -> None:
        if self._reach is not None:
            await self._reach.close()

    async def _name(self) -> Finding:
        """With Autodiscover, first where the mailbox is at all."""
        endpoint = self.exchange.endpoint
        url = await self.exchange.locate(self._address)
        if isinstance(url, Trouble):
            return Finding.of(url.reason())
        self._reach = self._new_reach(replace(endpoint, url=url))
        found = await self._reach.name()
        return found if endpoint.url else replace(found, cause=f"Autodiscover tells {url}; {found.cause}")

    async def _connect(self) -> Finding:
        assert self._reach is not None
        return await self._reach.connect()

    async def _tls(self) -> Finding:
        assert self._reach is not None
        return await self._reach.tls()

    async def _sign_in(self) -> Finding:
        """The first request. What Exchange says of the mailbox in its answer is the next step's."""
        body = get_folder.request(self._address, impersonate=self.exchange.endpoint.impersonate)
        answer = await self.exchange.one("GetFolder", self._address, body)
        if not isinstance(answer, Trouble):
            self._opened = passed(self._address)
        elif _is_about_mailbox(answer):
            # Every mailbox has this folder: who is told that it is not there may not see it.
            remedy = remedies.ACCESS if answer.code == "ErrorFolderNotFound" else ""
            self._opened = Finding.of(answer.reason(remedy=remedy))
        else:
            return Finding.of(answer.reason())
        return passed(self.exchange.endpoint.parties(self._address).told("<account>"))

    async def _open(self) -> Finding:
        assert self._opened is not None
        return self._opened


class Reading:
    """What reading a mailbox needs, under a note of its own instead of the cursor."""

    def __init__(self, exchange: Exchange, address: str) -> None:
        self._exchange = exchange
        self._address = address
        # Two checks at once must not write the same note; nothing else is decided by its name.
        self._note_name = f"{_NOTE_NAME}.{uuid4().hex[:12]}"
        self._mailbox = EwsIncomingMailbox(exchange, address, Folders(exchange), self._note_name)

    async def folders(self) -> Finding:
        body = newest.request(self._address, offset=0, size=1, impersonate=self._exchange.endpoint.impersonate)
        answer = await self._exchange.one("FindItem", self._address, body)
        return Finding.of(of_mailbox(answer).reason) if isinstance(answer, Trouble) else passed("Inbox")

    async def sync(self) -> Finding:
        """A first page of changes, and the next one from the state that came with it."""
        state = ""
        for _ in range(2):
            found = await self._mailbox.changes(state, 1)
            if isinstance(found, Deferred):
                return Finding.of(found.reason)
            if isinstance(found, StateLost):
                return Finding.of(self._unshown("state-not-kept", "it does not know the sync state it has just given"))
            assert isinstance(found, Changes)
            state = found.state
        return passed("changes of the Inbox are told")

    async def cursor(self) -> Finding:
        """The note is made, read, written over, read and removed."""
        try:
            for note in ("one", "two"):
                kept = await self._mailbox.keep(note)
                read = kept if kept is not None else await self._mailbox.recall()
                if isinstance(read, Deferred):
                    return Finding.of(read.reason)
                if read != note:
                    return Finding.of(self._unshown("note-not-kept", "it does not show a note that it has taken"))
        finally:
            removed = await self._remove()
        if isinstance(removed, Trouble):
            return Finding.of(of_mailbox(removed).reason)
        return passed("a note in the Inbox can be kept")

    async def _remove(self) -> object:
        impersonate = self._exchange.endpoint.impersonate
        body = user_configuration.delete_request(self._address, self._note_name, impersonate=impersonate)
        return await self._exchange.one("DeleteUserConfiguration", self._address, body)

    def _unshown(self, code: str, text: str) -> Reason:
        return Reason(code, Scope.SERVER, f"{self._exchange.endpoint.server}: {text}", remedies.NOT_SHOWN)


def _is_about_mailbox(trouble: Trouble) -> bool:
    """Whether Exchange knew who asks, and speaks of the mailbox."""
    return trouble.code.startswith("Error") and not trouble.verdict.about_account


def _unobserved(profile: str, operation: str, result: str, seconds: float) -> None:
    """A check is no work: it does not count in metrics."""
