"""What comes of a mail that was fetched, or of each of those that were forwarded in it: in bounded time and memory, and
whatever goes wrong is a value.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import structlog

from worker.inbound.classify import is_report
from worker.inbound.failures import breaks_off
from worker.inbound.forward import MOST_BYTES, TOO_MANY, Original, originals
from worker.inbound.intake import Intake, Ready, Taken
from worker.inbound.normalise import author, normalise
from worker.mail.incoming import Fetched, IncomingMail, IncomingMailbox, Unreadable
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.store import Unstored
from worker.mail.trace import PollSpan
from worker.profiles.directory import IncomingRoute

MAIL_SECONDS: Final = 300.0
"""How long one mail may take, attachments and all, before it counts as unreadable."""

_log = structlog.get_logger("inbound")

BUG: Final = Reason(
    "internal-error",
    Scope.MESSAGE,
    "the worker could not handle this mail: a defect of the worker",
    "report it with the worker's log of this moment; 'mailrouter dead replay ID' tries it again",
)
SLOW: Final = Reason(
    "mail-too-slow",
    Scope.MESSAGE,
    f"the mail and its attachments could not be read within {MAIL_SECONDS:.0f} s",
    "look at the mail in its mailbox; 'mailrouter dead replay ID' tries it again",
)


class Taking:
    """The mails of one mailbox, during one poll."""

    def __init__(self, intake: Intake, mailbox: IncomingMailbox, route: IncomingRoute, span: PollSpan) -> None:
        self._intake = intake
        self._mailbox = mailbox
        self._route = route
        self._span = span

    async def taken(self, found: Fetched) -> Sequence[Taken]:
        """Never empty, and never raises. What came before a failure counts."""
        if not isinstance(found, IncomingMail):
            return [found]
        taken: list[Taken] = []
        limit = asyncio.timeout(MAIL_SECONDS)
        try:
            async with limit:
                async for each in self._each(found):
                    taken.append(each)  # noqa: PERF401 - what is there when it ends too early would be lost
        except Unstored as error:
            taken.append(Deferred(_not_stored(str(error))))
        except Exception:  # noqa: BLE001 - a bug must cost its own mail, not the mailbox
            if limit.expired():
                return [*taken, Unreadable(SLOW)]
            _log.exception("a bug stopped a mail", mailbox=self._route.working.address, item_id=found.id)
            taken.append(Unreadable(BUG))
        return taken

    async def _each(self, mail: IncomingMail) -> AsyncIterator[Taken]:
        """A report that comes into a forward mailbox was forwarded by nobody, whatever it holds."""
        if self._route.mailbox.kind != "forward" or is_report(normalise(mail)):
            yield await self._take(mail)
            return
        size = 0
        async for inner in originals(self._mailbox, mail):
            if size > MOST_BYTES:
                yield Unreadable(TOO_MANY)
                return
            taken = await self._take(mail, inner) if isinstance(inner, Original) else inner
            yield taken
            if isinstance(taken, Deferred) and breaks_off(taken):
                return
            size += taken.size if isinstance(taken, Ready) else 0

    async def _take(self, mail: IncomingMail, inner: Original | None = None) -> Taken:
        return await self._intake.take(
            self._mailbox,
            self._route.working.address,
            self._route.profile,
            inner.mail if inner else mail,
            author(mail) if inner else None,
            file=inner.file if inner else None,
            poll=self._span,
        )


def _not_stored(cause: str) -> Reason:
    return Reason(
        "not-stored",
        Scope.MAILBOX,
        f"the attachment store did not take a file: {cause}",
        "make room in, or mend, the store",
    )
