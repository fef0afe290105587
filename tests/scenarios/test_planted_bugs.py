"""The tests notice when a rule of delivery is broken: each planted bug fails one of them."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import pytest

from tests.planted_bugs import BUGS, Bug, noticed

AT_ONCE: Final = 2


@pytest.fixture(scope="module")
def verdicts() -> Iterator[Mapping[Bug, Future[str]]]:
    """Under way, some at once: each is a test run of its own."""
    pool = ThreadPoolExecutor(AT_ONCE)
    yield {bug: pool.submit(noticed, bug) for bug in BUGS}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_noticed(bug: Bug, verdicts: Mapping[Bug, Future[str]]) -> None:
    assert verdicts[bug].result() == ""
