"""Trials of a working mailbox: drafts made to see whether they can be made, looked for, changed and sent. Each is taken
away again, whatever happens meanwhile. A request's stamp holds a space and a trial's does not, so that neither is
ever taken for the other; one that is left behind all the same goes the way of old drafts (`worker/ews/look.py`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import uuid4

from worker.clock import Clock
from worker.ews import remedies
from worker.ews.answer import ResponseMessage
from worker.ews.exchange import Exchange
from worker.ews.mailbox import EwsMailbox
from worker.ews.operations import find_item, retire
from worker.ews.operations.find_item import Folder
from worker.ews.template import TYPES, Filled
from worker.ews.trouble import Trouble
from worker.mail.address import Address, same_mailbox
from worker.mail.checks import Finding, Verdict, passed
from worker.mail.message import Message
from worker.mail.outcome import Deferred, Delivered, Reason, Rejected, Scope, Unknown
from worker.mail.stamp import Stamp
from worker.mail.transport import Draft, Drafted, Look, SendOutcome

_SUBJECT: Final = "CRM Mail Router: test access"
_TEXT: Final = "This mail was made by 'mailrouter check'. It says that mail can be sent, and may be deleted.\n"
_CLEARING_SECONDS: Final = 15.0
_PAUSES: Final = (0.2, 0.5, 1, 1, 2, 3, 5, 8, 10)
"""Seconds between looks for a mail that was sent: half a minute in all."""
_ALLOWANCE: Final = timedelta(hours=1)
"""A server's clock may be so far behind."""
_ROWS: Final = 50
_WITHOUT_RECIPIENTS: Final = frozenset({"ErrorMissingRecipients", "ErrorInvalidRecipients"})


class Trial:
    """One working mailbox and one sender."""

    def __init__(self, exchange: Exchange, address: str, sender: str, clock: Clock, horizon: timedelta) -> None:
        self._exchange = exchange
        self._address = address
        self._sender = sender
        self._clock = clock
        self._mailbox = EwsMailbox(lambda: exchange, address, clock, horizon)
        parties = exchange.endpoint.parties(address)
        self._parties = replace(parties, sender=sender)

    async def folders(self) -> Finding:
        """Whether the three folders can be read that a request's mail can be in."""
        for folder in Folder:
            found = await self._find(folder)
            if isinstance(found, Trouble):
                return self._failed(found.reason())
        return passed("Drafts, Outbox, Sent Items")

    async def draft(self) -> Finding:
        """What docs/delivery-rules.md rests on, as far as it shows without sending (E1, E4, and of E2 the state)."""
        async with self._drafted() as draft:
            if isinstance(draft, Reason):
                return self._failed(draft)
            found = await self._states(draft)
            wrong = found if found and found.verdict is Verdict.FAIL else await self._retired(draft)
            return wrong or found or passed("made, found and removed again")

    async def right(self) -> Finding:
        """Whether mail of the sender may be sent, by sending one without recipients: it cannot leave."""
        if self._is_own:
            return passed("not needed: the mailbox sends its own mail")
        async with self._drafted() as draft:
            if isinstance(draft, Reason):
                return self._failed(draft)
            (outcome,) = await self._mailbox.send([draft])
        if isinstance(outcome, Delivered):
            return passed("Exchange takes such mail")
        if outcome.reason.code in _WITHOUT_RECIPIENTS:
            return passed("not refused; some servers ask for the right later, so that only --send proves it")
        return self._failed(outcome.reason)

    async def send(self) -> Finding:
        """Whether a mail of the sender to itself leaves, and is found in Sent Items."""
        async with self._drafted(Address(self._sender)) as draft:
            if isinstance(draft, Reason):
                return self._failed(draft)
            stamp = self._stamp
            (outcome,) = await self._mailbox.send([draft])
            return await self._left(stamp, outcome)

    @property
    def _is_own(self) -> bool:
        """Whether who signs in, or is acted for, is the sender."""
        endpoint = self._exchange.endpoint
        acts_as = self._address if endpoint.impersonate or endpoint.own_credentials else self._parties.account
        return same_mailbox(self._sender) == same_mailbox(acts_as)

    @contextlib.asynccontextmanager
    async def _drafted(self, *to: Address) -> AsyncIterator[Draft | Reason]:
        """A draft as a look shows it, or why there is none. At the end it is taken out of play, if it still is in."""
        stamp = self._stamp = Stamp(f"check-{uuid4().hex}")  # nothing is decided by chance: it is a name
        message = Message(stamp, "", Address(self._sender), _SUBJECT, to, text=_TEXT)
        try:
            yield await self._made(message)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLEARING_SECONDS):
                    await self._clear(stamp)

    async def _made(self, message: Message) -> Draft | Reason:
        (outcome,) = await self._mailbox.draft([message])
        if not isinstance(outcome, Drafted):
            return outcome.reason
        live = await self._live(message.stamp)
        if isinstance(live, Reason):
            return live
        return live[0] if live else self._unshown("draft-not-shown", "a draft that it has taken is not in Drafts")

    async def _live(self, stamp: Stamp) -> Sequence[Draft] | Reason:
        look = await self._look(stamp)
        return look.reason if isinstance(look, Deferred) else look.of(stamp).live

    async def _clear(self, stamp: Stamp) -> None:
        """Strays with it: the draft may be half retired already, and has no stamp of its own then."""
        look = await self._look(stamp)
        if isinstance(look, Look) and (drafts := (*look.of(stamp).live, *look.strays)):
            await self._mailbox.retire(drafts)

    async def _look(self, stamp: Stamp) -> Look | Deferred:
        return await self._mailbox.look({stamp: self._clock.now() - _ALLOWANCE})

    async def _states(self, draft: Draft) -> Finding | None:
        """A warning if rows do not say whether they are submitted: then they count as not submitted, and are sent."""
        found = await self._find(Folder.DRAFTS)
        if isinstance(found, Trouble):
            return self._failed(found.reason())
        rows = (each for each in found.element.iter(f"{{{TYPES}}}ItemId") if each.get("Id") == draft.id)
        row = next((each.getparent() for each in rows), None)
        if row is None or row.find(f"{{{TYPES}}}IsSubmitted") is None:
            text = f"{self._exchange.endpoint.server}: it does not say whether a draft is submitted"
            return Finding(Verdict.WARNING, text, "state-not-shown", remedies.STATE_NOT_SHOWN)
        return None

    async def _retired(self, draft: Draft) -> Finding | None:
        """What is wrong with taking a draft out of play: once it was changed, what was seen before must not count."""
        impersonate = self._exchange.endpoint.impersonate
        swap = retire.swap_request(self._address, [draft], impersonate=impersonate)
        first = await self._one("UpdateItem", swap)
        if isinstance(first, Trouble):
            return self._failed(first.reason())
        key = retire.swapped(first)
        if key is None:
            return self._failed(self._unshown("change-key-not-shown", "it does not tell a changed draft's ChangeKey"))
        try:
            again = await self._one("UpdateItem", swap)
        finally:
            body = retire.delete_request(self._address, [key], impersonate=impersonate)
            removed = await self._one("DeleteItem", body)
        if not isinstance(again, Trouble):
            return self._failed(self._unshown("change-key-ignored", "it lets a draft be changed by an old ChangeKey"))
        return self._failed(removed.reason()) if isinstance(removed, Trouble) else None

    async def _left(self, stamp: Stamp, outcome: SendOutcome) -> Finding:
        if isinstance(outcome, Deferred | Rejected):
            return self._failed(outcome.reason)
        for pause in (0.0, *_PAUSES):
            await self._clock.sleep(pause)
            found = await self._find(Folder.SENT_ITEMS)
            page = None if isinstance(found, Trouble) else find_item.page(found, 0)
            for row in page.rows if page else ():
                if row.stamp == stamp:
                    return passed(f"left as {row.message_id}" if row.message_id else "left")
        if isinstance(outcome, Unknown):
            return self._failed(outcome.reason)
        text = "Exchange has taken the mail, and it is not in Sent Items yet"
        return Finding(Verdict.WARNING, text, "not-left", self._parties.told(remedies.NOT_LEFT))

    async def _find(self, folder: Folder) -> ResponseMessage | Trouble:
        impersonate = self._exchange.endpoint.impersonate
        body = find_item.request(self._address, [folder], offset=0, size=_ROWS, impersonate=impersonate)
        return await self._one("FindItem", body)

    async def _one(self, operation: str, body: Filled) -> ResponseMessage | Trouble:
        return await self._exchange.one(operation, self._address, body)

    def _unshown(self, code: str, text: str) -> Reason:
        server = self._exchange.endpoint.server
        return Reason(code, Scope.SERVER, f"{server}: {text}", remedies.NOT_SHOWN)

    def _failed(self, reason: Reason) -> Finding:
        """Where one mailbox sends for many, only here it is known whose mail is meant."""
        return Finding.of(replace(reason, remedy=self._parties.told(reason.remedy)))
