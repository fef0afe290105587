"""Which e-mail of the CRM a mail belongs to, without a memory: a reply carries the Message-ID of what it answers, ours
carries the e-mail's id, and a key of ours tells whether it is genuine.
"""

import re
from functools import lru_cache
from typing import Final

from worker.events.models import IDENTIFIER
from worker.events.received import Correlation, Method
from worker.inbound.header import message_ids
from worker.mail.incoming import IncomingMail, SentCopy
from worker.mail.message_id import TRACE_HEADER, Origin, read

_FIRST_OF_CONVERSATION: Final = 22
"""Bytes of a conversation index; every reply adds some ([MS-OXOMSG] 2.2.1.3)."""

_IDENTIFIER: Final = re.compile(IDENTIFIER)
_LONGEST_ID: Final = 128

_REPLY: Final = re.compile(
    r"(?:re|aw|antw|antwort|sv|vs|vá|odp|odpověď|ynt|res|rif|r|ref|tr|fw|fwd|wg|rv|enc|回复|回覆|答复|답장|返信|отв?|απ|σχετ)"
    r"(?:\[\d+\])?\s*[:：]",
    re.IGNORECASE,
)


def correlate(mail: IncomingMail, *, key: bytes | None, prefix: str) -> Correlation:
    """What a normalised mail's own ids and subject tell. Mail of our own answers nothing, though it looks like it."""
    if is_own(mail, key):
        return Correlation()
    token = tracking_token(mail.subject, prefix)
    methods: tuple[tuple[Method, tuple[str, ...]], ...] = (
        ("in-reply-to", message_ids(mail.in_reply_to)),
        ("references", message_ids(mail.references)[::-1]),
    )
    for method, ids in methods:
        for each in ids:
            origin = _genuine(each, key)
            if origin is not None:
                return Correlation(method, origin.email_id, token, origin.verified, origin.request)
    return Correlation("tracking-token" if token else "none", tracking_token=token)


def asks_conversation(mail: IncomingMail, correlation: Correlation) -> bool:
    """Whether the conversation may tell what the mail itself does not: only that of a reply may. Exchange puts mail of
    strangers into one conversation for its subject alone.
    """
    if correlation.method != "none" or not mail.conversation_id:
        return False
    return bool(
        mail.in_reply_to
        or mail.references
        or len(mail.conversation_index) > _FIRST_OF_CONVERSATION
        or _REPLY.match(mail.subject)
    )


def by_conversation(mail: IncomingMail, copies: tuple[SentCopy, ...], *, key: bytes | None) -> Correlation:
    """By our own mails in the mail's conversation, newest first. Where Exchange gave a mail a Message-ID of its own,
    what it was drafted with still tells the e-mail; nothing of that is proof of what the reply says, so it is not
    verified. Mail of our own still answers nothing.
    """
    if is_own(mail, key):
        return Correlation()
    ours = [(copy, origin) for copy in copies if (origin := _genuine(copy.drafted_as, key)) is not None]
    methods: tuple[tuple[Method, tuple[str, ...]], ...] = (
        ("in-reply-to", message_ids(mail.in_reply_to)),
        ("references", message_ids(mail.references)[::-1]),
    )
    for method, ids in methods:
        for each in ids:
            for copy, origin in ours:
                if each in message_ids(copy.message_id):
                    return Correlation(method, origin.email_id, request=origin.request)
    if not ours:
        return Correlation()
    newest = ours[0][1]
    return Correlation("conversation", newest.email_id, request=newest.request)


def is_own(mail: IncomingMail, key: bytes | None) -> bool:
    """Whether this mail itself is one that this CRM's router sent: an echo, or mail from one user to another.

    Another company's router marks its mail in the same way. Its key is another one; without keys the two cannot be told
    apart, but for mail that bears a proof of somebody's.
    """
    found = (mail.message_id, *(f"<{each}@x>" for each in _traced(mail)))
    return any((origin := _read(each, key)) is not None and _of_this_router(each, origin, key) for each in found)


def _of_this_router(message_id: str, origin: Origin, key: bytes | None) -> bool:
    return origin.verified if key is not None else message_id.partition("@")[0].endswith(".0")


def tracking_token(subject: str, prefix: str) -> str:
    """The last token in a subject, where replies keep it; "" if there is none, or tokens have no prefix."""
    if not prefix:
        return ""
    found = _token(prefix).findall(subject)
    return str(found[-1]) if found else ""


@lru_cache(maxsize=8)
def _token(prefix: str) -> re.Pattern[str]:
    # At least one digit: "CRM:rollout" is a word of a subject.
    return re.compile(rf"(?<![^\W_]){re.escape(prefix)}(?=[A-Za-z_-]{{0,40}}[0-9])[A-Za-z0-9_-]{{1,80}}")


def _traced(mail: IncomingMail) -> list[str]:
    return [value for name, value in mail.headers if name.casefold() == TRACE_HEADER.casefold()]


def _genuine(message_id: str, key: bytes | None) -> Origin | None:
    """Whose a Message-ID of ours is; None for a stranger's, and for one that says it is ours and does not prove it."""
    origin = _read(message_id, key)
    return None if origin is None or (key is not None and not origin.verified) else origin


def _read(message_id: str, key: bytes | None) -> Origin | None:
    origin = read(message_id, key)
    if origin is None or len(origin.email_id) > _LONGEST_ID or not _IDENTIFIER.fullmatch(origin.email_id):
        return None  # no event of ours ever carried such an id
    return origin
