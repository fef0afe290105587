"""One working mailbox over EWS: the port's four acts, each a request or two and the reading of the answer."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog

from worker.clock import Clock
from worker.ews.answer import INCOMPLETE, ResponseMessage
from worker.ews.exchange import Exchange
from worker.ews.look import Looker
from worker.ews.operations import create_item, find_item, retire, send_item
from worker.ews.operations.find_item import Folder, Page
from worker.ews.trouble import Trouble, of_draft, of_send
from worker.mail.message import Message
from worker.mail.outcome import Deferred, Delivered, Reason, Rejected, Unknown
from worker.mail.stamp import Stamp
from worker.mail.transport import Draft, Drafted, DraftOutcome, Look, SendOutcome

BATCH: Final = 10
"""Items in one request, as Exchange's throttling advice has it."""

_MOST_NAMELESS: Final = 1000
_MOST_NAMED: Final = 100
_PROPERTY_REFUSED: Final = frozenset(
    {
        "ErrorInvalidPropertyForOperation",
        "ErrorInvalidPropertyRequest",
        "ErrorInvalidPropertySet",
        "ErrorUnsupportedPropertyDefinition",
    }
)
"""What servers say to a property that they let nobody set."""

T = TypeVar("T", Message, Draft)
log = structlog.get_logger()


class EwsMailbox:
    """A working mailbox; implements `OutgoingMailbox`. `reach` is asked at each request who takes it, since profiles
    change. `horizon`: see `Looker`.
    """

    def __init__(self, reach: Callable[[], Exchange], address: str, clock: Clock, horizon: timedelta) -> None:
        self._reach = reach
        self._address = address
        self._clock = clock
        self._horizon = horizon
        self._looker = self._new_looker()
        self._url = self._located
        self._nameless: set[Stamp] = set()
        self._named: dict[Stamp, str] = {}

    async def draft(self, messages: Sequence[Message]) -> Sequence[DraftOutcome]:
        return [outcome for batch in _batches(messages) for outcome in await self._draft(batch)]

    async def look(self, floors: Mapping[Stamp, datetime]) -> Look | Deferred:
        await self._exchange.locate(self._address)
        if self._url != self._located:  # what a looker remembers is of another server
            self._url, self._looker = self._located, self._new_looker()
        look = await self._looker.look(floors)
        if self._named and isinstance(look, Look):
            self._compare(look)
        return look

    async def retire(self, drafts: Sequence[Draft]) -> None:
        for batch in _batches(drafts):
            await self._retire(batch)

    async def send(self, drafts: Sequence[Draft]) -> Sequence[SendOutcome]:
        return [outcome for batch in _batches(drafts) for outcome in await self._send(batch)]

    def _new_looker(self) -> Looker:
        return Looker(self._find, self._exchange.server(self._address), self._clock, self._horizon)

    def _compare(self, look: Look) -> None:
        """Learn from mail drafted here that has left whether the server keeps the Message-ID."""
        for stamp, message_id in self._named.items():
            left_as = look.of(stamp).left_as
            if left_as:  # some servers show none
                self._exchange.keeps_message_id = left_as == message_id
        if self._exchange.keeps_message_id is not None:
            self._named.clear()

    @property
    def _exchange(self) -> Exchange:
        return self._reach()

    @property
    def _located(self) -> str:
        return self._exchange.located(self._address)

    @property
    def _impersonate(self) -> bool:
        return self._exchange.endpoint.impersonate

    @property
    def _too_large(self) -> Reason:
        remedy = self._exchange.endpoint.parties(self._address).told(create_item.TOO_LARGE.remedy)
        return replace(create_item.TOO_LARGE, remedy=remedy)

    async def _draft(self, messages: Sequence[Message]) -> list[DraftOutcome]:
        named = {message.stamp for message in messages} - self._nameless if self._exchange.takes_message_id else set()
        self._expect(messages, named)
        body = create_item.request(self._address, messages, named, impersonate=self._impersonate)
        if sum(map(len, body)) > create_item.MAX_REQUEST_BYTES:
            if len(messages) == 1:
                return [Rejected(self._too_large)]
            return [outcome for message in messages for outcome in await self._draft([message])]
        answers = await self._exchange.call("CreateItem", self._address, body, len(messages))
        if isinstance(answers, Trouble):
            return [of_draft(answers)] * len(messages)
        return [
            self._drafted(message.stamp, answer, named=message.stamp in named)
            for message, answer in zip(messages, answers, strict=True)
        ]

    def _expect(self, messages: Sequence[Message], named: Container[Stamp]) -> None:
        """Remember under which Message-IDs mail is drafted, as long as nobody knows whether the server keeps them."""
        if self._exchange.keeps_message_id is None and len(self._named) < _MOST_NAMED:
            self._named.update((each.stamp, each.message_id) for each in messages if each.stamp in named)

    def _drafted(self, stamp: Stamp, answer: ResponseMessage, *, named: bool) -> DraftOutcome:
        """What became of one draft.

        Some servers let nobody set InternetMessageId. Where a draft with one is refused, the next draft of that mail
        goes without, after the look that Unknown asks for; if that one is taken, all mail goes without.
        """
        if answer.succeeded:
            if stamp in self._nameless:
                self._exchange.takes_message_id = False
            return Drafted()
        if answer.code in _PROPERTY_REFUSED and named:
            if len(self._nameless) >= _MOST_NAMELESS:
                self._nameless.clear()
            self._nameless.add(stamp)
            return Unknown(answer.trouble.reason())
        return of_draft(answer.trouble)

    async def _find(self, folders: Sequence[Folder], offset: int, size: int) -> Sequence[Page] | Trouble:
        pages: list[Page] = []
        if len(folders) > 1 and not self._exchange.finds_together:
            for folder in folders:
                found = await self._find([folder], offset, size)
                if isinstance(found, Trouble):
                    return found
                pages += found
            return pages
        body = find_item.request(self._address, folders, offset=offset, size=size, impersonate=self._impersonate)
        answers = await self._exchange.call("FindItem", self._address, body, len(folders))
        if isinstance(answers, Trouble):
            if len(folders) == 1 or answers.code != INCOMPLETE:
                return answers
            self._exchange.finds_together = False
            return await self._find(folders, offset, size)
        for answer in answers:
            page = find_item.page(answer, offset) if answer.succeeded else None
            if page is None:
                return answer.trouble
            pages.append(page)
        return pages

    async def _send(self, drafts: Sequence[Draft]) -> list[SendOutcome]:
        body = send_item.request(self._address, drafts, impersonate=self._impersonate)
        answers = await self._exchange.call("SendItem", self._address, body, len(drafts))
        if isinstance(answers, Trouble):
            return [of_send(answers)] * len(drafts)
        kept = self._exchange.keeps_message_id
        return [
            Delivered(draft.message_id if kept else "", drafted_as=draft.message_id if kept is None else "")
            if answer.succeeded
            else of_send(answer.trouble)
            for draft, answer in zip(drafts, answers, strict=True)
        ]

    async def _retire(self, drafts: Sequence[Draft]) -> None:
        """Swap, then delete what was swapped. Whatever fails is left for the next look to show."""
        body = retire.swap_request(self._address, drafts, impersonate=self._impersonate)
        answers = await self._exchange.call("UpdateItem", self._address, body, len(drafts))
        if isinstance(answers, Trouble):
            log.debug("drafts not retired", code=answers.code, request_id=answers.request_id)
            return
        keys = [key for answer in answers if answer.succeeded and (key := retire.swapped(answer)) is not None]
        if len(keys) < len(drafts):
            log.debug("drafts not retired", codes=[answer.code for answer in answers if not answer.succeeded])
        if keys:
            body = retire.delete_request(self._address, keys, impersonate=self._impersonate)
            await self._exchange.call("DeleteItem", self._address, body, len(keys))


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
