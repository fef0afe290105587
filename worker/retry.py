"""When a request is tried again: a pure decision over literal lists, so that the schedule can be read here."""

from typing import Final

TIERS: Final = (1, 5, 30, 120, 600, 3600, 21600)
"""The delay tiers, in seconds. Each is a queue of the broker; a longer wait takes several passes."""

ATTEMPTS: Final = (5, 30, 120, 600, 600, 3600, 3600, 3600, 3600)
"""Seconds to wait after each failed attempt at one message. After the last one it fails: ten attempts, 4.4 hours."""

WAITS: Final = (1, 5, 5, 30)
"""Seconds between passes while a mailbox, profile or server is in trouble. The last one repeats: such a wait uses up
no attempt, ends when the trouble ends, and is bounded by MAILROUTER_MAX_WAIT_HOURS, `expires_at` and the horizon."""


def tier(delay_seconds: float) -> int:
    """The longest tier that does not overshoot, at least the shortest: waiting goes on in another pass."""
    return max((each for each in TIERS if each <= delay_seconds), default=TIERS[0])


def after_attempt(attempts: int, limit: int) -> int | None:
    """Seconds until the next try after so many failed attempts, None when that was the last."""
    if attempts >= limit:
        return None
    return ATTEMPTS[min(attempts, len(ATTEMPTS)) - 1]


def after_wait(waits: int) -> int:
    """Seconds until the next pass after so many passes that found the scope in trouble."""
    return WAITS[min(waits, len(WAITS) - 1)]
