"""The world outside: what comes back for a mail that left. All of it mail in MIME, as real programs write it.

A tag in the local part of a recipient outside orders it: `x+reply@customer.example` answers, `x+bounce@...` does not
exist. The words are those of `ANSWERS`. The witness orders the same for any mail that left.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.header import Header
from email.utils import format_datetime
from typing import Final

from worker.sandbox.sent_mail import SentMail

_LINE = "\r\n"


@dataclass(frozen=True, slots=True)
class Trip:
    """A mail on its way to one recipient. `source`: in MIME, as it left. `at`: when it is answered."""

    mail: SentMail
    recipient: str
    source: bytes
    at: datetime
    text: str = ""
    """What the answer says; something ordinary if empty."""

    @property
    def subject(self) -> str:
        return self.mail.subject

    def message_id(self, kind: str) -> str:
        """The answer's own, the same for the same order."""
        told = f"{self.mail.number} {self.mail.message_id} {self.recipient} {kind} {self.at.isoformat()}"
        return f"<{hashlib.sha256(told.encode()).hexdigest()[:32]}@{_domain(self.recipient)}>"


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back, to the mailbox the mail left from. `item_class`: what only the server that wrote it knows."""

    write: Callable[[Trip], bytes]
    text: str
    item_class: str = ""


def tags(address: str) -> Iterator[str]:
    """The answers a recipient's address orders."""
    for tag in address.rpartition("@")[0].split("+")[1:]:
        if tag in ANSWERS:
            yield tag


def reply(trip: Trip) -> bytes:
    """As a person's mail program writes it: the thread's headers, the text of before quoted."""
    references = " ".join([*trip.mail.references.split(), trip.mail.message_id])
    text = trip.text or "Thank you, that suits me well."
    return _alternative(
        [
            ("From", trip.recipient),
            ("To", trip.mail.sent_from),
            ("Subject", _again("Re: ", trip.subject)),
            ("Date", format_datetime(trip.at)),
            ("Message-ID", trip.message_id("reply")),
            ("In-Reply-To", trip.mail.message_id),
            ("References", references),
        ],
        f"{text}\n\nOn {trip.mail.left_at:%d %b %Y at %H:%M}, {trip.mail.sent_from} wrote:\n> ...",
        f"<html><body><p>{_escaped(text)}</p><blockquote>...</blockquote></body></html>",
    )


def out_of_office(trip: Trip) -> bytes:
    """An automatic answer (RFC 3834)."""
    return _text(
        [
            ("From", trip.recipient),
            ("To", trip.mail.sent_from),
            ("Subject", f"Automatic reply: {trip.subject}"),
            ("Date", format_datetime(trip.at)),
            ("Message-ID", trip.message_id("ooo")),
            ("In-Reply-To", trip.mail.message_id),
            ("References", trip.mail.message_id),
            ("Auto-Submitted", "auto-replied"),
            ("X-Auto-Response-Suppress", "All"),
            ("Precedence", "auto_reply"),
        ],
        trip.text or "I am away until Monday and will read your message then.",
    )


def exchange_report(trip: Trip) -> bytes:
    """A non-delivery report as Exchange makes one."""
    host = f"mail.{_domain(trip.mail.mailbox)}"
    diagnostic = trip.text or "550 5.1.1 User unknown"
    return _report(
        [
            ("From", f"Microsoft Outlook <postmaster@{_domain(trip.mail.mailbox)}>"),
            ("To", trip.mail.sent_from),
            ("Subject", f"Undeliverable: {trip.subject}"),
            ("Date", format_datetime(trip.at)),
            ("Message-ID", trip.message_id("bounce")),
            ("In-Reply-To", trip.mail.message_id),
            ("References", trip.mail.message_id),
            ("Auto-Submitted", "auto-replied"),
            ("X-MS-Exchange-Message-Is-Ndr", ""),
            ("Thread-Topic", trip.subject),
        ],
        "delivery-status",
        f"Your message to {trip.recipient} could not be delivered.\n\nThe other server said: {diagnostic}\n",
        [
            f"Reporting-MTA: dns;{host}",
            f"Received-From-MTA: dns;{host}",
            f"Arrival-Date: {format_datetime(trip.mail.left_at)}",
            "",
            f"Original-Recipient: rfc822;{trip.recipient}",
            f"Final-Recipient: rfc822;{trip.recipient}",
            "Action: failed",
            f"Status: {_status(diagnostic)}",
            f"Diagnostic-Code: smtp;{diagnostic}",
            f"Remote-MTA: dns;mx.{_domain(trip.recipient)}",
        ],
        trip.source,
    )


def postfix_report(trip: Trip) -> bytes:
    """A bounce as Postfix writes it, from the other side; it names the mail only in what it returns."""
    host = f"mx.{_domain(trip.recipient)}"
    diagnostic = trip.text or "550 5.1.1 User unknown"
    return _report(
        [
            ("Return-Path", "<>"),
            ("From", f"MAILER-DAEMON@{host} (Mail Delivery System)"),
            ("To", trip.mail.sent_from),
            ("Subject", "Undelivered Mail Returned to Sender"),
            ("Date", format_datetime(trip.at)),
            ("Message-ID", f"<{trip.mail.number:014d}.4ABCDEF@{host}>"),
            ("Auto-Submitted", "auto-replied"),
        ],
        "delivery-status",
        f"This is the mail system at host {host}.\n\n<{trip.recipient}>: {diagnostic}\n",
        [
            f"Reporting-MTA: dns; {host}",
            "X-Postfix-Queue-ID: 4ABCDEF",
            f"X-Postfix-Sender: rfc822; {trip.mail.sent_from}",
            f"Arrival-Date: {format_datetime(trip.mail.left_at)}",
            "",
            f"Final-Recipient: rfc822; {trip.recipient}",
            "Action: failed",
            f"Status: {_status(diagnostic)}",
            f"Diagnostic-Code: smtp; {diagnostic}",
        ],
        trip.source,
    )


def delay_report(trip: Trip) -> bytes:
    """A warning: it is still being tried. No bounce."""
    host = f"mx.{_domain(trip.recipient)}"
    return _report(
        [
            ("From", f"MAILER-DAEMON@{host} (Mail Delivery System)"),
            ("To", trip.mail.sent_from),
            ("Subject", "Delayed Mail (still being retried)"),
            ("Date", format_datetime(trip.at)),
            ("Message-ID", trip.message_id("delayed")),
            ("Auto-Submitted", "auto-replied"),
        ],
        "delivery-status",
        f"Your message to {trip.recipient} has not been delivered yet. Nothing needs to be done.\n",
        [
            f"Reporting-MTA: dns; {host}",
            "",
            f"Final-Recipient: rfc822; {trip.recipient}",
            "Action: delayed",
            "Status: 4.4.1",
            "Diagnostic-Code: smtp; 451 4.4.1 No answer from the host",
        ],
        trip.source,
    )


def read_receipt(trip: Trip) -> bytes:
    """The recipient's program tells that the mail was shown (RFC 8098)."""
    return _report(
        [
            ("From", trip.recipient),
            ("To", trip.mail.sent_from),
            ("Subject", f"Read: {trip.subject}"),
            ("Date", format_datetime(trip.at)),
            ("Message-ID", trip.message_id("receipt")),
            ("In-Reply-To", trip.mail.message_id),
            ("References", trip.mail.message_id),
        ],
        "disposition-notification",
        f"Your message to {trip.recipient} was displayed.\n",
        [
            "Reporting-UA: sandbox; Mail",
            f"Final-Recipient: rfc822;{trip.recipient}",
            f"Original-Message-ID: {trip.mail.message_id}",
            "Disposition: manual-action/MDN-sent-manually; displayed",
        ],
    )


def invitation(trip: Trip) -> bytes:
    """The recipient asks for a meeting."""
    begins = (trip.at + timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
    calendar = [
        "BEGIN:VCALENDAR", "METHOD:REQUEST", "PRODID:-//sandbox//EN", "VERSION:2.0", "BEGIN:VEVENT",
        f"UID:{trip.message_id('meeting').strip('<>')}", f"DTSTAMP:{trip.at:%Y%m%dT%H%M%SZ}",
        f"DTSTART:{begins:%Y%m%dT%H%M%SZ}", f"DTEND:{begins + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        f"SUMMARY:{trip.subject}", f"ORGANIZER:mailto:{trip.recipient}",
        f"ATTENDEE;ROLE=REQ-PARTICIPANT;RSVP=TRUE:mailto:{trip.mail.sent_from}", "END:VEVENT", "END:VCALENDAR", "",
    ]  # fmt: skip
    fields = [
        ("From", trip.recipient),
        ("To", trip.mail.sent_from),
        ("Subject", trip.subject),
        ("Date", format_datetime(trip.at)),
        ("Message-ID", trip.message_id("meeting")),
    ]
    parts = [
        (_TEXT, _base64((trip.text or "Shall we meet?").encode())),
        (
            "Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\nContent-Transfer-Encoding: base64",
            _base64(_LINE.join(calendar).encode()),
        ),
    ]
    return _multipart(fields, "multipart/alternative", parts)


def forwarded(trip: Trip) -> bytes:
    """The mail comes back inside another one, as a rule "forward as attachment" sends it."""
    fields = [
        ("From", trip.recipient),
        ("To", trip.mail.sent_from),
        ("Subject", f"FW: {trip.subject}"),
        ("Date", format_datetime(trip.at)),
        ("Message-ID", trip.message_id("forward")),
    ]
    parts = [(_TEXT, _base64(trip.text.encode())), ("Content-Type: message/rfc822", trip.source)]
    return _multipart(fields, "multipart/mixed", parts)


ANSWERS: Final[dict[str, Answer]] = {
    "reply": Answer(reply, "the recipient answers"),
    "ooo": Answer(out_of_office, "an automatic reply", "IPM.Note.Rules.OofTemplate.Microsoft"),
    "autoreply": Answer(out_of_office, "an automatic reply of another mail system: an ordinary mail to Exchange"),
    "bounce": Answer(exchange_report, "a non-delivery report as Exchange makes it"),
    "postfix": Answer(postfix_report, "a bounce as Postfix makes it"),
    "delayed": Answer(delay_report, "a warning that the mail is late"),
    "receipt": Answer(read_receipt, "a read receipt"),
    "meeting": Answer(invitation, "a meeting request"),
    "forward": Answer(forwarded, "the mail comes back as an attachment of another"),
}

_TEXT: Final = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64"


def _status(diagnostic: str) -> str:
    """The enhanced status code in what a server said."""
    return next((each for each in diagnostic.split() if each.count(".") == 2), "5.0.0")  # noqa: PLR2004 - as in 5.1.1


def _again(prefix: str, subject: str) -> str:
    return subject if subject.casefold().startswith(prefix.casefold()) else prefix + subject


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _text(fields: list[tuple[str, str]], text: str) -> bytes:
    head = _head([*fields, ("MIME-Version", "1.0")]) + f"{_TEXT}\r\n\r\n".encode()
    return head + _base64(text.encode())


def _alternative(fields: list[tuple[str, str]], text: str, markup: str) -> bytes:
    parts = [(_TEXT, _base64(text.encode())), (_TEXT.replace("plain", "html"), _base64(markup.encode()))]
    return _multipart(fields, "multipart/alternative", parts)


def _report(
    fields: list[tuple[str, str]], kind: str, text: str, status: list[str], returned: bytes | None = None
) -> bytes:
    """RFC 6522: what a person reads, what a machine reads, and the mail it is about."""
    machine = (_LINE.join(status) + _LINE).encode()
    parts = [(_TEXT, _base64(text.encode())), (f"Content-Type: message/{kind}", machine)]
    if returned is not None:
        parts.append(("Content-Type: message/rfc822", returned))
    return _multipart(fields, f"multipart/report; report-type={kind}", parts)


def _multipart(fields: list[tuple[str, str]], kind: str, parts: list[tuple[str, bytes]]) -> bytes:
    head = _head([*fields, ("MIME-Version", "1.0")])
    boundary = "=_" + hashlib.sha256(head).hexdigest()[:24]
    body = b"".join(
        f"--{boundary}{_LINE}{part_head}{_LINE}{_LINE}".encode() + content + _LINE.encode()
        for part_head, content in parts
    )
    return (
        head
        + f'Content-Type: {kind}; boundary="{boundary}"{_LINE}{_LINE}'.encode()
        + body
        + f"--{boundary}--\r\n".encode()
    )


def _head(fields: list[tuple[str, str]]) -> bytes:
    lines = [f"{name}: {_encoded(value)}{_LINE}" for name, value in fields]
    return "".join(lines).encode()


def _encoded(value: str) -> str:
    one_line = " ".join(value.split())
    return one_line if one_line.isascii() else Header(one_line, "utf-8").encode(linesep=_LINE)


def _base64(content: bytes) -> bytes:
    return base64.encodebytes(content).replace(b"\n", b"\r\n")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
