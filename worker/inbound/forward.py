"""Forward mailboxes: users' rules forward their mail there as attachment; the mail that counts is the one inside."""

from dataclasses import replace
from typing import Final

from worker.inbound.mime import parse
from worker.mail.incoming import Fetched, File, IncomingMail, IncomingMailbox, Unreadable, Vanished
from worker.mail.outcome import Deferred, Reason, Scope

UNDELIVERABLE: Final = "Undeliverable"
"""The folder for what holds no forwarded mail; the old Email Router's name for it."""

MOST_BYTES: Final = 32 * 2**20
"""The largest mail that is read from a file; one that Exchange keeps as an item has no such limit."""

_TOO_LARGE: Final = Reason(
    "forwarded-too-large",
    Scope.MESSAGE,
    f"a mail forwarded as a file is larger than {MOST_BYTES // 2**20} MiB",
    "deal with it in the forward mailbox; forwarded as an Outlook item it has no such limit",
)


class _TooLarge(Exception):  # noqa: N818 - ends a reading
    """More than is read into memory."""


async def original(mailbox: IncomingMailbox, mail: IncomingMail) -> Fetched | None:
    """The mail that this one carries; None if it carries none.

    Where the attachment does not tell when it was received, the time the forwarded mail came counts, and its id is that
    of the mail around it, under which it can be found.
    """
    file = next((each for each in mail.files if each.item and _is_mail(each)), None)
    if file is not None:
        inner = await mailbox.embedded(file)
    else:
        file = next((each for each in mail.files if _is_mail(each)), None)
        if file is None:
            return None
        inner = await _from_file(mailbox, file, mail)
    if not isinstance(inner, IncomingMail):
        return inner
    return _placed(inner, mail)


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
