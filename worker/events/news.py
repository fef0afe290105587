"""What the workers tell each other: who is there, what was sent from mailboxes that may send so much a minute only, and
who is in trouble.

Each message tells everything its worker knows, as far as it is new or still matters; so one that is lost is made up for
by the next. How long ago and how much longer are seconds: clocks of workers differ.
"""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

BUCKET_SECONDS: Final = 5
BUCKETS: Final = 12
"""What was sent is told by buckets of so many seconds, for the last minute."""

MOST: Final = 100
"""So many mailboxes, and so many troubles, are in one message; the rest is told in the next ones."""

MOST_FAILURES: Final = 10**6

_Text = Annotated[str, Field(max_length=500)]
LONGEST_SECONDS: Final = 10 * 86400
"""What is longer is told as so long."""

_Seconds = Annotated[float, Field(ge=0, le=LONGEST_SECONDS)]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Sent(_Told):
    """How much one worker sent from a mailbox: `counts[0]` in the last five seconds, then in the five before, ...
    Where `mailbox` is "", how many requests it made for the profile.
    """

    profile: _Text
    mailbox: _Text
    counts: Annotated[tuple[Annotated[int, Field(ge=0, le=10**6)], ...], Field(max_length=BUCKETS)]


class Trouble(_Told):
    """One pause. `mailbox` "" is a whole profile; `server` alone a server; both, a mailbox in whatever
    profile. `changed_at` (seconds since 1970) orders what several workers say of it. `over`: it has ended; `probing`:
    somebody tries, for so long.
    """

    profile: _Text = ""
    mailbox: _Text = ""
    server: _Text = ""
    changed_at: Annotated[float, Field(allow_inf_nan=False)]
    over: bool = False
    since: _Seconds = 0.0
    remaining: _Seconds = 0.0
    probing: _Seconds = 0.0
    failures: Annotated[int, Field(ge=0, le=MOST_FAILURES)] = 1
    code: _Text = ""
    scope: _Text = ""
    cause: _Text = ""
    remedy: _Text = ""


class News(_Told):
    """`hello`: who is new and wants to be told. `leaving`: who goes. `sends`: whether it takes a share of limits."""

    worker: _Text
    sends: bool = True
    hello: bool = False
    leaving: bool = False
    sent: Annotated[tuple[Sent, ...], Field(max_length=MOST)] = ()
    troubles: Annotated[tuple[Trouble, ...], Field(max_length=MOST)] = ()


def write(news: News) -> bytes:
    return news.model_dump_json(exclude_defaults=True).encode()


def read(body: bytes) -> News | None:
    """None for what no worker of a known version can have written."""
    try:
        return News.model_validate_json(body)
    except ValidationError:
        return None
