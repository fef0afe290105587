"""One mailbox that is read over EWS: the port's acts, each a request or a few and the reading of the answer."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from lxml import etree

from worker.ews import remedies
from worker.ews.answer import ResponseMessage, read, read_root
from worker.ews.content import ContentReader
from worker.ews.exchange import Exchange, Request, whole
from worker.ews.folders import Folders
from worker.ews.http_answer import Answer
from worker.ews.operations import (
    conversation,
    finish,
    get_attachment,
    get_item,
    newest,
    sync_folder_items,
    user_configuration,
)
from worker.ews.operations.get_attachment import Form
from worker.ews.operations.get_item import Extent
from worker.ews.reading import beyond_item, of_finish, of_mail, of_mailbox
from worker.ews.template import Filled
from worker.ews.trouble import Trail, Trouble
from worker.mail.incoming import (
    Arrival,
    Changes,
    Fetched,
    File,
    Finish,
    SentCopy,
    Sink,
    StateLost,
    Unreadable,
    Vanished,
)
from worker.mail.outcome import NO_ANSWER, Deferred, Reason, Rejected, Scope
from worker.settings import MOST_ATTACHMENT_BYTES

BATCH: Final = 10
"""Items in one request, as Exchange's throttling advice has it."""

_NEWEST_ROWS: Final = 50
_MOST_NEWEST: Final = 1000
_SHAPE_REFUSED: Final = frozenset({"ErrorSchemaValidation", "ErrorInvalidPropertyRequest", "ErrorInvalidRequest"})
_NO_INTERNET_FORM: Final = frozenset(
    {"ErrorUnsupportedMimeConversion", "ErrorUnsupportedTypeForConversion", "ErrorContentConversionFailed"}
)
_TO_FOLDER_GONE: Final = frozenset({"ErrorToFolderNotFound", "ErrorFolderNotFound", "ErrorInvalidFolderId"})
_NO_MAIL: Final = Reason(
    "no-mail", Scope.MESSAGE, "Exchange shows nothing of the item that is attached", remedies.UNREADABLE_MAIL
)
_NO_SOURCE: Final = Reason(
    "no-source", Scope.MESSAGE, "Exchange has no Internet form of this item", remedies.UNREADABLE_MAIL
)


class EwsIncomingMailbox:
    """Implements `IncomingMailbox`. `note_name` is the name of our note; no file larger than `most_bytes` is read."""

    def __init__(
        self,
        exchange: Exchange,
        address: str,
        folders: Folders,
        note_name: str,
        most_bytes: int = MOST_ATTACHMENT_BYTES,
    ) -> None:
        self._exchange = exchange
        self._address = address
        self._folders = folders
        self._note_name = note_name
        self._most_bytes = most_bytes

    async def recall(self) -> str | Deferred | None:
        body = user_configuration.get_request(self._address, self._note_name, impersonate=self._impersonate)
        answer = await self._one("GetUserConfiguration", body)
        if isinstance(answer, Trouble):
            return None if answer.code == "ErrorItemNotFound" else of_mailbox(answer)
        return user_configuration.note(answer) or None

    async def keep(self, note: str) -> Deferred | None:
        """Written over; made where it is missing."""
        whose = (self._address, self._note_name, note)
        body = user_configuration.update_request(*whose, impersonate=self._impersonate)
        answer = await self._one("UpdateUserConfiguration", body)
        if isinstance(answer, Trouble) and answer.code == "ErrorItemNotFound":
            body = user_configuration.create_request(*whose, impersonate=self._impersonate)
            answer = await self._one("CreateUserConfiguration", body)
        return of_mailbox(answer) if isinstance(answer, Trouble) else None

    async def newest(self, since: datetime) -> tuple[Arrival, ...] | Deferred:
        """Pages of the Inbox until a second older than the one before `since` shows. What shifts between pages is told
        twice, or left out because somebody has taken something away: then it is published that was not owed, and
        nothing is lost.
        """
        found: dict[str, Arrival] = {}
        before: set[datetime | None] = set()
        for offset in range(0, _MOST_NEWEST, _NEWEST_ROWS):
            body = newest.request(self._address, offset=offset, size=_NEWEST_ROWS, impersonate=self._impersonate)
            answer = await self._one("FindItem", body)
            if isinstance(answer, Trouble):
                return of_mailbox(answer)
            page = newest.page(answer)
            if page is None:
                return of_mailbox(answer.trouble)
            rows, last = page
            found |= {each.id: each for each in rows}
            before = {_second(each) for each in found.values() if each.received_at and each.received_at < since}
            if last or len(before) > 1:
                break
        second = max((each for each in before if each), default=None)
        return tuple(
            each
            for each in found.values()
            if _second(each) == second or (each.received_at is not None and each.received_at >= since)
        )

    async def changes(self, state: str, most: int) -> Changes | StateLost | Deferred:
        body = sync_folder_items.request(self._address, state, most, impersonate=self._impersonate)
        answer = await self._one("SyncFolderItems", body)
        if isinstance(answer, Trouble):
            return StateLost() if answer.code == "ErrorInvalidSyncStateData" else of_mailbox(answer)
        return sync_folder_items.changes(answer, state, most) or of_mailbox(answer.trouble)

    async def fetch(self, ids: Sequence[str], *, bare: bool = False) -> Sequence[Fetched]:
        return [
            found
            for start in range(0, len(ids), BATCH)
            for found in await self._fetch(ids[start : start + BATCH], bare=bare)
        ]

    async def source(self, id: str, sink: Sink) -> Vanished | Unreadable | Deferred | None:  # noqa: A002 - the port's
        body = get_item.request(self._address, [id], Extent.SOURCE, impersonate=self._impersonate)
        reader = ContentReader(sink, self._most_bytes)
        answer = await self._poured("GetItem", body, reader)
        if isinstance(answer, Trouble):
            return Unreadable(_NO_SOURCE) if answer.code in _NO_INTERNET_FORM else of_mail(answer)
        return None if reader.began else Unreadable(_NO_SOURCE)

    async def content(self, file: File, sink: Sink) -> Vanished | Unreadable | Deferred | None:
        """What has no Internet form (a task, a distribution list) comes as the XML of its properties."""
        reader = ContentReader(sink, self._most_bytes)
        answer = await self._poured("GetAttachment", self._attachment(file, Form.INTERNET), reader)
        if isinstance(answer, Trouble) and file.item and answer.code in _NO_INTERNET_FORM:
            answer = await self._one("GetAttachment", self._attachment(file, Form.PROPERTIES))
        if isinstance(answer, Trouble):
            return of_mail(answer)
        attachment = get_attachment.attachment(answer)
        if attachment is None:
            return of_mail(answer.trouble)
        if not reader.began and not get_attachment.is_file(attachment):
            await sink(etree.tostring(attachment, encoding="utf-8", xml_declaration=True))
        return None

    async def embedded(self, file: File) -> Fetched:
        form = Form.MAIL if self._exchange.makes_text else Form.MAIL_WITHOUT_TEXT
        answer = await self._one("GetAttachment", self._attachment(file, form))
        if isinstance(answer, Trouble) and answer.code in _SHAPE_REFUSED and form is Form.MAIL:
            answer = await self._one("GetAttachment", self._attachment(file, Form.MAIL_WITHOUT_TEXT))
        if isinstance(answer, Trouble):
            return of_mail(answer)
        attachment = get_attachment.attachment(answer)
        return (
            of_mail(answer.trouble) if attachment is None else get_attachment.mail(attachment) or Unreadable(_NO_MAIL)
        )

    async def sent_in(self, conversation_id: str) -> tuple[SentCopy, ...] | Deferred:
        body = conversation.request(self._address, conversation_id, impersonate=self._impersonate)
        answer = await self._one("GetConversationItems", body)
        if not isinstance(answer, Trouble):
            return conversation.sent_copies(answer, self._address.rpartition("@")[2])
        return of_mailbox(answer) if beyond_item(answer) or answer.code.startswith(NO_ANSWER) else ()

    async def finish(self, ids: Sequence[str], how: Finish) -> Deferred | Rejected | None:
        """Batch by batch; one mail that does not allow it holds up no other."""
        rejected: Rejected | None = None
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            outcome = await (
                self._move(batch, how.removeprefix("move:")) if how.startswith("move:") else self._change(batch, how)
            )
            if isinstance(outcome, Deferred):
                return outcome
            rejected = rejected or outcome
        return rejected

    @property
    def _impersonate(self) -> bool:
        return self._exchange.endpoint.impersonate

    async def _one(self, operation: str, body: Filled) -> ResponseMessage | Trouble:
        return await self._exchange.one(operation, self._address, body)

    async def _poured(self, operation: str, body: Filled, reader: ContentReader) -> ResponseMessage | Trouble:
        """The same, with the content going its own way."""

        async def conclude(answer: Answer, trail: Trail) -> ResponseMessage | Trouble:
            root = await reader.finish() if answer.ok else None
            got = whole(
                read_root(root, answer, operation, trail) if answer.ok else read(answer, operation, trail), 1, trail
            )
            if isinstance(got, Trouble):
                return got
            return got[0] if got[0].succeeded else got[0].trouble

        request = Request(operation, self._address, body)
        return await self._exchange.pour(request, reader.take, conclude, self._exchange.endpoint.timeout_seconds)

    async def _fetch(self, ids: Sequence[str], *, bare: bool) -> Sequence[Fetched]:
        usual = Extent.WHOLE if self._exchange.makes_text else Extent.WITHOUT_TEXT
        extent = Extent.BARE if bare else usual
        answers = await self._get(ids, extent)
        if extent is Extent.WHOLE and _refuses_the_shape(answers):
            extent = Extent.WITHOUT_TEXT
            answers = await self._get(ids, extent)
            self._exchange.makes_text = _refuses_the_shape(answers)
        if not isinstance(answers, Trouble):
            return [_fetched(answer, extent) for answer in answers]
        if len(ids) > 1 and not answers.verdict.scope.beyond_message and not answers.code.startswith(NO_ANSWER):
            alone = [found for each in ids for found in await self._fetch([each], bare=bare)]
            if not all(isinstance(each, Deferred) for each in alone):
                return alone  # one of them was the cause
        return [of_mailbox(answers, one_mail=len(ids) == 1)] * len(ids)

    async def _get(self, ids: Sequence[str], extent: Extent) -> Sequence[ResponseMessage] | Trouble:
        body = get_item.request(self._address, ids, extent, impersonate=self._impersonate)
        return await self._exchange.call("GetItem", self._address, body, len(ids))

    def _attachment(self, file: File, form: Form) -> Filled:
        return get_attachment.request(self._address, file.id, form, impersonate=self._impersonate)

    async def _change(self, ids: Sequence[str], how: Finish) -> Deferred | Rejected | None:
        if how == "mark-read":
            body = finish.mark_read_request(self._address, ids, impersonate=self._impersonate)
            return _finished(await self._exchange.call("UpdateItem", self._address, body, len(ids)))
        assert how == "delete", how
        body = finish.delete_request(self._address, ids, impersonate=self._impersonate)
        return _finished(await self._exchange.call("DeleteItem", self._address, body, len(ids)))

    async def _move(self, ids: Sequence[str], name: str) -> Deferred | Rejected | None:
        """Into the folder of this name. It may have gone since it was last used: then it is looked for again, once."""
        for last in (False, True):
            folder = await self._folders.id_of(self._address, name)
            if isinstance(folder, Trouble):
                return of_finish(replace(folder, of_item=False))
            body = finish.move_request(self._address, ids, folder, impersonate=self._impersonate)
            answers = await self._exchange.call("MoveItem", self._address, body, len(ids))
            if last or not _codes(answers) & _TO_FOLDER_GONE:
                return _finished(answers)
            self._folders.forget(self._address, name)
        raise AssertionError


def _fetched(answer: ResponseMessage, extent: Extent) -> Fetched:
    return (get_item.mail(answer, extent) if answer.succeeded else None) or of_mail(answer.trouble)


def _finished(answers: Sequence[ResponseMessage] | Trouble) -> Deferred | Rejected | None:
    """The worst of it: what may work another time counts for more than what never will, and what speaks of the whole
    mailbox for more than what speaks of one mail.
    """
    troubles = [answers] if isinstance(answers, Trouble) else [each.trouble for each in answers if not each.succeeded]
    outcomes = [outcome for each in troubles if (outcome := of_finish(each)) is not None]
    worst = sorted(outcomes, key=lambda each: (isinstance(each, Rejected), not each.reason.scope.beyond_message))
    return next(iter(worst), None)


def _codes(answers: Sequence[ResponseMessage] | Trouble) -> set[str]:
    return {answers.code} if isinstance(answers, Trouble) else {each.code for each in answers}


def _refuses_the_shape(answers: Sequence[ResponseMessage] | Trouble) -> bool:
    return _codes(answers) <= _SHAPE_REFUSED


def _second(arrival: Arrival) -> datetime | None:
    return arrival.received_at and arrival.received_at.replace(microsecond=0)
