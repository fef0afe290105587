"""Signing in, as flows without input or output.

A flow yields the headers one attempt is to carry and is sent the answer to it. When it ends, the last answer stands.
It may yield again only after an answer that says that nothing was done (401), so no act is ever repeated by it.
"""

import base64
from collections.abc import Generator, Mapping
from typing import Protocol

from worker.ews.endpoint import Account, BasicSignIn
from worker.ews.transport import Answer
from worker.settings import ConfigurationError

Flow = Generator[Mapping[str, str], Answer, None]


class SignIn(Protocol):
    def flow(self) -> Flow:
        """The attempts at one request. Raises ConfigurationError when a secret is not there."""


class Basic:
    """RFC 7617. The password is read once and again when it was refused: it may have been changed meanwhile."""

    def __init__(self, account: BasicSignIn) -> None:
        self._account = account
        self._header: str | None = None

    def flow(self) -> Flow:
        known = self._header
        answer = yield {"Authorization": known or self._read()}
        if answer.status == 401 and known is not None and self._read() != known:  # noqa: PLR2004 - HTTP's "Unauthorized"
            answer = yield {"Authorization": self._header or ""}
        if answer.status == 401:  # noqa: PLR2004
            self._header = None

    def _read(self) -> str:
        pair = f"{self._account.username}:{self._account.password.resolve()}"
        self._header = "Basic " + base64.b64encode(pair.encode()).decode()
        return self._header


def sign_in(account: Account) -> SignIn:
    """How this account signs in."""
    if isinstance(account, BasicSignIn):
        return Basic(account)
    raise ConfigurationError("authentication: only clear-text is available in this version")
