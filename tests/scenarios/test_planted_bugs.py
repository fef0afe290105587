"""The tests notice when a rule of delivery is broken: each planted bug fails one of them."""

import pytest

from tests.planted_bugs import BUGS, RUN_SECONDS, Bug, noticed


@pytest.mark.timeout(RUN_SECONDS + 30)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_noticed(bug: Bug) -> None:
    assert noticed(bug) == ""
