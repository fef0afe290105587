"""Tokens for an application (OAuth 2.0 client credentials), held in memory, renewed ahead of time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from worker.clock import Clock
from worker.ews.endpoint import OAuthSignIn
from worker.ews.token_answer import SAME_AGAIN, Granted, Refusal
from worker.ews.trouble import Trail, Trouble

AHEAD_SECONDS: Final = 300.0
"""So long before its end a token is renewed; where it cannot be, it is used until then."""
AHEAD_AGAIN_SECONDS: Final = 15.0
"""How often that is tried."""
AGAIN_SECONDS: Final = 1.0
"""A sign-in service that refused is not asked again sooner, whoever has no token."""

Ask = Callable[[OAuthSignIn, str | None, datetime], Granted | Refusal]


@dataclass(frozen=True, slots=True)
class _Token:
    """Times are those of the monotonic clock: how far the clocks of others go wrong makes no difference."""

    text: str = field(repr=False)
    ends: float
    renewed_from: float


def _sign_in_service(account: OAuthSignIn, ca_file: str | None, now: datetime) -> Granted | Refusal:
    from worker.ews.sign_in_service import ask  # noqa: PLC0415 - its libraries are slow to load; few use them

    return ask(account, ca_file, now)


class Tokens:
    """Those of one application. Only one is asked for at a time; who has none waits for it, who has one goes on.

    `ask` blocks, and is called in a thread. `token_ends_at` and `certificate_ends_at` speak of what is in use, None
    before there is any. Use within one event loop; close it at the end.
    """

    def __init__(self, account: OAuthSignIn, ca_file: str | None, clock: Clock, ask: Ask | None = None) -> None:
        self.token_ends_at: datetime | None = None
        self.certificate_ends_at: datetime | None = None
        self._account = account
        self._ca_file = ca_file
        self._clock = clock
        self._ask = ask or _sign_in_service
        self._renewal: asyncio.Task[None] | None = None
        self._token: _Token | None = None
        self._refusal: tuple[float, Refusal] | None = None

    async def get(self, trail: Trail, refused: str = "") -> str | Trouble:
        """A token that is valid by our clock, and is not the one that Exchange refused."""
        held = self._held(refused)
        if held is None:
            if self._may_ask(AGAIN_SECONDS):
                await asyncio.shield(self._renewing())
            held = self._held(refused)
        elif self._clock.monotonic() >= held.renewed_from and self._may_ask(AHEAD_AGAIN_SECONDS):
            self._renewing()
        if held is not None:
            return held.text
        refusal = self._refusal[1] if self._refusal else SAME_AGAIN
        return trail.trouble(refusal.code, refusal.verdict, refusal.text)

    async def close(self) -> None:
        """The thread that may be asking still comes to its end by itself."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
            self._renewal = None

    def _held(self, refused: str) -> _Token | None:
        token = self._token
        return token if token and token.text != refused and self._clock.monotonic() < token.ends else None

    def _may_ask(self, seconds: float) -> bool:
        return self._refusal is None or self._clock.monotonic() >= self._refusal[0] + seconds

    def _renewing(self) -> asyncio.Task[None]:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
        return self._renewal

    async def _renew(self) -> None:
        got = await asyncio.to_thread(self._ask, self._account, self._ca_file, self._clock.now())
        now = self._clock.monotonic()
        if isinstance(got, Refusal):
            self._refusal = now, got
            return
        self._token = _Token(got.token, now + got.seconds, now + max(got.seconds - AHEAD_SECONDS, got.seconds / 2))
        self._refusal = None
        self.token_ends_at = self._clock.now() + timedelta(seconds=got.seconds)
        self.certificate_ends_at = got.certificate_ends_at
