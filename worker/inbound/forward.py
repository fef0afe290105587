"""Forward mailboxes: users' rules forward their mail there as attachment; the mail that counts is the one inside."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Final

from worker.inbound.mime import parse
from worker.mail.incoming import Fetched, File, IncomingMail, IncomingMailbox, Unreadable, Vanished
from worker.mail.outcome import Deferred, Reason, Scope

UNDELIVERABLE: Final = "Undeliverable"
"""The folder for what holds no forwarded mail; the old Email Router's name for it."""

MOST_BYTES: Final = 32 * 2**20
"""The largest mail that is read from a file; one that Exchange keeps as an item has no such limit."""

MOST: Final = 100
"""So many mails forwarded in one are read, and so much of them is in memory at once as `MOST_BYTES`."""

NO_ORIGINAL: Final = Reason(
    "no-original",
    Scope.MESSAGE,
    "a mail in a forward mailbox holds no mail forwarded as attachment",
    f"it lies in the folder {UNDELIVERABLE} of that mailbox; forward it as attachment, or drop this letter",
)
TOO_MANY: Final = Reason(
    "forwarded-too-many",
    Scope.MESSAGE,
    f"a mail holds more than {MOST} forwarded mails, or they are larger than {MOST_BYTES // 2**20} MiB together; the "
    "first ones were published",
    "look at it in the forward mailbox, and forward the rest of them in several mails",
)
_TOO_LARGE: Final = Reason(
    "forwarded-too-large",
    Scope.MESSAGE,
    f"a mail forwarded as a file is larger than {MOST_BYTES // 2**20} MiB",
    "deal with it in the forward mailbox; forwarded as an Outlook item it has no such limit",
)


class _TooLarge(Exception):  # noqa: N818 - ends a reading
    """More than is read into memory."""


@dataclass(frozen=True, slots=True)
class Original:
    """A mail that was forwarded, and the attachment that it is."""

    mail: IncomingMail
    file: File


async def originals(
    mailbox: IncomingMailbox, mail: IncomingMail
) -> AsyncIterator[Original | Vanished | Unreadable | Deferred]:
    """The mails that this one carries, one after another; `NO_ORIGINAL` if it carries none.

    Where the attachment does not tell when it was received, the time the forwarded mail came counts, and its id is that
    of the mail around it, under which it can be found.
    """
    files = [each for each in mail.files if _is_mail(each)]
    for file in files[:MOST]:
        inner = await (mailbox.embedded(file) if file.item else _from_file(mailbox, file, mail))
        yield Original(_placed(inner, mail), file) if isinstance(inner, IncomingMail) else inner
    if len(files) > MOST or not files:
        yield Unreadable(TOO_MANY if files else NO_ORIGINAL)


def _is_mail(file: File) -> bool:
    kind = file.content_type.casefold()
    return kind.startswith("message/rfc822") or file.name.casefold().endswith(".eml") or (file.item and not kind)


async def _from_file(mailbox: IncomingMailbox, file: File, mail: IncomingMail) -> Fetched:
    parts = bytearray()

    async def sink(part: bytes) -> None:
        parts.extend(part)
        if len(parts) > MOST_BYTES:
            raise _TooLarge

    try:
        outcome: Vanished | Unreadable | Deferred | None = await mailbox.content(file, sink)
    except _TooLarge:
        return Unreadable(_TOO_LARGE)
    return parse(bytes(parts), mail.id, mail.received_at) if outcome is None else outcome


def _placed(inner: IncomingMail, around: IncomingMail) -> IncomingMail:
    return replace(inner, id=around.id, received_at=inner.received_at or around.received_at)
