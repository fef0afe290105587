"""Signing in, as flows without input or output.

A flow yields what the next attempt is to carry and is sent the answer to it; or it yields that it needs a token, and is
sent one. When it ends, the last answer stands. The request itself goes again only after an answer that says that
nothing was done (401), so no act is ever repeated by it. All attempts of one flow go over one line.
"""

import base64
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from worker.ews.connection import Connection
from worker.ews.endpoint import Account, BasicSignIn, NtlmSignIn
from worker.ews.http_answer import Answer

UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True)
class NeedsToken:
    """A token, another one than that which was refused, "" for none."""

    refused: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Greeting:
    """A request without a body, which asks for nothing: its answer is what counts."""

    headers: Mapping[str, str]


Step = Mapping[str, str] | Greeting | NeedsToken
Flow = Generator[Step, Answer | str, None]


class SignIn(Protocol):
    def flow(self, connection: Connection) -> Flow:
        """The attempts at one request. Raises ConfigurationError when a secret is not there."""


class Basic:
    """RFC 7617. The password is read once and again when it was refused: it may have been changed meanwhile."""

    def __init__(self, account: BasicSignIn) -> None:
        self._account = account
        self._header: str | None = None

    def flow(self, connection: Connection) -> Flow:  # noqa: ARG002 - each request says who it is
        known = self._header
        answer = yield {"Authorization": known or self._read()}
        assert isinstance(answer, Answer)
        if answer.status == UNAUTHORIZED and known is not None and self._read() != known:
            answer = yield {"Authorization": self._header or ""}
            assert isinstance(answer, Answer)
        if answer.status == UNAUTHORIZED:
            self._header = None

    def _read(self) -> str:
        pair = f"{self._account.username}:{self._account.password.resolve()}"
        self._header = "Basic " + base64.b64encode(pair.encode()).decode()
        return self._header


class Bearer:
    """RFC 6750. A token may be refused although our clock says it is valid: then one more attempt with another."""

    def flow(self, connection: Connection) -> Flow:  # noqa: ARG002 - each request says who it is
        token = yield NeedsToken()
        assert isinstance(token, str)
        answer = yield {"Authorization": f"Bearer {token}"}
        assert isinstance(answer, Answer)
        if answer.status == UNAUTHORIZED:
            fresh = yield NeedsToken(refused=token)
            yield {"Authorization": f"Bearer {fresh}"}


def sign_in(account: Account) -> SignIn:
    """How this account signs in."""
    match account:
        case BasicSignIn():
            return Basic(account)
        case NtlmSignIn():
            from worker.ews.negotiated import Negotiated  # noqa: PLC0415 - its library is slow to load; few use it

            return Negotiated(account)
        case _:
            return Bearer()
