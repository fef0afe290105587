"""What an answer says, whoever wrote it: where EWS is, where else to ask, or what went wrong. Reading never raises.

Namespaces are not looked at: servers differ in them, and the names alone are clear enough.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin

import orjson
from lxml import etree

from worker.ews import remedies
from worker.ews.answer import root_of
from worker.ews.autodiscover.questions import Question
from worker.ews.autodiscover.steps import Method, Result
from worker.ews.http_answer import Answer, NoAnswer

_LONGEST_TEXT: Final = 200
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_PROTOCOLS: Final = ("EXPR", "EXHTTP", "EXCH", "WEB")
"""Those POX tells of, the one for clients outside first."""
_ENDPOINT_URLS: Final = ("EwsUrl", "ASUrl")
_UNKNOWN_USER: Final = "Check the address, and that its mailbox is on this Exchange: Get-Mailbox <mailbox>."
_CERTIFICATES: Final = {
    "certificate": remedies.CERTIFICATE,
    "certificate-untrusted": remedies.UNTRUSTED,
    "certificate-name": remedies.WRONG_NAME,
    "certificate-expired": remedies.EXPIRED_CERTIFICATE,
}
_AGAIN: Final = "Try again later; if it goes on, ask the Exchange administrator to check the server."


@dataclass(frozen=True, slots=True)
class Endpoint:
    """EWS is there."""

    url: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The same is to be asked there."""

    url: str


@dataclass(frozen=True, slots=True)
class OtherAddress:
    """Everything is to be asked about this address in place of the other."""

    address: str


@dataclass(frozen=True, slots=True)
class Servers:
    """HOST:PORT of servers that are said to know, the best first."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    result: Result
    text: str
    remedy: str = ""


Reply = Answer | NoAnswer | Servers | Failure
"""What asking can bring: `Servers` to a question of the DNS, `Failure` where the question was not put."""
Reading = Endpoint | Elsewhere | OtherAddress | Servers | Failure


def read(question: Question, reply: Reply, denied: str) -> Reading:
    """`denied`: what to do where a server lets nobody in."""
    if isinstance(reply, Servers | Failure):
        return reply
    if isinstance(reply, NoAnswer):
        return _unanswered(reply)
    if reply.status in _REDIRECTS:
        return _redirect(question, reply)
    if reply.status == 401 and question.signs_in:  # noqa: PLR2004 - HTTP's "Unauthorized"
        return Failure(Result.DENIED, "HTTP 401: signing in was refused", denied)
    return _FORMS[question.method](reply)


def _unanswered(answer: NoAnswer) -> Failure:
    text = _clipped(answer.text)
    match answer.kind:
        case kind if kind in _CERTIFICATES:
            return Failure(Result.CERTIFICATE, text, _CERTIFICATES[kind])
        case "timeout":
            return Failure(Result.TIMEOUT, f"no answer in time: {text}")
        case "too-large":
            return Failure(Result.UNREADABLE, text)
        case _:
            return Failure(Result.UNREACHABLE, text)


def _redirect(question: Question, answer: Answer) -> Elsewhere | Failure:
    try:
        target = urljoin(question.url, answer.headers.get("Location", ""))
    except ValueError:
        target = ""
    if not target or target == question.url:
        return Failure(Result.UNREADABLE, f"HTTP {answer.status} that leads nowhere")
    return Elsewhere(target)


def _plain(answer: Answer) -> Reading:
    return Failure(Result.NOTHING, f"HTTP {answer.status}: it sends us nowhere")


def _json(answer: Answer) -> Reading:
    try:
        told: Any = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict):
        return _without_autodiscover(answer)
    url, code, text = (told.get(key) for key in ("Url", "ErrorCode", "ErrorMessage"))
    if answer.ok and isinstance(url, str) and url:
        return Endpoint(url)
    if isinstance(code, str) and code:
        return _error(code, text if isinstance(text, str) else "")
    return _without_autodiscover(answer)


def _soap(answer: Answer) -> Reading:
    root = root_of(answer.body) if answer.status in (200, 500) else None
    fault = _first(root, "Fault")
    if fault is not None:
        return _error("SOAP fault", _said(fault, "faultstring") or _said(fault, "Text"))
    response = _first(root, "Response")
    user = _first(response, "UserResponse")
    for told in (response, user):
        code = _own(told, "ErrorCode")
        target = _own(told, "RedirectTarget")
        if code == "RedirectUrl" and target:
            return Elsewhere(target)
        if code == "RedirectAddress" and target:
            return OtherAddress(target)
        if code not in ("", "NoError"):
            return _error(code, _own(told, "ErrorMessage"))
    if user is None:
        return _without_autodiscover(answer)
    settings = {_own(each, "Name"): _own(each, "Value") for each in user.iter("{*}UserSetting")}
    return _endpoint(settings.get(name, "") for name in ("ExternalEwsUrl", "InternalEwsUrl"))


def _pox(answer: Answer) -> Reading:
    root = root_of(answer.body) if answer.ok else None
    error, account = _first(root, "Error"), _first(root, "Account")
    if error is not None:
        return _error(_own(error, "ErrorCode"), _own(error, "Message"))
    if account is None:
        return _without_autodiscover(answer)
    match _own(account, "Action"), _own(account, "RedirectUrl"), _own(account, "RedirectAddr"):
        case "redirectUrl", url, _ if url:
            return Elsewhere(url)
        case "redirectAddr", _, address if address:
            return OtherAddress(address)
    found = [
        (_PROTOCOLS.index(kind), _own(protocol, name))
        for protocol in account.iter("{*}Protocol")
        for kind in (_own(protocol, "Type") or protocol.get("Type", ""),)
        if kind in _PROTOCOLS
        for name in _ENDPOINT_URLS
    ]
    return _endpoint(url for _, url in sorted(found, key=lambda each: each[0]))


def _endpoint(urls: Iterable[str]) -> Endpoint | Failure:
    url = next(filter(None, urls), "")
    if url:
        return Endpoint(url)
    return Failure(
        Result.ERROR,
        "it knows the address, and no URL of EWS for it",
        "Let Exchange tell its URL: Set-WebServicesVirtualDirectory -ExternalUrl https://<server>/EWS/Exchange.asmx.",
    )


def _error(code: str, text: str) -> Failure:
    if code == "ServerBusy":
        return Failure(Result.ERROR, "ServerBusy: the server is busy", _AGAIN)
    return Failure(Result.ERROR, _clipped(f"{code}: {text}"), _UNKNOWN_USER)


def _without_autodiscover(answer: Answer) -> Failure:
    if answer.ok:
        return Failure(Result.UNREADABLE, "the answer is not what Autodiscover answers, or not all of it")
    if answer.status >= 500 or answer.busy:  # noqa: PLR2004 - HTTP's class of server errors
        return Failure(Result.UNREADABLE, f"HTTP {answer.status}: the server failed or is busy", _AGAIN)
    return Failure(Result.NOTHING, f"HTTP {answer.status}: there is no Autodiscover here")


_FORMS: Final[Mapping[Method, Callable[[Answer], Reading]]] = {
    "http": _plain,
    "json": _json,
    "soap": _soap,
    "pox": _pox,
}


def _first(element: etree._Element | None, name: str) -> etree._Element | None:
    return None if element is None else next(element.iter(f"{{*}}{name}"), None)


def _said(element: etree._Element, name: str) -> str:
    found = _first(element, name)
    return "" if found is None else (found.text or "").strip()


def _own(element: etree._Element | None, name: str) -> str:
    """The text of a child."""
    return "" if element is None else (element.findtext(f"{{*}}{name}") or "").strip()


def _clipped(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_TEXT]
