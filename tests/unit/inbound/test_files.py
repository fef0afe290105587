"""Where the attachments of a mail go: into the event, into the store, or among what is left out."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from worker.inbound.files import FILES, Gathered, gather, safe_name
from worker.mail.incoming import Fetched, File, IncomingMail, IncomingMailbox, Sink, Unreadable, Vanished
from worker.mail.outcome import Deferred, Reason, Scope
from worker.mail.store import Unstored

CORRUPT = Unreadable(Reason("ErrorItemCorrupt", Scope.MESSAGE, "it is broken"))
BUSY = Deferred(Reason("ErrorServerBusy", Scope.MAILBOX, "busy"), 3.0)
HERE = IncomingMail("mail-1", None)


@dataclass
class Mailbox:
    """`contents` by the file's id: portions, and an outcome that ends them. `mail`: what fetching it gives."""

    contents: dict[str, Sequence[bytes | Vanished | Unreadable | Deferred]]
    mail: Fetched = HERE
    read: list[str] = field(default_factory=list)

    async def content(self, file: File, sink: Sink) -> Vanished | Unreadable | Deferred | None:
        self.read.append(file.id)
        for each in self.contents[file.id]:
            if not isinstance(each, bytes):
                return each
            await sink(each)
        return None

    async def fetch(self, ids: Sequence[str], *, bare: bool = False) -> Sequence[Fetched]:
        assert (list(ids), bare) == (["mail-1"], True)
        return [self.mail]


@dataclass
class Kept:
    """A store in memory. `full`: it takes nothing."""

    objects: dict[str, bytes] = field(default_factory=dict)
    full: bool = False
    largest: int = 0

    @asynccontextmanager
    async def writing(self, key: str) -> AsyncIterator[Sink]:
        if self.full:
            raise Unstored("full")
        portions: list[bytes] = []

        async def sink(portion: bytes) -> None:
            self.largest = max(self.largest, len(portion))
            portions.append(portion)

        yield sink
        self.objects[key] = b"".join(portions)

    def url(self, key: str) -> str:
        return f"file:///kept/{key}"


async def gathered(
    files: Sequence[File], mailbox: Mailbox, store: Kept | None = None, *, bare: bool = False, **limits: Any
) -> Gathered | Vanished | Deferred:
    limits = {"inline_bytes": 100, "total_bytes": 1000, "max_bytes": 10_000, **limits}
    mail = IncomingMail("mail-1", None, files=tuple(files), bare=bare)
    return await gather(cast("IncomingMailbox", mailbox), mail, store or Kept(), "key", **limits)


async def taken(files: Sequence[File], mailbox: Mailbox, store: Kept | None = None, **limits: Any) -> Gathered:
    result = await gathered(files, mailbox, store, **limits)
    assert isinstance(result, Gathered)
    return result


def a_file(id_: str, name: str = "a.pdf", **parts: Any) -> File:
    return File(id_, name, "application/pdf", **parts)


@pytest.mark.parametrize("portions", [(), (b"",), (b"small",), (b"x" * 60, b"y" * 40)])
async def test_a_small_file_stays_in_the_event(portions: tuple[bytes, ...]) -> None:
    store = Kept()
    result = await taken([a_file("1", content_id="logo", inline=True)], Mailbox({"1": portions}), store)

    content = b"".join(portions)
    (file,) = result.files
    assert (file.content, file.url, file.size) == (content, "", len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert (file.name, file.content_type, file.content_id, file.inline) == ("a.pdf", "application/pdf", "logo", True)
    assert (result.left_out, store.objects) == ((), {})


@pytest.mark.parametrize("portions", [(b"x" * 101,), (b"x" * 100, b"y"), (b"a",) * 500, (b"x" * 1000, b"y" * 1000)])
async def test_a_large_file_goes_into_the_store(portions: tuple[bytes, ...]) -> None:
    store = Kept()
    result = await taken([a_file("0"), a_file("1", "Ange bot/ä.pdf")], Mailbox({"0": [b"1"], "1": portions}), store)

    content = b"".join(portions)
    file = result.files[1]
    assert (file.content, file.url, file.size) == (None, "file:///kept/key/2-Ange_bot_a.pdf", len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert store.objects == {"key/2-Ange_bot_a.pdf": content}


async def test_many_small_files_do_not_make_a_large_event() -> None:
    files = [a_file(str(number)) for number in range(20)]
    result = await taken(files, Mailbox({file.id: [b"x" * 90] for file in files}))

    inside = [file for file in result.files if file.content is not None]
    assert len(inside) == 8, "120 bytes each in base64, of 1000"
    assert len(result.files) == 20


async def test_content_that_came_along_is_not_asked_for() -> None:
    store = Kept()
    mailbox = Mailbox({})
    files = [a_file("1", content=b"here"), a_file("2", content=b"x" * 600_000)]
    result = await taken(files, mailbox, store, max_bytes=10**6)

    assert [file.content for file in result.files] == [b"here", None]
    assert store.objects == {"key/2-a.pdf": b"x" * 600_000}
    assert store.largest <= 2**18
    assert mailbox.read == []


async def test_a_file_that_cannot_be_read_does_not_cost_the_mail() -> None:
    store = Kept()
    contents: dict[str, Any] = {"1": [b"x" * 500, CORRUPT], "2": [CORRUPT], "3": [b"fine"]}
    result = await taken([a_file("1"), a_file("2", "b.pdf"), a_file("3", "c.pdf")], Mailbox(contents), store)

    assert [file.name for file in result.files] == ["c.pdf"]
    assert result.left_out == (
        'the attachment "a.pdf" cannot be read (ErrorItemCorrupt)',
        'the attachment "b.pdf" cannot be read (ErrorItemCorrupt)',
    )
    assert store.objects == {}


@pytest.mark.parametrize(("told", "portions"), [(0, (b"x" * 6000,) * 2), (10_001, ())])
async def test_a_file_that_is_too_large_is_left_out(told: int, portions: tuple[bytes, ...]) -> None:
    store = Kept()
    mailbox = Mailbox({"1": portions, "2": [b"fine"]})
    result = await taken([a_file("1", size=told), a_file("2")], mailbox, store)

    assert len(result.files) == 1
    assert result.left_out == ('the attachment "a.pdf" is larger than 10000 bytes',)
    assert store.objects == {}
    assert mailbox.read == ["2"] if told else ["1", "2"]


async def test_more_files_than_anybody_sends() -> None:
    files = [a_file("1")] * (FILES + 7)
    result = await taken(files, Mailbox({"1": [b""]}))

    assert len(result.files) == FILES
    assert result.left_out == ("7 more attachments",)


async def test_a_file_that_has_vanished_with_its_mail() -> None:
    mailbox = Mailbox({"1": [Vanished()]}, mail=Vanished())

    assert await gathered([a_file("1")], mailbox) == Vanished()


async def test_a_file_that_has_vanished_from_a_mail_that_is_there() -> None:
    result = await taken([a_file("1")], Mailbox({"1": [Vanished()]}))

    assert result == Gathered((), ('the attachment "a.pdf" is not there any more',))


async def test_trouble_beyond_the_mail_is_told_as_such() -> None:
    store = Kept()

    assert await gathered([a_file("1"), a_file("2")], Mailbox({"1": [b"x" * 500, BUSY]}), store) == BUSY
    assert await gathered([a_file("1")], Mailbox({"1": [Vanished()]}, mail=BUSY)) == BUSY
    assert store.objects == {}


async def test_a_file_that_cannot_be_had_again_and_again_does_not_cost_the_mail() -> None:
    """The mail is read without its body then, as the last thing that is tried."""
    failing = Deferred(Reason("ErrorInternalServerError", Scope.MESSAGE, "it failed"))
    mailbox = Mailbox({"1": [failing], "2": [BUSY]})

    assert await gathered([a_file("1")], mailbox) == failing
    assert await gathered([a_file("2")], mailbox, bare=True) == BUSY
    assert await gathered([a_file("1")], mailbox, bare=True) == Gathered(
        (), ('the attachment "a.pdf" could not be had (ErrorInternalServerError)',)
    )


async def test_a_full_store_comes_out() -> None:
    with pytest.raises(Unstored):
        await gathered([a_file("1")], Mailbox({"1": [b"x" * 500]}), Kept(full=True))


@pytest.mark.parametrize(
    ("content", "name", "content_type"),
    [
        (b"Received: from x\r\n\r\nhello", "Offer.eml", "message/rfc822"),
        (b"\r\nBEGIN:VCALENDAR\r\n", "Offer.ics", "text/calendar"),
        (b"begin:vcard\r\n", "Offer.vcf", "text/vcard"),
        (b"", "Offer.eml", "message/rfc822"),
        (b"BEGIN:VCALENDAR\r\n" + b"x" * 500, "Offer.ics", "text/calendar"),
    ],
)
async def test_an_attached_item_is_what_its_content_says(content: bytes, name: str, content_type: str) -> None:
    store = Kept()
    item = File("1", "Offer", "", item=True)
    for portions in ([content], [content[:3], content[3:]]):
        (file,) = (await taken([item], Mailbox({"1": portions}), store)).files
        assert (file.name, file.content_type) == (name, content_type)

    assert list(store.objects) == ([f"key/1-{name}"] if len(content) > 100 else [])


async def test_an_attached_mail_that_is_called_by_its_ending_already() -> None:
    (file,) = (await taken([File("1", "Message.EML", "", item=True)], Mailbox({"1": [b"x"]}))).files

    assert file.name == "Message.EML"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.pdf", "a.pdf"),
        ("../../etc/passwd", "etc_passwd"),
        ("Müller & Söhne (1).xlsx", "Muller_Sohne_1_.xlsx"),
        ("вложение.doc", "doc"),
        ("", "file"),
        ("...", "file"),
        ("a\x00b\r\n.txt", "a_b_.txt"),
        ("x" * 300 + ".pdf", "x" * 80 + ".pdf"),
        ("x." + "y" * 300, "x." + "y" * 78),
        ("-rf", "-rf"),
    ],
)
def test_names_that_any_store_takes(name: str, safe: str) -> None:
    assert safe_name(name) == safe
