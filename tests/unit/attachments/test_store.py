"""One suite for every kind of store, and what is particular to a directory and to a bucket."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from obstore.store import MemoryStore, from_url

from tests.unit.attachments.bucket import Bucket, bucket_on_loopback
from worker.attachments.store import Absent, Store, open_store
from worker.mail.store import AttachmentStore, Unstored
from worker.settings import ConfigurationError

KEY = "0123456789abcdef/1-report.pdf"


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "directory":
        return open_store(str(tmp_path / "files"))
    memory = MemoryStore()
    return Store("memory://", lambda: memory)


async def write(store: AttachmentStore, key: str, *portions: bytes) -> None:
    async with store.writing(key) as sink:
        for portion in portions:
            await sink(portion)


async def read(store: Store, url: str) -> bytes:
    portions: list[bytes] = []

    async def sink(portion: bytes) -> None:
        portions.append(portion)

    await store.read(url, sink)
    return b"".join(portions)


@pytest.mark.parametrize(
    "portions",
    [(), (b"",), (b"a",), (b"a", b"", b"b"), (b"x" * 5 * 2**20,), (b"y" * 12_000_000,), (b"z" * 100_000,) * 60],
)
async def test_what_is_written_is_read(store: Store, portions: tuple[bytes, ...]) -> None:
    await write(store, KEY, *portions)

    assert await read(store, store.url(KEY)) == b"".join(portions)


async def test_what_is_written_again_takes_the_place_of_the_one_before(store: Store) -> None:
    await write(store, KEY, b"the first, which was longer")
    await write(store, KEY, b"the second")

    assert await read(store, store.url(KEY)) == b"the second"


class TroubleError(Exception):
    """What goes wrong while a file is written, with its source."""


async def break_off(store: AttachmentStore, size: int) -> None:
    async with store.writing(KEY) as sink:
        await sink(b"x" * size)
        raise TroubleError


def files_below(directory: Path) -> list[Path]:
    return [each for each in directory.rglob("*") if each.is_file()]


@pytest.mark.parametrize("size", [0, 10, 12_000_000])
async def test_what_is_broken_off_is_not_there(store: Store, size: int) -> None:
    with pytest.raises(TroubleError):
        await break_off(store, size)

    with pytest.raises(Absent):
        await read(store, store.url(KEY))


async def test_what_is_broken_off_leaves_what_was_there(store: Store) -> None:
    await write(store, KEY, b"the first")
    with pytest.raises(TroubleError):
        await break_off(store, 6_000_000)

    assert await read(store, store.url(KEY)) == b"the first"


async def test_what_is_cancelled_is_not_there(store: Store) -> None:
    begun = asyncio.Event()

    async def never_ending() -> None:
        async with store.writing(KEY) as sink:
            await sink(b"x" * 6_000_000)
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(never_ending())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    with pytest.raises(Absent):
        await read(store, store.url(KEY))


async def test_many_at_once_do_not_mix(store: Store) -> None:
    async def one(number: int) -> None:
        await write(store, f"mail/{number}-a.bin", *[bytes([number]) * 100_000] * 3)

    await asyncio.gather(*(one(number) for number in range(20)))

    for number in range(20):
        assert await read(store, store.url(f"mail/{number}-a.bin")) == bytes([number]) * 300_000


@pytest.mark.parametrize("key", ["none", "../secret", "a/../../secret", "%2e%2e/secret", "..%2Fsecret", "a//b", "%00"])
async def test_nothing_is_read_that_is_not_in_the_store(tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").write_bytes(b"not in the store")
    store = open_store(str(tmp_path / "files"))
    await write(store, KEY, b"something")

    with pytest.raises(Absent):
        await read(store, f"{store.url('')}{key}")


async def test_what_the_reader_raises_comes_out(store: Store) -> None:
    await write(store, KEY, b"something")

    async def sink(portion: bytes) -> None:
        raise TroubleError

    with pytest.raises(TroubleError):
        await store.read(store.url(KEY), sink)


def test_only_what_begins_like_its_own_urls_is_held(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "files"))

    assert store.holds(store.url(KEY))
    for url in (f"{tmp_path.as_uri()}/files-of-others/a", f"{tmp_path.as_uri()}/files", "https://files.example/a"):
        assert not store.holds(url)


async def test_a_directory_is_made_when_it_is_needed(tmp_path: Path) -> None:
    directory = tmp_path / "not" / "yet there"
    store = open_store(str(directory))
    assert not directory.exists()
    await write(store, KEY, b"content")

    assert (directory / KEY).read_bytes() == b"content"
    assert store.url(KEY) == (directory / KEY).as_uri()
    assert await read(open_store(directory.as_uri()), store.url(KEY)) == b"content"


async def test_nothing_of_a_broken_off_file_remains(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    with pytest.raises(TroubleError):
        await break_off(store, 12_000_000)

    assert not files_below(tmp_path)


async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000_000, hard))
    try:
        with pytest.raises(Unstored, match=r"attachment store file:///.*File too large.*remedy: .*room"):
            await write(store, KEY, *[b"x" * 1_000_000] * 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert not files_below(tmp_path)


async def test_a_place_that_is_no_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "files").write_bytes(b"a file in the way")

    with pytest.raises(Unstored, match="MAILROUTER_ATTACHMENT_STORE"):
        await write(open_store(str(tmp_path / "files")), KEY, b"content")


@pytest.mark.parametrize("where", ["https://files.example/a", "ftp://files.example", "memory://", "s3://", "az://box"])
def test_what_can_be_no_store_is_told_at_the_start(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("AZURE_")]:
        monkeypatch.delenv(name)

    with pytest.raises(ConfigurationError, match="MAILROUTER_ATTACHMENT_STORE"):
        open_store(where)


@pytest.mark.parametrize(
    "where",
    [
        "s3://AKIA:S3CRET@bucket",
        "s3://AKIA:S3C/RET@bucket",  # read as a port
        "s3://S3CRET@bucket/mail",
        "gs://:S3CRET@bucket",
        "az://box?sv=1&sig=S3CRET",
        "abfss://box:S3CRET@account.dfs.core.windows.net/mail",
    ],
)
def test_credentials_do_not_belong_into_the_url(where: str) -> None:
    with pytest.raises(ConfigurationError, match="in the environment") as refused:
        open_store(where)
    assert "S3C" not in str(refused.value)


def test_a_container_is_named_before_its_account() -> None:
    where = "abfss://box@account.dfs.core.windows.net/mail"
    assert open_store(where).url("a") == f"{where}/a"


@asynccontextmanager
async def bucket_store(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Store, Bucket]]:
    async with bucket_on_loopback() as bucket:
        monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.url)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a key id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a key that is secret")
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        yield open_store("s3://contoso/crm/mail/"), bucket


async def test_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(12_000_000)
    async with bucket_store(monkeypatch) as (store, bucket):
        await write(store, KEY, content)

        assert list(bucket.objects) == [f"/contoso/crm/mail/{KEY}"]
        assert bucket.largest <= 5 * 2**20
        assert store.url(KEY) == f"s3://contoso/crm/mail/{KEY}"
        assert await read(store, store.url(KEY)) == content
        with pytest.raises(Absent):
            await read(store, store.url("none"))


async def test_what_is_broken_off_is_taken_back_from_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bucket_store(monkeypatch) as (store, bucket):
        with pytest.raises(TroubleError):
            await break_off(store, 12_000_000)

    assert (bucket.objects, bucket.begun) == ({}, {})


async def test_a_bucket_that_hangs_is_not_waited_for_once_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bucket_store(monkeypatch) as (_, bucket):
        opened = from_url("s3://contoso/crm/mail/", client_options={"allow_http": True})
        store = Store("s3://contoso/crm/mail", lambda: opened, break_off_seconds=0.1)
        bucket.hanging = True
        writing = asyncio.create_task(write(store, KEY, *[b"x" * 1_000_000] * 50))
        await bucket.asked.wait()
        writing.cancel()
        await asyncio.wait({writing}, timeout=5.0)
        assert writing.cancelled()

    assert bucket.objects == {}


async def test_a_bucket_that_refuses_is_told_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bucket_store(monkeypatch) as (store, bucket):
        bucket.refusing = True
        with pytest.raises(
            Unstored, match=r"s3://contoso/crm/mail did not take a file.*remedy: check the creden"
        ) as told:
            await write(store, KEY, b"x" * 12_000_000)

    assert "a key that is secret" not in str(told.value)
