"""One HTTP answer as a value, and what the faults make of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from multidict import CIMultiDict

from worker.sandbox.options import Options, Way
from worker.sandbox.soap import Answer, Fault, fault

XML = "text/xml; charset=utf-8"
HTML = "text/html; charset=utf-8"
_CHALLENGES: Final[dict[Way, str]] = {
    "basic": 'Basic realm="sandbox"',
    "ntlm": "NTLM",
    "negotiate": "Negotiate",
    "bearer": (
        'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", '
        'trusted_issuers="00000001-0000-0000-c000-000000000000@*", token_types="app_asserted_user_v1 '
        'service_asserted_app_v1"'
    ),
}
_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Please sign in</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 200
    body: Answer = b""
    content_type: str = XML
    headers: Mapping[str, str] = field(default_factory=dict)
    line: Literal["whole", "half", "cut"] = "whole"
    """How much of it goes onto the wire before the line is cut."""


def of_fault(error: Fault) -> Reply:
    return Reply(error.status, fault(error))


def unauthorized(options: Options, diagnostics: str = "") -> Reply:
    """HTTP 401 with every way to sign in that is offered; `diagnostics` is what is wrong with the token."""
    headers = CIMultiDict[str]()
    for way, challenge in _CHALLENGES.items():
        if way in options.sign_in:
            wrong = ', error="invalid_token"' if diagnostics and way == "bearer" else ""
            headers.add("WWW-Authenticate", challenge + wrong)
    if diagnostics:
        headers["x-ms-diagnostics"] = diagnostics
    return Reply(401, b"", HTML, headers)


def before_work(kind: str, options: Options) -> Reply | None:
    """What is answered instead of any work; None for a fault that is none of the answer ("slow")."""
    busy = Fault(
        "ErrorServerBusy",
        "The server cannot service this request right now. Try again later.",
        back_off_milliseconds=options.back_off_milliseconds,
    )
    transient = Fault("ErrorInternalServerTransientError", "An internal server error occurred. Try again later.", 200)
    replies = {
        "busy": Reply(503, b"", HTML, {"Retry-After": str(options.retry_after_seconds)}),
        "busyfault": of_fault(busy),
        "fault200": of_fault(transient),
        "cut": Reply(line="cut"),
        "html200": Reply(200, _PAGE, HTML),
        "html502": Reply(502, _PAGE.replace(b"Sign in", b"Bad gateway"), HTML),
        "unauthorized": unauthorized(options),
        "forbidden": Reply(403, b"", HTML, {"X-CasErrorCode": "SandboxOrdered"}),
    }
    return replies.get(kind)


def after_work(kind: str, reply: Reply) -> Reply:
    """What becomes of the answer once the work is done."""
    if kind == "lost":
        return replace(reply, line="cut")
    if kind == "half":
        return replace(reply, line="half")
    assert kind == "nonsense"
    return replace(reply, body=b"<<<this is not XML>>>")
