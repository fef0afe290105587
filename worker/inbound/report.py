"""Reports of what became of a mail: whom it did not reach, why, and which mail it was.

Most mail systems write RFC 3464. The others write for people; what is read from their words is a guess, and an address
that was not understood is left out rather than made up.
"""

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from worker.inbound.addresses import listed
from worker.inbound.classify import classify
from worker.inbound.delivery_status import reason_of, status_in
from worker.inbound.header import message_ids
from worker.inbound.mime import parse
from worker.inbound.normalise import normalise
from worker.inbound.parts import Headers, Part, head, split
from worker.inbound.text import line
from worker.mail.incoming import IncomingMail
from worker.mail.message_id import TRACE_HEADER, read
from worker.mail.report import Action, Failure, Report

MOST_RECIPIENTS: Final = 1000
"""The most recipients a mail of ours can have."""

_MOST_GUESSED: Final = 20
_DIAGNOSIS: Final = 400
_GUESSED_FROM: Final = 64 * 1024

_STATUS_KINDS: Final = ("message/delivery-status", "message/global-delivery-status")
_ORIGINAL_KINDS: Final = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/global-headers",
)
_BLANK_LINE: Final = re.compile(r"\n[ \t]*\n")
_FIELD: Final = re.compile(r"^([!-9;-~]{1,100})[ \t]*:(.*(?:\n[ \t].*)*)", re.MULTILINE)
_XTEXT: Final = re.compile(r"\+([0-9A-F]{2})")

_COPY_BELOW: Final = re.compile(
    r"^[ \t]*(?:-{2,}[ \t]*(?:below this line is a copy|this is a copy of|original message|returned message"
    r"|message header|unsent message|the body of the message|undelivered message)"
    r"|original message headers:|message headers:)",
    re.IGNORECASE | re.MULTILINE,
)
_BELOW_ID: Final = re.compile(r"^[ \t>]*message-id:\s*(<[^<>\s]{1,998}>)", re.IGNORECASE | re.MULTILINE)
_BELOW_TRACE: Final = re.compile(rf"^[ \t>]*{TRACE_HEADER}:\s*(\S{{1,998}})", re.IGNORECASE | re.MULTILINE)
_ADDRESS: Final = r"[^\s<>()\[\]\"',;:@*]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,253}[A-Za-z0-9]"
_NAMED: Final = re.compile(
    rf"(?:^[ \t*>-]*[<'\"]?|<|\(|\bto |\bfor |\brecipient |\baddress )(?:mailto:)?({_ADDRESS})",
    re.IGNORECASE | re.MULTILINE,
)
_REFUSAL: Final = re.compile(r"^.{0,200}\b[45]\d\d[ :-].*$", re.MULTILINE)
_BREAKS: Final = re.compile(r"<(?:br|/p|/div|/tr|/li|/h\d)\b[^<>]*>", re.IGNORECASE)
_STYLES: Final = re.compile(r"<style\b[^<>]*>[^<]*</style>", re.IGNORECASE)
_TAGS: Final = re.compile(r"<[a-z/!][^<>]*>", re.IGNORECASE)


def read_report(source: bytes) -> Report | None:
    """What a report says, from its source, which may be cut off; None for what is no report. Never raises."""
    whole, _ = split(source)
    parts = list(whole.walk())
    for part in parts:
        if part.kind in _STATUS_KINDS and not part.inner:
            return _of_status(part, parts, whole.headers)
        if part.kind == "message/disposition-notification":
            fields = _fields(part.text)
            about = (*message_ids(fields.get("original-message-id", "")), *_about(_original_headers(parts), {}))
            return Report("delivered", *_ids(about, whole.headers))
    mail = normalise(parse(source, "", None))
    if classify(mail) != "bounce":
        return None
    guess = guess_report(mail)
    about = _about(_original_headers(parts), {})
    return replace(guess, original=about[0], message_id=about[-1]) if guess and about else guess


def guess_report(mail: IncomingMail) -> Report | None:
    """What the properties of a bounced mail say, where there is no source or nothing but prose; None if nothing."""
    text = mail.text or _plain(mail.html or "")
    text, below = _parted(text[:_GUESSED_FROM])
    about = [_traced(each) for each in _BELOW_TRACE.findall(below) if _is_trace(each)][:1]
    about += _BELOW_ID.findall(below)[:1] or _BELOW_ID.findall(text)[:1]
    about = about or [*message_ids(mail.in_reply_to, 1), *message_ids(mail.references)[-1:]][:1]
    failures = tuple(_guessed(mail, text))
    status = status_in(text)
    diagnosis = _line_with(text, status) or _reply(text)
    if not failures and not status and not about:
        return None
    failures = failures or (Failure("", reason_of("", status, diagnosis)),)
    return Report("failed", about[0] if about else "", about[-1] if about else "", failures)


def _of_status(part: Part, parts: Iterable[Part], headers: Headers) -> Report:
    groups = list(_groups(part.text))
    told = [(_action(group), group) for group in groups if _recipient(group) or "action" in group or "status" in group]
    actions = [action for action, _ in told]
    worst: Action = (
        "failed" if "failed" in actions or not actions else "delayed" if "delayed" in actions else "delivered"
    )
    failures = tuple(_failure(group) for action, group in told[:MOST_RECIPIENTS] if action == "failed")
    if worst == "failed":
        failures = failures or (Failure("", reason_of("", "", "")),)
    about = _about(_original_headers(parts), groups[0] if groups else {})
    return Report(worst, *_ids(about, headers), failures=failures)


def _groups(text: str) -> Iterator[dict[str, str]]:
    """The fields of each paragraph; where several recipients stand in one, of each of them."""
    for paragraph in _BLANK_LINE.split(text.replace("\r", "")):
        group: dict[str, str] = {}
        for found in _FIELD.finditer(paragraph):
            name = found[1].lower()
            if name in ("final-recipient", "original-recipient") and name in group:
                yield group
                group = {}
            group.setdefault(name, line(found[2], 2000))
        if group:
            yield group


def _fields(text: str) -> dict[str, str]:
    return {name: value for group in _groups(text) for name, value in group.items()}


def _recipient(group: Mapping[str, str]) -> str:
    """The address the mail was sent to, else the one it ended at."""
    for name in ("original-recipient", "final-recipient", "x-actual-recipient"):
        kind, semicolon, address = group.get(name, "").partition(";")
        if semicolon and kind.strip().lower() in ("rfc822", "utf-8", "smtp", "local"):
            address = _XTEXT.sub(lambda found: chr(int(found[1], 16)), address) if name[0] == "o" else address
        elif "@" in kind and not semicolon:
            address = kind
        found = next((each.address for each in listed(address) if "@" in each.address), "")
        if found:
            return found
    return ""


def _action(group: Mapping[str, str]) -> Action:
    action, status = group.get("action", "").lower(), group.get("status", "")
    if action.startswith("fail") or (not action and status.startswith("5")):
        return "failed"
    return "delayed" if action.startswith("delay") or (not action and status.startswith("4")) else "delivered"


def _failure(group: Mapping[str, str]) -> Failure:
    recipient = _recipient(group)
    kind, semicolon, said = group.get("diagnostic-code", "").partition(";")
    said = (said if semicolon else kind).strip()
    status = status_in(group.get("status", ""))
    if not status or status.partition(".")[2].startswith("0."):
        status = status_in(said) or status
    server = group.get("remote-mta", "").rpartition(";")[2].strip()
    diagnosis = f"{server} said: {said}" if server and said else said
    return Failure(recipient, reason_of(recipient, status, line(diagnosis, _DIAGNOSIS)))


def _original_headers(parts: Iterable[Part]) -> Headers:
    original = next((part for part in parts if part.kind in _ORIGINAL_KINDS), None)
    return head(original.content) if original else ()


def _about(original: Headers, per_message: Mapping[str, str]) -> tuple[str, ...]:
    """Which mail: the id it was drafted with where it bears that, and the one it left with."""
    fields = {name.casefold(): value for name, value in reversed(original)}
    trace = fields.get(TRACE_HEADER.casefold(), "").strip()
    told = fields.get("message-id", "") or per_message.get("x-original-message-id", "")
    return (*((_traced(trace),) if _is_trace(trace) else ()), *message_ids(told, 1))


def _ids(about: tuple[str, ...], headers: Headers) -> tuple[str, str]:
    """Where the mail itself is not in its report, the report's own header may name it."""
    fields = {name.casefold(): value for name, value in headers}
    about = about or message_ids(fields.get("in-reply-to", ""), 1) or message_ids(fields.get("references", ""))[-1:]
    return (about[0], about[-1]) if about else ("", "")


def _is_trace(trace: str) -> bool:
    return read(_traced(trace), None) is not None


def _traced(trace: str) -> str:
    return f"<{trace}@router.invalid>"


def _guessed(mail: IncomingMail, text: str) -> Iterator[Failure]:
    """Each address the prose names, with the status that follows it."""
    declared = ", ".join(value for name, value in mail.headers if name.casefold() == "x-failed-recipients")
    named = [each.address for each in listed(declared)]
    ours = {each.address.casefold() for each in (*mail.to, *mail.cc, *([mail.from_] if mail.from_ else []))}
    places = {found[1].casefold(): found for found in reversed(list(_NAMED.finditer(text)))}
    wanted = named or [found[1] for key, found in reversed(list(places.items())) if key not in ours]
    ends = sorted(found.start() for found in places.values())
    overall = status_in(text)
    for address in wanted[:_MOST_GUESSED]:
        found = places.get(address.casefold())
        begin = found.end() if found else 0
        end = next((each for each in ends if each > begin), len(text)) if found else len(text)
        passage = text[begin:end]
        status = status_in(passage) or overall
        diagnosis = _line_with(passage, status) or _reply(passage) or _reply(text) or _first_line(passage)
        yield Failure(address, reason_of(address, status, diagnosis))


def _parted(text: str) -> tuple[str, str]:
    """What the mail system says, and the copy of the mail below it."""
    text = text.replace("\r\n", "\n")
    found = _COPY_BELOW.search(text)
    return (text[: found.start()], text[found.start() :]) if found else (text, text)


def _line_with(text: str, status: str) -> str:
    if not status:
        return ""
    at = text.find(status)
    if at < 0:
        return ""
    begin, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
    return line(text[begin : end if end >= 0 else len(text)], _DIAGNOSIS)


def _reply(text: str) -> str:
    """The first line with a refusal in the form servers give it (RFC 5321, 4.2)."""
    found = _REFUSAL.search(text)
    return line(found[0], _DIAGNOSIS) if found else ""


def _first_line(passage: str) -> str:
    return next((line(each, _DIAGNOSIS) for each in passage.split("\n")[:5] if len(each.strip(" :>")) > 5), "")  # noqa: PLR2004 - no words


def _plain(markup: str) -> str:
    text = _STYLES.sub("", markup[: 4 * _GUESSED_FROM])
    return html.unescape(_TAGS.sub("", _BREAKS.sub("\n", text)))
