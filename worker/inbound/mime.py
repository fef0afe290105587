"""Mails in their Internet form: those in files of forward mailboxes, and what of a mail only its source tells."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from worker.inbound.addresses import listed
from worker.inbound.header import MEETING_METHODS, words_decoded
from worker.inbound.normalise import normalise
from worker.inbound.parts import Headers, Part, split
from worker.mail.address import Address
from worker.mail.incoming import File, IncomingMail
from worker.mail.message import Importance, Sensitivity

_IMPORTANCE: Final[dict[str, Importance]] = {
    "high": "high",
    "urgent": "high",
    "1": "high",
    "2": "high",
    "low": "low",
    "non-urgent": "low",
    "4": "low",
    "5": "low",
}
_SENSITIVITY: Final[dict[str, Sensitivity]] = {
    "personal": "personal",
    "private": "private",
    "company-confidential": "confidential",
    "confidential": "confidential",
}
_ENDINGS: Final = {
    "text/plain": "txt",
    "text/html": "html",
    "text/calendar": "ics",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "message/global": "eml",
    "message/rfc822": "eml",
    "application/ms-tnef": "dat",
    "application/pkcs7-mime": "p7m",
    "application/pkcs7-signature": "p7s",
}
_STEMS: Final = {"message/rfc822": "message", "message/global": "message", "text/calendar": "invitation"}


def parse(source: bytes, id: str, received_at: datetime | None) -> IncomingMail:  # noqa: A002 - its name in the port
    """The mail that these bytes are. Takes anything and never raises: what is no mail is one with a strange body."""
    whole, complete = split(source)
    found = _Found()
    found.read(whole)
    headers = whole.headers
    return IncomingMail(
        id=id,
        received_at=received_at,
        item_class=_class(whole),
        message_id=_first(headers, "message-id"),
        in_reply_to=_first(headers, "in-reply-to"),
        references=_first(headers, "references"),
        conversation_index=_index(_first(headers, "thread-index")),
        from_=next(iter(_addresses(headers, "from")), None),
        sender=next(iter(_addresses(headers, "sender")), None),
        to=_addresses(headers, "to"),
        cc=_addresses(headers, "cc"),
        bcc=_addresses(headers, "bcc"),
        reply_to=_addresses(headers, "reply-to"),
        subject=words_decoded(_first(headers, "subject")),
        html=found.html.text if found.html else None,
        text=found.plain.text if found.plain else None,
        sent_at=date(_first(headers, "date")),
        importance=_importance(headers),
        sensitivity=_SENSITIVITY.get(_first(headers, "sensitivity").lower(), "normal"),
        headers=headers,
        files=tuple(_file(part, number) for number, part in enumerate(found.files, 1)),
        incomplete="" if complete else "it has more parts than are read",
    )


def completed(mail: IncomingMail, source: bytes) -> IncomingMail:
    """A normalised mail with what its properties lack and its source tells: bodies, ids, header fields, the calendar
    object of a meeting. The source may be cut off.
    """
    if not source:
        return mail
    told = normalise(parse(source, mail.id, mail.received_at))
    bodies = not (mail.html or mail.text)
    calendars = [each for each in told.files if _is_calendar(each)][: not any(map(_is_calendar, mail.files))]
    return replace(
        mail,
        message_id=mail.message_id or told.message_id,
        in_reply_to=mail.in_reply_to or told.in_reply_to,
        references=mail.references or told.references,
        from_=mail.from_ if mail.from_ and "@" in mail.from_.address else told.from_ or mail.from_,
        html=told.html if bodies else mail.html,
        text=told.text if bodies else mail.text,
        headers=mail.headers or told.headers,
        files=(*(each for each in told.files if bodies and each.id.startswith("body.")), *mail.files, *calendars),
    )


def _is_calendar(file: File) -> bool:
    return file.content_type.casefold().startswith("text/calendar")


@dataclass(slots=True)
class _Found:
    """Which part is a body, and which is a file."""

    html: Part | None = None
    plain: Part | None = None
    files: list[Part] = field(default_factory=list)

    def read(self, part: Part) -> None:
        """The first text is the body, with its other form beside it in the same alternative; all else are files."""
        if part.kind == "multipart/alternative" and part.inner:
            self._alternative(part.inner)
        elif part.inner:
            for each in part.inner:
                self.read(each)
        elif not self._is_body(part, alone=True):
            self._keep(part)

    def _alternative(self, parts: Sequence[Part]) -> None:
        mine = _Found()
        for each in parts:
            if each.kind == "multipart/alternative" or each.inner:
                inside = _Found()
                inside.read(each)
                mine.html, mine.plain = inside.html or mine.html, mine.plain or inside.plain
                mine.files += inside.files
            elif not mine._is_body(each, alone=False):
                mine._keep(each)
        if self.html or self.plain:  # a second text, behind an attachment say
            self.files += [each for each in (mine.plain, mine.html) if each]
        else:
            self.html, self.plain = mine.html, mine.plain
        self.files += mine.files

    def _is_body(self, part: Part, *, alone: bool) -> bool:
        broken = part.kind.startswith("multipart/")  # without its boundaries all of it is text
        if not broken and part.kind not in ("text/html", "text/plain"):
            return False
        if part.disposition[0] == "attachment" or part.file_name:
            return False
        if alone and (self.html or self.plain):
            return False
        if part.kind == "text/html" and self.html is None:
            self.html = part
        elif part.kind != "text/html" and self.plain is None:
            self.plain = part
        else:
            return False
        return True

    def _keep(self, part: Part) -> None:
        if part.kind.startswith("multipart/") and part.begin == part.end:
            return
        if part.begin < part.end or part.file_name:
            self.files.append(part)


def _file(part: Part, number: int) -> File:
    item = part.kind in ("message/rfc822", "message/global")
    content_id = part.header("Content-ID").strip("<> ")
    inline = part.disposition[0] == "inline" or (bool(content_id) and part.disposition[0] != "attachment")
    method = part.named.get("method", "").lower()
    kind = f"{part.kind}; method={method}" if part.kind == "text/calendar" and method.isalpha() else part.kind
    name = part.file_name or f"{_STEMS.get(part.kind, 'attachment')}{number}.{_ENDINGS.get(part.kind, 'bin')}"
    content = part.content
    return File(
        id=str(number),
        name=name,
        content_type=kind,
        size=len(content),
        content_id=content_id,
        inline=inline,
        item=item,
        content=content,
    )


def _class(whole: Part) -> str:
    """Exchange's class, for the mails that their parts alone tell from others: meetings."""
    for part in whole.walk():
        if part.kind == "text/calendar" and part.disposition[0] != "attachment":
            method = part.named.get("method", "").lower()
            return "IPM.Schedule.Meeting" if method in MEETING_METHODS else "IPM.Note"
    return "IPM.Note"


def _first(headers: Headers, name: str) -> str:
    return next((value for each, value in headers if each.casefold() == name), "")


def _addresses(headers: Headers, name: str) -> tuple[Address, ...]:
    return listed(", ".join(value for each, value in headers if each.casefold() == name))


def date(text: str) -> datetime | None:
    """A mail's date as programs write it; None for what is none."""
    try:
        moment = parsedate_to_datetime(text[:200])
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None


def _importance(headers: Headers) -> Importance:
    for name in ("importance", "x-priority", "priority", "x-msmail-priority"):
        words = _first(headers, name).lower().split()
        if words:
            return _IMPORTANCE.get(words[0], "normal")
    return "normal"


def _index(text: str) -> bytes:
    try:
        return base64.b64decode(text[:4000], validate=False)
    except ValueError:
        return b""
