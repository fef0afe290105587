"""Requests to one endpoint: signed in, sent once, read, counted."""

from typing import Final, Protocol
from uuid import uuid4

from worker import __version__
from worker.clock import Clock
from worker.ews import remedies
from worker.ews.answer import UNREADABLE, ResponseMessage, read, trail_of
from worker.ews.auth import Basic, SignIn
from worker.ews.codes import BUSY, Disposition, Verdict, judged, verdict_on
from worker.ews.endpoint import Endpoint
from worker.ews.template import Filled
from worker.ews.transport import NoAnswer, Wire
from worker.ews.trouble import Trail, Trouble
from worker.mail.outcome import Scope
from worker.settings import ConfigurationError

USER_AGENT: Final = f"crm-mail-router/{__version__}"

_SECRET: Final = judged(Disposition.PAUSE, Scope.PROFILE, remedies.MISSING_REFERENCE, about_account=True)
_CLEAR_TEXT: Final = judged(Disposition.PAUSE, Scope.PROFILE, remedies.CLEAR_TEXT)
_CA_FILE: Final = judged(Disposition.PAUSE, Scope.PROFILE, remedies.CA_FILE)
_LOST: Final = Verdict(Disposition.LOOK, Scope.MESSAGE, remedies.NO_ANSWER)
_NOT_REACHED: Final = {
    "unreachable": remedies.UNREACHABLE,
    "certificate": remedies.CERTIFICATE,
    "proxy": remedies.PROXY,
}


class Observe(Protocol):
    """Told of every request: result is ok, error, busy, denied or no-answer."""

    def __call__(self, profile: str, operation: str, result: str, seconds: float) -> None: ...


class Exchange:
    """One endpoint under one credential.

    `takes_message_id` turns False when the server has shown that it lets nobody set InternetMessageId; it then gives
    its own on sending. `keeps_message_id` says whether mail leaves with the one it was drafted with: some servers
    replace it on sending, and tell nobody. None until a mail of ours was seen that has left.
    """

    def __init__(self, endpoint: Endpoint, observe: Observe, clock: Clock) -> None:
        self.endpoint = endpoint
        self.takes_message_id = True
        self.keeps_message_id: bool | None = None
        self._observe = observe
        self._clock = clock
        self._sign_in: SignIn = Basic(endpoint.sign_in)
        self._wire: Wire | None = None

    async def call(
        self, operation: str, mailbox: str, body: Filled, expected: int
    ) -> tuple[ResponseMessage, ...] | Trouble:
        """One request, and the response messages of its answer: one for each of `expected` things asked for."""
        request_id = str(uuid4())  # a name to find the request by in logs; nothing is decided by it
        endpoint = self.endpoint
        trail = Trail(
            endpoint.server,
            request_id,
            own_credentials=endpoint.own_credentials,
            shared_mailbox=endpoint.shared_mailbox,
        )
        headers = {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": f'"http://schemas.microsoft.com/exchange/services/2006/messages/{operation}"',
            "User-Agent": USER_AGENT,
            "client-request-id": request_id,
            "return-client-request-id": "true",
            "X-AnchorMailbox": mailbox,
        }
        began = self._clock.monotonic()
        got = await self._signed_in(operation, headers, body, trail)
        if not isinstance(got, Trouble) and len(got) != expected:
            # EWS answers in the order asked. Which answer is missing cannot be told, so none is believed.
            got = trail.trouble("answer-incomplete", UNREADABLE, f"{len(got)} answers to {expected} questions")
        self._observe(self.endpoint.profile, operation, _result(got), self._clock.monotonic() - began)
        return got

    async def close(self) -> None:
        if self._wire is not None:
            await self._wire.close()
            self._wire = None

    async def _signed_in(
        self, operation: str, headers: dict[str, str], body: Filled, trail: Trail
    ) -> tuple[ResponseMessage, ...] | Trouble:
        """The attempts of the sign-in flow; each is made only if the one before did nothing."""
        if not self.endpoint.guards_secrets:
            return trail.trouble("clear-text-refused", _CLEAR_TEXT, "a password would cross the network in clear text")
        try:
            wire = self._connect()
        except OSError as error:
            return trail.trouble("ca-file", _CA_FILE, f"the CA file cannot be used: {error}")
        try:
            flow = self._sign_in.flow()
            signed = next(flow)
            while True:
                answer = await wire.post({**headers, **signed}, body)
                if isinstance(answer, NoAnswer):
                    return _unanswered(answer, trail)
                try:
                    signed = flow.send(answer)
                except StopIteration:
                    return read(answer, operation, trail_of(answer, trail), sum(map(len, body)))
        except ConfigurationError as error:
            return trail.trouble("secret-missing", _SECRET, str(error))

    def _connect(self) -> Wire:
        if self._wire is None:
            endpoint = self.endpoint
            self._wire = Wire(endpoint.url, endpoint.ca_file, endpoint.timeout_seconds, self._clock)
        return self._wire


def _unanswered(answer: NoAnswer, trail: Trail) -> Trouble:
    if answer.sent:
        return trail.trouble(f"no-answer-{answer.kind}", _LOST, f"no whole answer: {answer.text}")
    remedy = _NOT_REACHED.get(answer.kind, remedies.UNREACHABLE)
    verdict = judged(Disposition.PAUSE, Scope.SERVER, remedy)
    return trail.trouble(answer.kind, verdict, f"no connection: {answer.text}")


def _result(got: tuple[ResponseMessage, ...] | Trouble) -> str:
    """The word for metrics. One item that failed makes the request one that failed."""
    if isinstance(got, Trouble):
        if got.code.startswith("no-answer") or got.code in _NOT_REACHED:
            return "no-answer"
        return _failed(got.verdict)
    failed = next((message for message in got if not message.succeeded), None)
    return "ok" if failed is None else _failed(verdict_on(failed.code))


def _failed(verdict: Verdict) -> str:
    if verdict is BUSY:
        return "busy"
    return "denied" if verdict.disposition is Disposition.PAUSE else "error"
