import pytest

from worker import retry


@pytest.mark.parametrize(
    ("delay", "tier"), [(0, 1), (0.2, 1), (1, 1), (4.9, 1), (5, 5), (31, 30), (3600, 3600), (10**9, 21600)]
)
def test_a_tier_does_not_overshoot(delay: float, tier: int) -> None:
    assert retry.tier(delay) == tier


def test_attempts_end() -> None:
    waits = [retry.after_attempt(attempts, 10) for attempts in range(1, 11)]
    assert waits[-1] is None
    assert waits[:-1] == list(retry.ATTEMPTS)


def test_more_attempts_than_the_list_is_long_repeat_its_last() -> None:
    assert retry.after_attempt(50, 100) == retry.ATTEMPTS[-1]


def test_waits_repeat_their_last() -> None:
    assert [retry.after_wait(waits) for waits in (0, 3, 1000)] == [retry.WAITS[0], retry.WAITS[-1], retry.WAITS[-1]]


def test_every_wait_and_attempt_has_a_tier_of_its_length() -> None:
    assert set(retry.WAITS) | set(retry.ATTEMPTS) <= set(retry.TIERS)
