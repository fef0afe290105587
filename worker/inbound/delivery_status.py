"""Why a mail did not arrive, for a CRM user: the enhanced status codes of RFC 3463 and its registry, and Exchange's own
beyond them, each with a cause and a remedy.
"""

import re
from typing import Final, NamedTuple

from worker.mail.outcome import Reason, Scope

_STATUS: Final = re.compile(r"(?<![\w.-])([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)", re.ASCII)


class _Cause(NamedTuple):
    scope: Scope
    message: str
    remedy: str


_ADDRESS: Final = "correct the address in the CRM"
_LATER: Final = "send it again later; if it goes on, ask the recipient another way"
_ADMINISTRATOR: Final = "let the Exchange administrator look at the diagnosis"

_UNKNOWN: Final = _Cause(Scope.RECIPIENT, "the mailbox is unknown at the recipient's server", _ADDRESS)
_DOMAIN: Final = _Cause(Scope.RECIPIENT, "the address's domain does not exist or takes no mail", _ADDRESS)
_SYNTAX: Final = _Cause(Scope.RECIPIENT, "the address is not a valid one", _ADDRESS)
_CLOSED: Final = _Cause(
    Scope.RECIPIENT, "the mailbox is closed or takes no mail", "ask the recipient for another address"
)
_FULL: Final = _Cause(Scope.RECIPIENT, "the mailbox is full", _LATER)
_LARGE: Final = _Cause(Scope.MESSAGE, "the mail is too large for the recipient's server", "send it with less attached")
_SERVER: Final = _Cause(Scope.RECIPIENT, "the recipient's server cannot take mail at present", _LATER)
_NO_WAY: Final = _Cause(Scope.RECIPIENT, "the recipient's server could not be reached in time", _LATER)
_LOOP: Final = _Cause(
    Scope.RECIPIENT, "the mail went round in circles on its way", "tell the recipient: a forwarding there is wrong"
)
_CONTENT: Final = _Cause(
    Scope.MESSAGE, "the recipient's server does not take the content", "send it as plain text or with other attachments"
)
_REFUSED: Final = _Cause(
    Scope.RECIPIENT,
    "the recipient's server refuses the mail by its rules",
    "read the diagnosis; ask the recipient to allow your address, or let the Exchange administrator look at it",
)
_CLOSED_GROUP: Final = _Cause(
    Scope.RECIPIENT,
    "the group or mailbox takes mail from certain senders only",
    "ask the recipient to allow your address",
)
_UNPROVEN: Final = _Cause(
    Scope.PROFILE,
    "the recipient's server does not believe that the mail is from your domain (SPF, DKIM, DMARC)",
    "let the administrator of your domain put SPF, DKIM and DMARC right",
)
_BLOCKED: Final = _Cause(
    Scope.PROFILE,
    "the mailbox, organisation or server that sent it is blocked or over its limit",
    "let the Exchange administrator find out why and have the block lifted",
)
_SENDER: Final = _Cause(Scope.MAILBOX, "the sender's address is not accepted", _ADMINISTRATOR)
_MANY: Final = _Cause(Scope.MESSAGE, "the mail has too many recipients", "send it to fewer at a time")
_PROTOCOL: Final = _Cause(Scope.SERVER, "the servers do not understand each other", _ADMINISTRATOR)
_ANY: Final = _Cause(Scope.RECIPIENT, "it could not be delivered", "read the diagnosis; check the address in the CRM")

_CAUSES: Final = {
    "5.4.1": _UNKNOWN,
    "1.1": _UNKNOWN,
    "1.2": _DOMAIN,
    "1.3": _SYNTAX,
    "1.4": _Cause(Scope.RECIPIENT, "the address means more than one mailbox", _ADDRESS),
    "1.6": _Cause(Scope.RECIPIENT, "the recipient has moved", "ask the recipient for the new address"),
    "1.7": _SENDER,
    "1.8": _SENDER,
    "1.9": _PROTOCOL,
    "1.10": _UNKNOWN,
    "1.20": _SENDER,
    "1.90": _BLOCKED,
    "1": _UNKNOWN,
    "2.1": _CLOSED,
    "2.2": _FULL,
    "2.3": _LARGE,
    "2.4": _Cause(Scope.RECIPIENT, "the list behind the address is broken", "tell whoever keeps the list"),
    "2.121": _BLOCKED,
    "2.122": _BLOCKED,
    "2": _CLOSED,
    "3.1": _SERVER,
    "3.4": _LARGE,
    "3": _SERVER,
    "4.1": _NO_WAY,
    "4.4": _DOMAIN,
    "4.6": _LOOP,
    "4.14": _LOOP,
    "4.310": _DOMAIN,
    "4.312": _DOMAIN,
    "4": _NO_WAY,
    "5.3": _MANY,
    "5": _PROTOCOL,
    "6.7": _Cause(Scope.RECIPIENT, "the recipient's server does not take addresses in this script", _ADDRESS),
    "6": _CONTENT,
    "7.8": _SENDER,
    "7.12": _CLOSED_GROUP,
    "7.13": _CLOSED,
    "7.20": _UNPROVEN,
    "7.21": _UNPROVEN,
    "7.22": _UNPROVEN,
    "7.23": _UNPROVEN,
    "7.24": _UNPROVEN,
    "7.25": _UNPROVEN,
    "7.26": _UNPROVEN,
    "7.27": _UNPROVEN,
    "7.60": _SENDER,
    "7.64": _BLOCKED,
    "7.124": _CLOSED_GROUP,
    "7.133": _CLOSED_GROUP,
    "7.134": _CLOSED_GROUP,
    "7.135": _CLOSED_GROUP,
    "7.136": _CLOSED_GROUP,
    "7.509": _UNPROVEN,
    "7.515": _UNPROVEN,
    "7.750": _BLOCKED,
    "7": _REFUSED,
}
"""By subject and detail of the code, or by its subject alone. Its class says nothing about the cause, but for 5.4.1,
which Exchange Online says of addresses it does not know.
"""

_BLOCKED_DETAILS: Final = (range(500, 509), range(510, 515), range(606, 650), range(700, 750))

_WORDS: Final = (
    (re.compile(r"mailbox (?:is )?full|over quota|quota exceeded|exceeded storage|insufficient storage"), _FULL),
    (re.compile(r"(?:message|mail) (?:size|is too large|too big)|size limit|exceeds? .{0,20}size"), _LARGE),
    (
        re.compile(
            r"(?:user|recipient|address|mailbox|account)\b.{0,60}"
            r"(?:unknown|not (?:found|exist|listed|known)|n.t (?:exist|have))"
            r"|no such|unknown (?:user|recipient|address)|not listed|unrouteable|no mailbox here|invalid recipient",
        ),
        _UNKNOWN,
    ),
    (re.compile(r"(?:host|domain)\b.{0,40}not (?:be )?found|name or service not known|no mx|nxdomain"), _DOMAIN),
    (re.compile(r"disabled|inactive|suspended|deactivated"), _CLOSED),
    (re.compile(r"\b(?:spf|dkim|dmarc)\b"), _UNPROVEN),
    (re.compile(r"spam|blocked|black ?list|block ?list|reputation|policy|denied|rejected"), _REFUSED),
    (re.compile(r"timed? ?out|unreachable|refused|too long|expired|retry time"), _NO_WAY),
    (re.compile(r"too many hops|loop"), _LOOP),
)
"""What servers write that name no status code, or one that says nothing."""


def status_in(text: str) -> str:
    """The first enhanced status code of a text that says more than that something failed; else the first; else ""."""
    first = ""
    for found in _STATUS.finditer(text):
        if found[2] != "0":
            return found[0]
        first = first or found[0]
    return first


def reason_of(recipient: str, status: str, diagnosis: str) -> Reason:
    """Why it did not reach a recipient; `diagnosis` is what the other server said."""
    cause = _cause(status, diagnosis)
    whom = f"{recipient}: " if recipient else ""
    message = f"{whom}{cause.message}" + (f" ({diagnosis})" if diagnosis else "")
    if status:
        return Reason(status, cause.scope, message, cause.remedy)
    return Reason("undeliverable", cause.scope, message, cause.remedy)


def _cause(status: str, diagnosis: str) -> _Cause:
    _, _, code = status.partition(".")
    subject, _, detail = code.partition(".")
    if subject == "7" and detail and any(int(detail) in each for each in _BLOCKED_DETAILS):
        return _BLOCKED
    for each in (status, code):
        if each in _CAUSES:
            return _CAUSES[each]
    by_words = next((cause for words, cause in _WORDS if words.search(diagnosis.lower())), None)
    return by_words or _CAUSES.get(subject, _ANY)
