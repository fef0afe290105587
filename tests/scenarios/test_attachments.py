"""Attachments by URL, there and back: fetched, sent over Exchange, received, kept, the same to the byte.

At full size, with the workers' memory: `python -m benchmarks.attachments`.
"""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from scripts.file_host import FileHost, file_host, random_file
from scripts.fleet import Fleet
from scripts.fleet_profiles import reading
from scripts.samples import request
from tests.scenarios.conftest import StartFleet, assert_each_once

BEA = "bea@contoso.example"
SIZE = 3_000_001


@pytest.fixture
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FileHost]:
    async with file_host(tmp_path_factory.mktemp("host")) as host:
        yield host


def by_url(email_id: str, *urls: str, **told: Any) -> dict[str, Any]:
    files = [{"name": f"{number}.bin", "url": url, **told} for number, url in enumerate(urls)]
    return request(email_id, subject=email_id, to=[{"address": BEA}], attachments=files)


def kept(url: str) -> bytes:
    """What is in the store under a URL of an event."""
    return Path(unquote(urlsplit(url).path)).read_bytes()


async def test_there_and_back(start_fleet: StartFleet, host: FileHost, tmp_path: Path) -> None:
    over_https = random_file(host.files / "1", SIZE)
    in_store = tmp_path / "attachments" / "earlier" / "1-a.bin"
    from_store = random_file(in_store, SIZE)
    fleet = await start_fleet(
        environment=host.environment, workers=1, profiles=reading([BEA], poll_seconds=1, start="all")
    )
    await fleet.publish(
        [
            by_url("over-https", host.url("1"), **over_https),
            by_url("from-store", in_store.as_uri(), **from_store),
            by_url("both", host.url("1"), in_store.as_uri()),
        ]
    )
    await fleet.until(lambda: len(fleet.inbound) == 3, 30)

    arrived = {each["data"]["subject"]: each["data"]["attachments"] for each in fleet.inbound.values()}
    expected = {"over-https": [over_https], "from-store": [from_store], "both": [over_https, from_store]}
    assert {
        subject: [{"size": file["size"], "sha256": file["sha256"]} for file in files]
        for subject, files in arrived.items()
    } == expected
    for file in (file for files in arrived.values() for file in files):
        assert hashlib.sha256(kept(file["url"])).hexdigest() == file["sha256"]
    await fleet.until(lambda: fleet.reached["accepted"] == 3, 10)
    await assert_each_once(fleet, 3)


async def test_what_cannot_be_had(start_fleet: StartFleet, host: FileHost) -> None:
    random_file(host.files / "1", 1000)
    fleet = await start_fleet(environment=host.environment, workers=1)
    await fleet.publish(
        [
            by_url("elsewhere", f"https://localhost:{host.port + 1}/1"),
            by_url("the-machine", "file:///etc/hostname"),
            by_url("missing", host.url("none")),
            by_url("missing-in-store", (fleet.directory / "attachments" / "none").as_uri()),
            by_url("another", host.url("1"), sha256="0" * 64),
            by_url("other-size", host.url("1"), size=999),
            by_url("too-large", host.url("1"), size=100 * 2**20),
            by_url("fine", host.url("1"), size=1000),
        ]
    )
    await fleet.until(lambda: fleet.reached["failed"] == 7 and fleet.reached["accepted"] == 1, 30)

    assert {email_id: reason(fleet, email_id) for email_id in fleet.states if email_id != "fine"} == {
        "elsewhere": "attachment-not-allowed",
        "the-machine": "attachment-not-allowed",
        "missing": "attachment-missing",
        "missing-in-store": "attachment-missing",
        "another": "attachment-mismatch",
        "other-size": "attachment-mismatch",
        "too-large": "attachment-too-large",
    }
    assert (await fleet.arrived())["mails"] == 1
    letters = await fleet.take_dead_letters()
    assert [letter.headers["x-reason"] for letter in letters] == ["attachment-not-allowed"] * 2


async def test_nothing_is_fetched_without_leave(start_fleet: StartFleet, host: FileHost) -> None:
    """A host that is listed, but lies on this machine: the metadata service of a cloud would be as near."""
    random_file(host.files / "1", 1000)
    environment = {**host.environment, "MAILROUTER_ATTACHMENT_NETWORKS": ""}
    fleet = await start_fleet(environment=environment, workers=1)
    await fleet.publish([by_url("near", host.url("1"))])
    await fleet.until(lambda: fleet.reached["failed"] == 1, 30)

    assert reason(fleet, "near") == "attachment-not-allowed"
    assert host.requests == 0


def reason(fleet: Fleet, email_id: str) -> str:
    (told,) = fleet.about(email_id)
    code: str = told["data"]["reason"]["code"]
    return code
