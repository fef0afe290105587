"""The transport over EWS: mailboxes to send from and to read, one `Exchange` per endpoint behind them."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from aiohttp.abc import AbstractResolver

from worker.clock import Clock
from worker.ews.autodiscover.lookup import Lookup
from worker.ews.endpoint import Endpoint
from worker.ews.exchange import Exchange, Observe
from worker.ews.folders import Folders
from worker.ews.incoming import EwsIncomingMailbox
from worker.ews.listen import Group
from worker.ews.mailbox import EwsMailbox
from worker.ews.oauth import Tokens
from worker.ews.reading import of_mailbox
from worker.ews.trouble import Trouble
from worker.mail.incoming import Heard
from worker.mail.outcome import Reason
from worker.mail.transport import WorkingMailbox

NOTE_NAME: Final = "CrmMailRouter"

_MOST_REACHED: Final = 20_000


class EwsTransport:
    """Implements `Transport` and `IncomingTransport`. `route` says how a working mailbox is reached, None where nobody
    knows any more. It is asked once for each mailbox, and anew after `renew`; work that is under way then goes on by
    what is said now, or as it began where nothing is said.

    `horizon`: how long a request lives, the setting of that name. `note_name`: of the note in each mailbox that is
    read, letters, digits and dots; two installations that read the same mailbox need two. `resolver`: where a host's
    connections go, by default the name service. `lookup`: how Autodiscover is asked. Close the transport when all work
    on its mailboxes has ended.
    """

    def __init__(  # noqa: PLR0913 - what the whole of EWS depends on
        self,
        route: Callable[[WorkingMailbox], Endpoint | None],
        observe: Observe,
        clock: Clock,
        horizon: timedelta = timedelta(days=7),
        note_name: str = NOTE_NAME,
        *,
        resolver: AbstractResolver | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self._route = route
        self._observe = observe
        self._clock = clock
        self._horizon = horizon
        self._note_name = note_name
        self._resolver = resolver
        self._lookup = lookup
        self._exchanges: dict[Endpoint, Exchange] = {}
        self._folders: dict[Endpoint, Folders] = {}
        self._reached: dict[WorkingMailbox, Exchange] = {}

    def renew(self) -> None:
        """Other profiles are in force. (What no profile leads to any more stays until the end: idle, it holds no
        connection.)
        """
        self._reached.clear()

    def outgoing(self, mailbox: WorkingMailbox) -> EwsMailbox:
        exchange = self._known(mailbox)

        def reach() -> Exchange:
            nonlocal exchange
            exchange = self._reach(mailbox) or exchange
            return exchange

        return EwsMailbox(reach, mailbox.address, self._clock, self._horizon)

    def incoming(self, mailbox: WorkingMailbox) -> EwsIncomingMailbox:
        exchange = self._known(mailbox)
        folders = self._folders.setdefault(exchange.endpoint, Folders(exchange))
        return EwsIncomingMailbox(exchange, mailbox.address, folders, self._note_name)

    async def listen(
        self, mailboxes: Sequence[WorkingMailbox], heard: Callable[[WorkingMailbox], None], seconds: float
    ) -> Heard:
        """Mailboxes with credentials of their own have a connection each; those of one account share one for each of
        their servers.
        """
        groups: dict[tuple[Exchange, str], list[WorkingMailbox]] = {}
        deaf: list[tuple[WorkingMailbox, Reason]] = []
        for mailbox, (exchange, url) in (await self._located(mailboxes, seconds)).items():
            if isinstance(url, Trouble):
                deaf.append((mailbox, of_mailbox(url).reason))
            else:
                groups.setdefault((exchange, url), []).append(mailbox)
        async with asyncio.TaskGroup() as tasks:
            listening = [
                tasks.create_task(Group(exchange, group, heard, self._clock).listen(seconds))
                for (exchange, _), group in groups.items()
            ]
        return Heard((*deaf, *(each for done in listening for each in done.result().items())))

    async def _located(
        self, mailboxes: Sequence[WorkingMailbox], seconds: float
    ) -> dict[WorkingMailbox, tuple[Exchange, str | Trouble]]:
        """By which account and at which server each is reached; those that are not found in time are left out."""

        async def one(mailbox: WorkingMailbox) -> None:
            exchange = self._known(mailbox)
            found[mailbox] = (exchange, await exchange.locate(mailbox.address))

        found: dict[WorkingMailbox, tuple[Exchange, str | Trouble]] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                for mailbox in mailboxes:
                    tasks.create_task(one(mailbox))
        return found

    def tokens_end(self) -> Mapping[str, datetime]:
        """When the token of each profile that is in use ends; only of those that sign in by one."""
        return {profile: tokens.token_ends_at for profile, tokens in self._tokens() if tokens.token_ends_at}

    def certificates_end(self) -> Mapping[str, datetime]:
        """Likewise the certificate that the token was asked for by."""
        return {profile: tokens.certificate_ends_at for profile, tokens in self._tokens() if tokens.certificate_ends_at}

    def _tokens(self) -> Iterator[tuple[str, Tokens]]:
        """In the order in which they came into use, those of what is reached no more left out."""
        reached = set(self._reached.values())
        for endpoint, exchange in self._exchanges.items():
            if exchange.tokens is not None and exchange in reached:
                yield endpoint.profile, exchange.tokens

    async def close(self) -> None:
        for exchange in self._exchanges.values():
            await exchange.close()
        self._exchanges.clear()
        self._folders.clear()
        self._reached.clear()

    def _known(self, mailbox: WorkingMailbox) -> Exchange:
        exchange = self._reach(mailbox)
        assert exchange is not None, mailbox  # who begins work has just found the way in what is in force
        return exchange

    def _reach(self, mailbox: WorkingMailbox) -> Exchange | None:
        found = self._reached.get(mailbox)
        if found is None and (endpoint := self._route(mailbox)) is not None:
            if len(self._reached) >= _MOST_REACHED:
                self._reached.clear()
            found = self._reached[mailbox] = self._exchange(endpoint)
        return found

    def _exchange(self, endpoint: Endpoint) -> Exchange:
        exchange = self._exchanges.get(endpoint)
        if exchange is None:
            exchange = Exchange(endpoint, self._observe, self._clock, self._resolver, self._lookup)
            self._exchanges[endpoint] = exchange
        return exchange
