"""The attachments of a mail that came in: small ones into the event, large ones into the store, none whole in memory.

A file begins in memory and goes over into the store when it turns out to be too large for the event. Keys say which
mail and which of its files, so that a mail that is taken again overwrites what it left the time before.
"""

import hashlib
import re
import unicodedata
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from worker.events.received import ReceivedFile
from worker.mail.incoming import File, IncomingMail, IncomingMailbox, Sink, Unreadable, Vanished
from worker.mail.outcome import Deferred
from worker.mail.store import AttachmentStore

FILES: Final = 500
"""So many files of one mail are told."""

_PORTION_BYTES: Final = 256 * 2**10
_BEGINNING: Final = 64
_NAME_CHARACTERS: Final = 80

_ITEMS: Final = (
    (b"BEGIN:VCALENDAR", "text/calendar", ".ics"),
    (b"BEGIN:VCARD", "text/vcard", ".vcf"),
    (b"", "message/rfc822", ".eml"),
)
"""What an attached item is in its Internet form, by how that begins: appointments, contacts, everything else."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """`left_out` names, each in a sentence for a person, the files that could not be had."""

    files: tuple[ReceivedFile, ...]
    left_out: tuple[str, ...] = ()


async def gather(  # noqa: PLR0913 - what there is, where it goes, and the limits
    mailbox: IncomingMailbox,
    mail: IncomingMail,
    store: AttachmentStore,
    key: str,
    *,
    inline_bytes: int,
    total_bytes: int,
    max_bytes: int,
) -> Gathered | Vanished | Deferred:
    """Every file of a normalised mail. Up to `inline_bytes` it stays in the event, while all of those, written in
    base64, have room in `total_bytes`. One that cannot be read, or exceeds `max_bytes`, does not cost the mail; nor
    does one that could not be had again and again, so that the mail is read without its body.

    Raises `Unstored`. `key` is what all keys of this mail begin with.
    """
    files: list[ReceivedFile] = []
    left_out: list[str] = []
    room = total_bytes
    for number, file in enumerate(mail.files[:FILES], 1):
        taking = _Taking(file, store, f"{key}/{number}-", min(inline_bytes, room // 4 * 3), max_bytes)
        try:
            taken = await taking.take(mailbox)
        except _TooLarge:
            left_out.append(f'the attachment "{file.name}" is larger than {max_bytes} bytes')
            continue
        if isinstance(taken, Vanished):
            gone = await _gone(mailbox, mail)
            if gone is not None:
                return gone
            left_out.append(f'the attachment "{file.name}" is not there any more')
        elif isinstance(taken, Unreadable):
            left_out.append(f'the attachment "{file.name}" cannot be read ({taken.reason.code})')
        elif isinstance(taken, Deferred):
            if not mail.bare or taken.reason.scope.beyond_message:
                return taken
            left_out.append(f'the attachment "{file.name}" could not be had ({taken.reason.code})')
        else:
            files.append(taken)
            room -= (len(taken.content) + 2) // 3 * 4 if taken.content is not None else 0
    if len(mail.files) > FILES:
        left_out.append(f"{len(mail.files) - FILES} more attachments")
    return Gathered(tuple(files), tuple(left_out))


async def _gone(mailbox: IncomingMailbox, mail: IncomingMail) -> Vanished | Deferred | None:
    """Whether it is the mail that has vanished, or a file of it alone."""
    (found,) = await mailbox.fetch([mail.id], bare=True)
    return found if isinstance(found, Vanished | Deferred) else None


class _TooLarge(Exception):  # noqa: N818 - it ends a reading
    """The file goes on beyond the limit."""


class _NotRead(Exception):  # noqa: N818 - it takes an outcome past the store, which must not keep what came so far
    def __init__(self, outcome: Vanished | Unreadable | Deferred) -> None:
        super().__init__()
        self.outcome = outcome


class _Taking:
    """One file on its way, in memory up to `inline_bytes`, beyond that in the store."""

    def __init__(self, file: File, store: AttachmentStore, prefix: str, inline_bytes: int, max_bytes: int) -> None:
        self._file = file
        self._store = store
        self._prefix = prefix
        self._inline_bytes = inline_bytes
        self._max_bytes = max_bytes
        self._stack = AsyncExitStack()
        self._memory = bytearray()
        self._beyond: Sink | None = None
        self._digest = hashlib.sha256()
        self._size = 0
        self._beginning = b""
        self._url = ""

    async def take(self, mailbox: IncomingMailbox) -> ReceivedFile | Vanished | Unreadable | Deferred:
        """Raises `_TooLarge`, and `Unstored`."""
        if self._file.size > self._max_bytes:
            raise _TooLarge
        try:
            async with self._stack:
                await self._read(mailbox)
        except _NotRead as error:
            return error.outcome
        name, content_type = self._called()
        return ReceivedFile(
            name=name,
            content_type=content_type,
            size=self._size,
            sha256=self._digest.hexdigest(),
            content_id=self._file.content_id,
            inline=self._file.inline,
            content=None if self._url else bytes(self._memory),
            url=self._url,
        )

    async def _read(self, mailbox: IncomingMailbox) -> None:
        content = self._file.content
        if content is None:
            outcome = await mailbox.content(self._file, self._sink)
            if outcome is not None:
                raise _NotRead(outcome)
        for start in range(0, len(content or b""), _PORTION_BYTES):
            await self._sink((content or b"")[start : start + _PORTION_BYTES])

    async def _sink(self, portion: bytes) -> None:
        self._size += len(portion)
        if self._size > self._max_bytes:
            raise _TooLarge
        self._digest.update(portion)
        self._beginning += portion[: _BEGINNING - len(self._beginning)]
        if self._beyond is None:
            self._memory += portion
            if len(self._memory) <= self._inline_bytes:
                return
            self._beyond = await self._open()
            portion = bytes(self._memory)
            self._memory.clear()
        await self._beyond(portion)

    async def _open(self) -> Sink:
        """The place in the store where the file goes on, from its beginning."""
        name, _ = self._called()
        key = self._prefix + safe_name(name)
        self._url = self._store.url(key)
        return await self._stack.enter_async_context(self._store.writing(key))

    def _called(self) -> tuple[str, str]:
        """Name and content type. An attached item is called by its subject, and what it is shows in its content."""
        file = self._file
        if not file.item:
            return file.name, file.content_type
        beginning = self._beginning.lstrip().upper()
        content_type, ending = next(each[1:] for each in _ITEMS if beginning.startswith(each[0]))
        return file.name if file.name.lower().endswith(ending) else file.name + ending, content_type


def safe_name(name: str) -> str:
    """What of a file's name any store and any URL takes as it is."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._")
    stem, dot, ending = safe.rpartition(".")
    if not dot or len(ending) > 10:  # noqa: PLR2004 - no ending of a file is that long
        return safe[:_NAME_CHARACTERS] or "file"
    return f"{stem[:_NAME_CHARACTERS]}.{ending}"
