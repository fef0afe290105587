"""What `mailrouter send` says about files it cannot send; nothing is published then."""

import json

import pytest
from click.testing import CliRunner

from worker.cli import group
from worker.settings import ConfigurationError

EVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/crm/test",
    "type": "crm.email.send.v1",
    "time": "2026-11-23T08:00:00Z",
    "data": {
        "email_id": "mail-1",
        "from": {"address": "anna@contoso.example"},
        "to": [],
        "subject": "",
        "body": {"text": "hello"},
    },
}


def faults_of(content: bytes, file: str = "-") -> tuple[str, ...]:
    result = CliRunner(env={"MAILROUTER_AMQP_URL": "amqp://127.0.0.1:1"}).invoke(group, ["send", file], input=content)
    assert isinstance(result.exception, ConfigurationError), result.output
    assert result.stdout == ""
    return result.exception.faults


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the files hold no events"),
        (b"[]", "the files hold no events"),
        (json.dumps(EVENT | {"id": "x" * 256}).encode(), "-, event 1: id: is longer than 255 bytes"),
        (b'{"a": 1', "-, line 1: Expecting ',' delimiter"),
        (b'{"id": "1"}\nnot json', "-, line 2: not JSON"),
        (b"[1]", "-, event 1: not a CloudEvent: it has no id"),
        (b"[" * 100_000, "-, line 1: "),
        (b"\xff", "-, line 1: "),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(content: bytes, told: str) -> None:
    (fault,) = faults_of(content)
    assert fault.startswith(told)


def test_every_invalid_event_is_told_up_to_a_limit() -> None:
    faults = faults_of(json.dumps([EVENT] * 30).encode())
    assert faults[0].startswith("-, event 1: data.to is without recipients")
    assert faults[-2:] == ("and 10 more", "nothing was published")
    assert len(faults) == 22


def test_a_file_that_is_not_there() -> None:
    assert faults_of(b"", "/nowhere.json") == ("/nowhere.json: cannot be read: No such file or directory",)
