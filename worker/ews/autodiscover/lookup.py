"""Asking what the search wants to know: over HTTP, and of the DNS. Each question has an end, and so has the whole.

A server is asked without credentials first, and gets them only if it wants them (401) and the search lets it have them.
So a server that answers for the domain, but has no Autodiscover, sees none.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver

from worker.clock import Clock
from worker.ews.auth import Greeting, NeedsToken, SignIn
from worker.ews.autodiscover.answers import Failure, Reply, Servers
from worker.ews.autodiscover.entitled import Entitled
from worker.ews.autodiscover.questions import Question
from worker.ews.autodiscover.search import Search
from worker.ews.autodiscover.steps import Findings, Result
from worker.ews.endpoint import Account, OAuthSignIn
from worker.ews.http_answer import Answer, NoAnswer
from worker.ews.transport import USER_AGENT, Wire
from worker.settings import ConfigurationError

AskServices = Callable[[str], Awaitable[Servers | Failure]]

MOST_BYTES: Final = 2**20

# Unpacked, a small answer could become a very large one.
_AS_IT_IS: Final = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
_QUESTION_SECONDS: Final = 10.0
_WHOLE_SECONDS: Final = 60.0


async def _ask_services(name: str) -> Servers | Failure:
    from worker.ews.autodiscover.services import ask_services  # noqa: PLC0415 - its library is slow to load; few use it

    return await ask_services(name)


class Lookup:
    """Finds the URL of EWS for addresses. `hosts` are entitled to credentials besides those that always are."""

    def __init__(  # noqa: PLR0913 - its limits, for tests
        self,
        clock: Clock,
        *,
        hosts: frozenset[str] = frozenset(),
        resolver: AbstractResolver | None = None,
        services: AskServices = _ask_services,
        question_seconds: float = _QUESTION_SECONDS,
        whole_seconds: float = _WHOLE_SECONDS,
    ) -> None:
        self._clock = clock
        self._hosts = hosts
        self._resolver = resolver
        self._services = services
        self._question_seconds = question_seconds
        self._whole_seconds = whole_seconds

    async def find(
        self, address: str, account: Account | None = None, sign_in: SignIn | None = None, ca_file: str | None = None
    ) -> Findings:
        """All steps, up to the first URL. Without an account only what needs none is told.

        An application's token is meant for the host its scope names: that is where it is reached, and asked first.
        """
        online = urlsplit(account.scope).hostname or "" if isinstance(account, OAuthSignIn) else ""
        entitled = Entitled(self._hosts | {online} if online else self._hosts, online=bool(online))
        search = Search(address, entitled, online=online, denied=_denied(account))
        questions = search.questions()
        try:
            async with asyncio.timeout(self._whole_seconds):
                question = next(questions)
                while True:
                    question = questions.send(await self._ask(question, sign_in, ca_file))
        except StopIteration as end:
            findings: Findings = end.value
            return findings
        except TimeoutError:
            search.give_up(f"not found within {self._whole_seconds:.0f} seconds")
            return search.findings()

    async def _ask(self, question: Question, sign_in: SignIn | None, ca_file: str | None) -> Reply:
        if question.method == "srv":
            return await self._services(question.url)
        try:
            wire = Wire(
                question.url,
                ca_file,
                self._question_seconds,
                self._clock,
                resolver=self._resolver,
                most_bytes=MOST_BYTES,
                connections=1,
            )
        except OSError as error:
            text = f"the CA file cannot be used: {error}"
            return Failure(Result.CERTIFICATE, text, "Check that ca_file in the profile is a readable PEM file.")
        try:
            answer = await self._send(wire, question, {})
            if sign_in is None or not question.signs_in or isinstance(answer, NoAnswer) or answer.status != 401:  # noqa: PLR2004 - HTTP's "Unauthorized"
                return answer
            return await self._signed_in(wire, question, sign_in, answer)
        except ConfigurationError as error:
            return Failure(Result.DENIED, str(error), "Put the secret where the profile's reference points.")
        finally:
            await wire.close()

    async def _signed_in(self, wire: Wire, question: Question, sign_in: SignIn, refused: Answer) -> Answer | NoAnswer:
        """An application's token is for EWS, not for this: then the refusal stands."""
        flow = sign_in.flow(wire.connection)
        step = next(flow)
        while not isinstance(step, NeedsToken):
            if isinstance(step, Greeting):
                answer = await wire.post({**_AS_IT_IS, **question.headers, **step.headers}, [])
            else:
                answer = await self._send(wire, question, step)
            if isinstance(answer, NoAnswer):
                return answer
            try:
                step = flow.send(answer)
            except StopIteration:
                return answer
        return refused

    async def _send(self, wire: Wire, question: Question, signed: Mapping[str, str]) -> Answer | NoAnswer:
        headers = {**_AS_IT_IS, **question.headers, **signed}
        return await (wire.post(headers, [question.body]) if question.body else wire.get(headers))


def _denied(account: Account | None) -> str:
    """What to do where this account is not let in."""
    match account:
        case None:
            return "Name a profile (--profile): this server tells nobody who does not sign in."
        case OAuthSignIn():
            return "An application signs in to EWS only: give the profile location in place of autodiscover."
        case _:
            return (
                "Check user name and password of the profile or mailbox entry, and that the account may sign in there; "
                "or give the profile location in place of autodiscover."
            )
