"""What the proof with Docker Compose takes out of what Docker tells."""

import json
from typing import Any

import pytest

from scripts.compose_project import Stop, ended, well


def told(action: str, container: str, at_seconds: float, **attributes: str) -> bytes:
    event = {"Action": action, "Actor": {"ID": container, "Attributes": attributes}, "timeNano": at_seconds * 1e9}
    return json.dumps(event).encode() + b"\n"


def test_stops() -> None:
    """The first signal counts; a container may stop twice, or by itself."""
    events = told("kill", "a", 10, signal="15") + told("kill", "b", 10.5, signal="15")
    events += told("kill", "a", 40, signal="9") + told("die", "a", 40.25, exitCode="137")
    events += told("die", "b", 12, exitCode="0") + told("die", "c", 13, exitCode="2")
    events += told("kill", "b", 50, signal="15") + told("die", "b", 51, exitCode="0")
    assert ended(events) == [Stop(137, 30.25), Stop(0, 1.5), Stop(2, None), Stop(0, 1)]


ONE_SHOT, SERVICE = "no", "unless-stopped"


@pytest.mark.parametrize(
    ("policy", "state", "restarts", "is_well"),
    [
        (SERVICE, {"Status": "running"}, 0, True),
        (SERVICE, {"Status": "running", "Health": {"Status": "healthy"}}, 0, True),
        (SERVICE, {"Status": "running", "Health": {"Status": "starting"}}, 0, False),
        (SERVICE, {"Status": "running", "Health": {"Status": "unhealthy"}}, 0, False),
        (SERVICE, {"Status": "running"}, 1, False),
        (SERVICE, {"Status": "restarting"}, 0, False),
        (SERVICE, {"Status": "exited", "ExitCode": 0}, 0, False),
        (ONE_SHOT, {"Status": "exited", "ExitCode": 0}, 0, True),
        (ONE_SHOT, {"Status": "exited", "ExitCode": 1}, 0, False),
        (ONE_SHOT, {"Status": "running", "ExitCode": 0}, 0, False),
    ],
)
def test_well(policy: str, state: dict[str, Any], restarts: int, *, is_well: bool) -> None:
    container = {"HostConfig": {"RestartPolicy": {"Name": policy}}, "State": state, "RestartCount": restarts}
    assert well(container) == is_well
