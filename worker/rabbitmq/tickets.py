"""The port `Fleet` of `worker.events.broker` over one session: tickets and reports, confirmed like every publish."""

import aiormq.abc
from pamqp.commands import Basic

from worker.events.broker import Burial, HeaderValue, Unconfirmed
from worker.rabbitmq.broker import Publisher, burial_headers
from worker.rabbitmq.lost import LOST, closing_told, told, unbroken
from worker.rabbitmq.session import Session
from worker.rabbitmq.topology import DEAD, ITEMS, LISTENS, POLLS, REPORTS

_JSON = "application/json"


class RabbitFleet:
    def __init__(self, publisher: Publisher, channel: aiormq.abc.AbstractChannel) -> None:
        self._publisher = publisher
        self._channel = channel

    @classmethod
    async def open(cls, session: Session, publisher: Publisher) -> "RabbitFleet":
        """Raises Unconfirmed when the session is lost already."""
        try:
            return cls(publisher, await (await session.channel()).get_underlay_channel())
        except LOST as error:
            raise Unconfirmed(told(error)) from error

    async def issue(self, ticket: bytes, *, listen: bool = False) -> None:
        await self._publish(LISTENS if listen else POLLS, ticket, {})

    async def report(self, report: bytes) -> None:
        await self._publish(REPORTS, report, {})

    async def recall(self) -> int:
        recalled = 0
        try:
            with closing_told():
                for queue in (POLLS, LISTENS):
                    recalled += (await unbroken(self._channel.queue_purge(queue))).message_count or 0
        except LOST as error:
            raise Unconfirmed(told(error)) from error
        return recalled

    async def waiting(self) -> int:
        try:
            with closing_told():
                return (await unbroken(self._channel.queue_declare(POLLS, passive=True))).message_count or 0
        except LOST as error:
            raise Unconfirmed(told(error)) from error

    async def quarantine(self, ticket: bytes, message_id: str, burial: Burial) -> None:
        await self._publish(DEAD, ticket, burial_headers(burial, ITEMS), message_id)

    async def _publish(self, queue: str, body: bytes, headers: dict[str, HeaderValue], message_id: str = "") -> None:
        properties = Basic.Properties(content_type=_JSON, headers=dict(headers), message_id=message_id or None)
        await self._publisher.publish("", queue, body, properties)
