"""Reading what a server answered: SOAP envelopes, response messages, faults, and everything that is none of these.

Read straight by lxml, tolerant of elements nobody here knows: a mail may have been sent already, so an answer is not
to be lost over its details. What must be there is asked for where it is used.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from lxml import etree

from worker.ews import remedies
from worker.ews.codes import Disposition, Verdict, verdict_on
from worker.ews.http_answer import Answer
from worker.ews.http_status import is_final, of_status
from worker.ews.template import MESSAGES, SOAP, TYPES
from worker.ews.trouble import Trail, Trouble
from worker.mail.outcome import Scope

UNREADABLE: Final = Verdict(Disposition.LOOK, Scope.MESSAGE, remedies.NOT_EWS)
"""For an answer that says neither yes nor no."""

INCOMPLETE: Final = "answer-incomplete"

_PARSER: Final = etree.XMLParser(
    resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
)
_REFERENCE: Final = re.compile(rb"&#(?:x([0-9A-Fa-f]{1,6})|([0-9]{1,7}));")
_UNCARRIED: Final = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
"""What XML 1.0 cannot carry (2.2, "Char")."""
_CONTROLS: Final = bytes(set(range(0x20)) - set(b"\t\n\r"))
_DIAGNOSTICS: Final = ("X-FEServer", "X-TargetBEServer", "X-CasErrorCode", "X-DiagInfo", "x-ms-diagnostics")
_LONGEST_DIAGNOSTIC: Final = 120
_ERRORS_NAMESPACE: Final = "http://schemas.microsoft.com/exchange/services/2006/errors"


@dataclass(frozen=True, slots=True)
class ResponseMessage:
    """One element of an answer's ResponseMessages: what became of one item, or of one folder."""

    element: etree._Element
    succeeded: bool
    code: str
    text: str
    back_off_seconds: float | None
    trail: Trail

    @property
    def trouble(self) -> Trouble:
        """The failure it reports. A success that lacks what belongs to it counts as unreadable."""
        if self.succeeded:
            return self.trail.trouble(INCOMPLETE, UNREADABLE, "the answer lacks what a success must hold")
        told = self.trail.trouble(self.code, verdict_on(self.code), f"{self.code}: {self.text}", self.back_off_seconds)
        return replace(told, of_item=True)


def trail_of(answer: Answer, trail: Trail) -> Trail:
    """The trail with the ids and diagnostics the answer carries, for whoever looks into the server's logs."""
    found = ((name, answer.headers.get(name, "")) for name in _DIAGNOSTICS)
    diagnostics = "; ".join(f"{name}={_clipped(value)}" for name, value in found if value)
    request_id = _clipped(answer.headers.get("request-id", "")) or trail.request_id
    return replace(trail, request_id=request_id, diagnostics=diagnostics)


def read(answer: Answer, operation: str, trail: Trail, sent_bytes: int = 0) -> tuple[ResponseMessage, ...] | Trouble:
    """The response messages of an answer, one per item asked for; or the one trouble of the whole request.

    `sent_bytes` is the size of the request: some servers refuse one that is too large as "not found".
    """
    if is_final(answer.status):
        return of_status(answer, trail, sent_bytes)
    return read_root(root_of(answer.body), answer, operation, trail, sent_bytes)


def read_root(
    envelope: etree._Element | None, answer: Answer, operation: str, trail: Trail, sent_bytes: int = 0
) -> tuple[ResponseMessage, ...] | Trouble:
    """The same of an answer whose body is read already; None if that was nothing."""
    if envelope is None or envelope.tag != f"{{{SOAP}}}Envelope":
        return _not_soap(answer, trail, sent_bytes)
    fault = envelope.find(f"{{{SOAP}}}Body/{{{SOAP}}}Fault")
    if fault is not None:
        return _fault(fault, answer, trail)
    found = envelope.find(f"{{{SOAP}}}Body/{{{MESSAGES}}}{operation}Response/{{{MESSAGES}}}ResponseMessages")
    if found is None or not answer.ok:
        return _not_soap(answer, trail, sent_bytes)
    return tuple(_messages(found, trail))


def root_of(body: bytes) -> etree._Element | None:
    """The root of a whole XML text. Characters that XML cannot carry are taken out first if they are in the way;
    a truncated text stays unreadable: half an answer must never pass for one.
    """
    root = _parsed(body)
    return _parsed(_cleaned(body)) if root is None else root


def _parsed(text: bytes) -> etree._Element | None:
    try:
        return etree.fromstring(text, _PARSER)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _cleaned(body: bytes) -> bytes:
    """The bytes without control characters, with U+FFFD for what is not UTF-8, and without what stands before."""
    text = without_controls(body).lstrip().decode("utf-8", "replace")
    return text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd").encode()


def without_controls(xml: bytes) -> bytes:
    """XML without control characters, raw or as references."""
    return _REFERENCE.sub(_carried, xml.translate(None, _CONTROLS))


def _carried(reference: re.Match[bytes]) -> bytes:
    hexadecimal, decimal = reference.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(decimal)
    return b"" if number > sys.maxunicode or _UNCARRIED.match(chr(number)) else reference.group()


def _messages(found: etree._Element, trail: Trail) -> Iterator[ResponseMessage]:
    for element in found:
        code = _said(element, f"{{{MESSAGES}}}ResponseCode")
        succeeded = element.get("ResponseClass") == "Success" and code in ("NoError", "")
        text = _said(element, f"{{{MESSAGES}}}MessageText")
        yield ResponseMessage(
            element, succeeded, code or "no-code", text, None if succeeded else _back_off(element), trail
        )


def _fault(fault: etree._Element, answer: Answer, trail: Trail) -> Trouble:
    """A SOAP fault, under HTTP 500 or 200. Exchange puts its response code into the detail, twice at times."""
    code = _first(fault, f"{{{_ERRORS_NAMESPACE}}}ResponseCode") or _first(fault, "faultcode").rpartition(":")[2]
    text = _first(fault, f"{{{_ERRORS_NAMESPACE}}}Message") or _first(fault, "faultstring")
    wait = _back_off(fault)
    if answer.busy and wait is None:
        wait = answer.retry_after_seconds
    verdict = verdict_on(code) if code.startswith("Error") else UNREADABLE
    return trail.trouble(code or "soap-fault", verdict, f"{code}: {text}", wait)


def _not_soap(answer: Answer, trail: Trail, sent_bytes: int) -> Trouble:
    if answer.ok:
        return trail.trouble("answer-unreadable", UNREADABLE, "the answer is not what EWS answers, or not all of it")
    return of_status(answer, trail, sent_bytes)


def _back_off(element: etree._Element) -> float | None:
    """How long the server wants to be left alone: `BackOffMilliseconds` in any MessageXml."""
    for value in element.iter(f"{{{TYPES}}}Value"):
        if value.get("Name") == "BackOffMilliseconds":
            try:
                return max(0.0, int(value.text or "") / 1000)
            except (ValueError, OverflowError):
                return None
    return None


def _said(element: etree._Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _first(element: etree._Element, tag: str) -> str:
    return next((each.text or "" for each in element.iter(tag)), "").strip()


def _clipped(value: str) -> str:
    return " ".join(value.split())[:_LONGEST_DIAGNOSTIC]
