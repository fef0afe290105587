import io

import pytest

from worker import log


@pytest.fixture(autouse=True, scope="package")
def quiet_log() -> None:
    """Thousands of mails in virtual time; a bug would still be heard: it is logged as an error and then asserted on."""
    log.configure("json", "critical", io.StringIO())
