"""Requests under one account: to the server of the mailbox, signed in, sent once, read, counted."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar
from uuid import uuid4

from aiohttp.abc import AbstractResolver

from worker.clock import Clock
from worker.ews import remedies
from worker.ews.affinity import Affinity
from worker.ews.answer import INCOMPLETE, UNREADABLE, ResponseMessage, read, trail_of
from worker.ews.auth import Greeting, NeedsToken, SignIn, sign_in
from worker.ews.autodiscover.locator import Locator
from worker.ews.autodiscover.lookup import Lookup
from worker.ews.autodiscover.steps import Findings, Result
from worker.ews.codes import Disposition, Verdict, judged, verdict_on
from worker.ews.endpoint import Endpoint, NtlmSignIn, OAuthSignIn
from worker.ews.http_answer import Answer, NoAnswer
from worker.ews.moved import may_have_moved
from worker.ews.oauth import Tokens
from worker.ews.template import Filled
from worker.ews.transport import USER_AGENT, Wire
from worker.ews.trouble import Trail, Trouble, Unfit
from worker.ews.wires import Wires
from worker.mail.incoming import Sink
from worker.mail.outcome import NO_ANSWER, Scope
from worker.settings import ConfigurationError

_SECRET: Final = judged(Disposition.PAUSE, Scope.PROFILE, remedies.MISSING_REFERENCE, about_account=True)
_CLEAR_TEXT: Final = judged(Disposition.PAUSE, Scope.PROFILE, remedies.CLEAR_TEXT)
_CA_FILE: Final = judged(Disposition.PAUSE, Scope.PROFILE, remedies.CA_FILE)
_LOST: Final = Verdict(Disposition.LOOK, Scope.MESSAGE, remedies.NO_ANSWER)
NOT_REACHED: Final = {
    "unreachable": remedies.UNREACHABLE,
    "certificate": remedies.CERTIFICATE,
    "certificate-untrusted": remedies.UNTRUSTED,
    "certificate-name": remedies.WRONG_NAME,
    "certificate-expired": remedies.EXPIRED_CERTIFICATE,
    "proxy": remedies.PROXY,
}


Poured = TypeVar("Poured")
_Ask = Callable[[Wire, Mapping[str, str]], Awaitable[Answer | NoAnswer]]


class Observe(Protocol):
    """Told of every request: result is ok, error, busy, denied, sign-in or no-answer."""

    def __call__(self, profile: str, operation: str, result: str, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Request:
    """One request about a mailbox, and the group of subscriptions it belongs to, if it does."""

    operation: str
    mailbox: str
    body: Filled
    affinity: Affinity | None = None

    def headers(self, trail: Trail) -> Mapping[str, str]:
        return {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": f'"http://schemas.microsoft.com/exchange/services/2006/messages/{self.operation}"',
            "User-Agent": USER_AGENT,
            "client-request-id": trail.request_id,
            "return-client-request-id": "true",
            "X-AnchorMailbox": self.mailbox,
            **(self.affinity.headers if self.affinity else {}),
        }


class Exchange:
    """One endpoint under one credential; or, where the endpoint names no URL, those that Autodiscover tells of.

    `takes_message_id` turns False when the server has shown that it lets nobody set InternetMessageId; it then gives
    its own on sending. `keeps_message_id` says whether mail leaves with the one it was drafted with: some servers
    replace it on sending, and tell nobody. None until a mail of ours was seen that has left. `makes_text` turns False
    when the server has shown that it makes no plain text beside an HTML body, `finds_together` when it has answered for
    one of several folders.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        observe: Observe,
        clock: Clock,
        resolver: AbstractResolver | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.takes_message_id = True
        self.finds_together = True
        self.keeps_message_id: bool | None = None
        self.makes_text = True
        self._observe = observe
        self._clock = clock
        self._sign_in: SignIn = sign_in(endpoint.sign_in)
        account = endpoint.sign_in
        self.tokens = Tokens(account, endpoint.ca_file, clock) if isinstance(account, OAuthSignIn) else None
        self._wires = Wires(self._connect, bound=isinstance(account, NtlmSignIn))
        self._resolver = resolver
        finder = lookup or Lookup(clock, resolver=resolver)
        self._locator = Locator(
            lambda address: finder.find(address, endpoint.sign_in, self._sign_in, endpoint.ca_file), clock
        )

    async def locate(self, mailbox: str) -> str | Trouble:
        """The URL that requests about a mailbox go to."""
        if self.endpoint.url:
            return self.endpoint.url
        found = await self._locator.locate(mailbox)
        return _unlocated(found, self._trail(self.endpoint, mailbox)) if isinstance(found, Findings) else found

    def located(self, mailbox: str) -> str:
        """The URL that the last request about a mailbox went to, "" if there was none."""
        return self.endpoint.url or self._locator.last(mailbox)

    def server(self, mailbox: str) -> str:
        """The server of a mailbox, for people."""
        return replace(self.endpoint, url=self.located(mailbox)).server

    async def call(
        self, operation: str, mailbox: str, body: Filled, expected: int, affinity: Affinity | None = None
    ) -> tuple[ResponseMessage, ...] | Trouble:
        """One request, and the response messages of its answer: one for each of `expected` things asked for."""
        url = await self.locate(mailbox)
        if isinstance(url, Trouble):
            return url
        endpoint, request = replace(self.endpoint, url=url), Request(operation, mailbox, body, affinity)
        trail, began = self._trail(endpoint, mailbox), self._clock.monotonic()
        answer = await self._asked(lambda wire, headers: wire.post(headers, body), endpoint, request, trail)
        if isinstance(answer, Trouble):
            got: tuple[ResponseMessage, ...] | Trouble = answer
        else:
            if affinity is not None:
                affinity.learn(answer.cookies)
            got = whole(read(answer, operation, trail_of(answer, trail), sum(map(len, body))), expected, trail)
        if may_have_moved(got):
            self._locator.doubt(mailbox, url)
        self._observe(self.endpoint.profile, operation, _result(got), self._clock.monotonic() - began)
        return got

    async def one(self, operation: str, mailbox: str, body: Filled) -> ResponseMessage | Trouble:
        """A request about one thing: the response message that says it was done, or why not."""
        answers = await self.call(operation, mailbox, body, 1)
        if isinstance(answers, Trouble):
            return answers
        return answers[0] if answers[0].succeeded else answers[0].trouble

    async def pour(
        self, request: Request, sink: Sink, conclude: Callable[[Answer, Trail], Awaitable[Poured]], quiet_seconds: float
    ) -> Poured | Trouble:
        """One request whose answer goes into `sink` while it comes, as `Wire.pour` has it; `conclude` says at the end
        what it was. What the sink raises comes out here, unless it is `Unfit`. Counted is the time until it begins.
        """
        url, clock = await self.locate(request.mailbox), self._clock
        if isinstance(url, Trouble):
            return url
        endpoint = replace(self.endpoint, url=url)
        trail, began = self._trail(endpoint, request.mailbox), clock.monotonic()
        answered: list[float] = []
        result = NO_ANSWER

        async def noting(portion: bytes) -> None:
            if not answered:
                answered.append(clock.monotonic())
            await sink(portion)

        try:
            answer = await self._asked(
                lambda wire, headers: wire.pour(headers, request.body, noting, quiet_seconds), endpoint, request, trail
            )
            got = answer if isinstance(answer, Trouble) else await conclude(answer, trail_of(answer, trail))
            result = _result(got) if isinstance(got, Trouble) else "ok"
        except Unfit as unfit:
            got, result = unfit.trouble(trail), "error"
        except BaseException:
            result = "ok" if answered else ""
            raise
        finally:
            if result:
                until = answered[0] if answered else clock.monotonic()
                self._observe(self.endpoint.profile, request.operation, result, until - began)
        return got

    async def close(self) -> None:
        await self._wires.close()
        if self.tokens is not None:
            await self.tokens.close()

    def _trail(self, endpoint: Endpoint, mailbox: str) -> Trail:
        return Trail(
            endpoint.server,
            str(uuid4()),  # a name to find the request by in logs; nothing is decided by it
            own_credentials=endpoint.own_credentials,
            shared_mailbox=endpoint.shared_mailbox,
            way=endpoint.way,
            parties=endpoint.parties(mailbox),
        )

    async def _asked(self, ask: _Ask, endpoint: Endpoint, request: Request, trail: Trail) -> Answer | Trouble:
        """The attempts of the sign-in flow; each is made only if the one before did nothing."""
        if not endpoint.guards_secrets:
            return trail.trouble("clear-text-refused", _CLEAR_TEXT, "a password would cross the network in clear text")
        async with AsyncExitStack() as using:
            try:
                wire = await using.enter_async_context(self._wires.to(endpoint.url))
            except OSError as error:
                return trail.trouble("ca-file", _CA_FILE, f"the CA file cannot be used: {error}")
            try:
                return await self._signed(wire, ask, request, trail)
            except ConfigurationError as error:
                return trail.trouble("secret-missing", _SECRET, str(error))

    async def _signed(self, wire: Wire, ask: _Ask, request: Request, trail: Trail) -> Answer | Trouble:
        headers = request.headers(trail)
        flow = self._sign_in.flow(wire.connection)
        step = next(flow)
        given: Answer | NoAnswer | str | Trouble
        while True:
            match step:
                case NeedsToken(refused):
                    given = await self._token(trail, refused)
                case Greeting(signed):
                    given = await wire.post({**headers, **signed}, [])
                case _ as signed:
                    given = await ask(wire, {**headers, **signed})
            if isinstance(given, Trouble):
                return given
            if isinstance(given, NoAnswer):
                return _unanswered(given, trail, greeting=isinstance(step, Greeting))
            try:
                step = flow.send(given)
            except StopIteration:
                assert isinstance(given, Answer), "a flow ends with an answer"
                return given

    async def _token(self, trail: Trail, refused: str) -> str | Trouble:
        assert self.tokens is not None
        return await self.tokens.get(trail, refused)

    def _connect(self, url: str, connections: int) -> Wire:
        endpoint = self.endpoint
        return Wire(
            url,
            endpoint.ca_file,
            endpoint.timeout_seconds,
            self._clock,
            connections=connections,
            resolver=self._resolver,
        )


def whole(
    got: tuple[ResponseMessage, ...] | Trouble, expected: int, trail: Trail
) -> tuple[ResponseMessage, ...] | Trouble:
    """EWS answers in the order asked. Which answer is missing cannot be told, so none is believed then."""
    if isinstance(got, Trouble) or len(got) == expected:
        return got
    return trail.trouble(INCOMPLETE, UNREADABLE, f"{len(got)} answers to {expected} questions")


def _unanswered(answer: NoAnswer, trail: Trail, *, greeting: bool) -> Trouble:
    """A greeting asked for nothing, so nothing can have been done."""
    if answer.sent and greeting:
        verdict = judged(Disposition.PAUSE, Scope.SERVER, remedies.UNREACHABLE)
        return trail.trouble("unreachable", verdict, f"no answer to a greeting: {answer.text}")
    if answer.sent:
        return trail.trouble(f"{NO_ANSWER}-{answer.kind}", _LOST, f"no whole answer: {answer.text}")
    remedy = NOT_REACHED.get(answer.kind, remedies.UNREACHABLE)
    verdict = judged(Disposition.PAUSE, Scope.SERVER, remedy)
    return trail.trouble(answer.kind, verdict, f"no connection: {answer.text}")


def _unlocated(findings: Findings, trail: Trail) -> Trouble:
    step = findings.telling
    remedy = f"{step.remedy} {remedies.AUTODISCOVER}".lstrip()
    denied = step.result is Result.DENIED  # the account: to go on with each of its mailboxes could lock it
    verdict = judged(Disposition.PAUSE, Scope.PROFILE if denied else Scope.MAILBOX, remedy, about_account=denied)
    return trail.trouble("autodiscover-failed", verdict, f"{findings.address}: {step.url}: {step.text}")


def _result(got: tuple[ResponseMessage, ...] | Trouble) -> str:
    """The word for metrics. One item that failed makes the request one that failed."""
    if isinstance(got, Trouble):
        if got.code.startswith("no-answer") or got.code in NOT_REACHED:
            return "no-answer"
        return _failed(got.verdict)
    failed = next((message for message in got if not message.succeeded), None)
    return "ok" if failed is None else _failed(verdict_on(failed.code))


def _failed(verdict: Verdict) -> str:
    if verdict.is_busy:
        return "busy"
    if verdict.about_account:
        return "sign-in"
    return "denied" if verdict.disposition is Disposition.PAUSE else "error"
