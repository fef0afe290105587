"""The transport over EWS: mailboxes for the lanes, one `Exchange` per endpoint behind them."""

from collections.abc import Callable
from datetime import timedelta

from worker.clock import Clock
from worker.ews.endpoint import Endpoint
from worker.ews.exchange import Exchange, Observe
from worker.ews.mailbox import EwsMailbox
from worker.mail.transport import WorkingMailbox


class EwsTransport:
    """Implements `Transport`. `route` says how a working mailbox is reached; it is asked when a lane begins.

    `horizon`: how long a request lives, the setting of that name. Close the transport when the last lane has ended.
    """

    def __init__(
        self,
        route: Callable[[WorkingMailbox], Endpoint],
        observe: Observe,
        clock: Clock,
        horizon: timedelta = timedelta(days=7),
    ) -> None:
        self._route = route
        self._observe = observe
        self._clock = clock
        self._horizon = horizon
        self._exchanges: dict[Endpoint, Exchange] = {}

    def outgoing(self, mailbox: WorkingMailbox) -> EwsMailbox:
        endpoint = self._route(mailbox)
        exchange = self._exchanges.get(endpoint)
        if exchange is None:
            exchange = self._exchanges[endpoint] = Exchange(endpoint, self._observe, self._clock)
        return EwsMailbox(exchange, mailbox.address, self._clock, self._horizon)

    async def close(self) -> None:
        for exchange in self._exchanges.values():
            await exchange.close()
        self._exchanges.clear()
