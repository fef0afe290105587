"""When tokens are asked for, and what is used meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from tests.unit.outbound.fakes import StubClock
from worker.ews.endpoint import OAuthSignIn
from worker.ews.oauth import AGAIN_SECONDS, AHEAD_AGAIN_SECONDS, AHEAD_SECONDS, Tokens
from worker.ews.token_answer import Granted, Refusal, unavailable
from worker.ews.trouble import Trail, Trouble
from worker.settings import SecretReference

ACCOUNT = OAuthSignIn("https://login.example", "t", "c", "s", client_secret=SecretReference("env:SECRET"))
TRAIL = Trail("mail.contoso.example")
HOUR = 3600.0
FIRST, SECOND, THIRD = (Granted(name, HOUR) for name in ("first", "second", "third"))
AWAY = unavailable("away")


class Service:
    """Answers as it is told, one after the other, the last one from then on; not before it may."""

    def __init__(self, *answers: Granted | Refusal) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.may = threading.Event()
        self.may.set()

    def ask(self, _account: OAuthSignIn, _ca_file: str | None, _now: datetime) -> Granted | Refusal:
        self.asked += 1
        assert self.may.wait(10)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Scene:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.clock = StubClock()
        self.tokens = Tokens(ACCOUNT, None, self.clock, service.ask)

    async def get(self, refused: str = "") -> str:
        """The token, or the code of the trouble."""
        got = await self.tokens.get(TRAIL, refused)
        return got.code if isinstance(got, Trouble) else got

    async def settled(self) -> None:
        """What goes on in the background has ended."""
        renewal = self.tokens._renewal
        if renewal is not None:
            await renewal


@asynccontextmanager
async def scene(*answers: Granted | Refusal) -> AsyncIterator[Scene]:
    made = Scene(Service(*answers))
    try:
        yield made
    finally:
        made.service.may.set()
        await made.tokens.close()


async def asked_of(service: Service) -> None:
    while not service.asked:  # noqa: ASYNC110 - it is asked in a thread; pytest's timeout bounds it
        await asyncio.sleep(0)


async def test_a_token_is_asked_for_once_and_used_until_it_is_renewed() -> None:
    async with scene(FIRST, SECOND) as it:
        assert [await it.get() for _ in range(3)] == ["first"] * 3
        it.clock.seconds = HOUR - AHEAD_SECONDS - 1
        assert await it.get() == "first"
        assert it.service.asked == 1


async def test_who_has_none_waits_for_the_one_that_is_asked_for() -> None:
    async with scene(FIRST) as it:
        it.service.may.clear()
        waiting = [asyncio.create_task(it.get()) for _ in range(20)]
        await asked_of(it.service)
        waiting[0].cancel()
        it.service.may.set()
        assert [await each for each in waiting[1:]] == ["first"] * 19
        assert it.service.asked == 1


async def test_a_token_is_renewed_ahead_of_time_and_nobody_waits() -> None:
    async with scene(FIRST, SECOND) as it:
        await it.get()
        it.service.may.clear()
        it.clock.seconds = HOUR - AHEAD_SECONDS
        assert [await it.get() for _ in range(3)] == ["first"] * 3
        it.service.may.set()
        await it.settled()
        assert await it.get() == "second"
        assert it.service.asked == 2


async def test_a_short_token_is_renewed_half_way() -> None:
    async with scene(Granted("short", 60), SECOND) as it:
        await it.get()
        it.clock.seconds = 29
        await it.get()
        assert it.service.asked == 1
        it.clock.seconds = 30
        assert await it.get() == "short"
        await it.settled()
        assert await it.get() == "second"


async def test_a_service_that_is_away_stops_nobody_before_the_end_and_is_asked_now_and_then() -> None:
    async with scene(FIRST, AWAY) as it:
        await it.get()
        for second in range(round(AHEAD_SECONDS)):
            it.clock.seconds = HOUR - AHEAD_SECONDS + second
            assert await it.get() == "first"
            await it.settled()
        assert it.service.asked == 1 + AHEAD_SECONDS / AHEAD_AGAIN_SECONDS
        it.clock.seconds = HOUR
        assert await it.get() == "token-unavailable"


async def test_a_refusal_stands_for_a_second() -> None:
    async with scene(AWAY, FIRST) as it:
        assert await it.get() == "token-unavailable"
        it.clock.seconds = AGAIN_SECONDS - 0.1
        assert await it.get() == "token-unavailable"
        it.clock.seconds = AGAIN_SECONDS
        assert await it.get() == "first"


async def test_a_token_that_exchange_refuses_is_replaced_once_for_all() -> None:
    async with scene(FIRST, SECOND, THIRD) as it:
        await it.get()
        assert await asyncio.gather(*(it.get(refused="first") for _ in range(5))) == ["second"] * 5
        assert await it.get(refused="first") == "second"
        assert it.service.asked == 2


async def test_a_service_that_gives_the_refused_token_again_says_so() -> None:
    async with scene(FIRST) as it:
        await it.get()
        assert await it.get(refused="first") == "token-refused"


async def test_when_token_and_certificate_end_is_told() -> None:
    ends_at = StubClock().now() + timedelta(days=30)
    async with scene(Granted("first", HOUR, ends_at)) as it:
        assert (it.tokens.token_ends_at, it.tokens.certificate_ends_at) == (None, None)
        await it.get()
        assert it.tokens.token_ends_at == it.clock.now() + timedelta(hours=1)
        assert it.tokens.certificate_ends_at == ends_at


async def test_no_token_is_shown() -> None:
    async with scene(Granted("first-and-secret", HOUR)) as it:
        await it.get()
        assert "secret" not in repr((it.tokens._token, it.service.answers))


async def test_closing_does_not_wait_for_the_service() -> None:
    async with scene(FIRST) as it:
        it.service.may.clear()
        waiting = asyncio.create_task(it.get())
        await asked_of(it.service)
        async with asyncio.timeout(1):
            await it.tokens.close()
        waiting.cancel()
        await asyncio.wait([waiting])
