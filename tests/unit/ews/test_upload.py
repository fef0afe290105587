"""Spooled files in requests: base64 made on the way, never the whole of it in memory."""

import asyncio
import base64
import binascii
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import BinaryIO

import pytest
from lxml import etree

from tests.unit.ews.build import FULL, PLAIN, SOAP, TYPES, whole
from tests.unit.ews.server import http, serving
from tests.unit.ews.test_exchange import lane_on
from tests.unit.ews.test_transport import OK, wire_to
from worker.ews.http_answer import Answer, NoAnswer
from worker.ews.operations import create_item
from worker.ews.upload import Upload
from worker.mail.message import Attachment, Link, Message, Spooled
from worker.mail.outcome import Rejected

BEFORE = b"another file of the same mail"


@pytest.fixture
def file() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        yield file


def spooled(file: BinaryIO, content: bytes) -> Spooled:
    file.write(BEFORE + content)
    file.flush()
    return Spooled(file, len(BEFORE), len(content))


async def sent(upload: Upload) -> bytes:
    return b"".join([portion async for portion in upload.portions()])


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 196_607, 196_608, 196_609, 500_000])
async def test_the_text_is_that_of_the_whole_file(file: BinaryIO, size: int) -> None:
    content = os.urandom(size)
    upload = Upload(spooled(file, content))

    assert await sent(upload) == base64.b64encode(content)
    assert await sent(upload) == base64.b64encode(content), "from the beginning each time"
    assert len(upload) == len(base64.b64encode(content))


async def test_a_file_that_became_shorter_is_not_sent_as_something_else(file: BinaryIO) -> None:
    upload = Upload(spooled(file, b"x" * 300_000))
    file.truncate(200_000)

    with pytest.raises(OSError, match="shorter"):
        await sent(upload)


def of(message: Message, *contents: bytes | Spooled | Link) -> Message:
    return replace(message, attachments=tuple(Attachment("a.bin", "application/zip", each) for each in contents))


async def test_a_request_is_the_same_with_spooled_files_as_with_given_ones(file: BinaryIO) -> None:
    content = os.urandom(1_000_000)
    given = create_item.request("a@b", [of(FULL, base64.b64encode(content))], set(), impersonate=True)
    filled = create_item.request("a@b", [of(FULL, spooled(file, content))], set(), impersonate=True)
    async with serving(OK) as server, wire_to(server.url) as wire:
        for _ in range(2):
            assert isinstance(await wire.post({}, filled), Answer)

    assert [request.body for request in server.requests] == [whole(given)] * 2
    assert server.requests[0].headers["content-length"] == str(len(whole(given)))
    root = etree.fromstring(server.requests[0].body, etree.XMLParser(huge_tree=True))
    assert root.tag == f"{{{SOAP}}}Envelope"
    assert binascii.a2b_base64(root.findtext(f".//{{{TYPES}}}Content") or "") == content


async def test_a_small_spooled_file_needs_no_other_way(file: BinaryIO) -> None:
    async with serving(OK) as server, wire_to(server.url) as wire:
        await wire.post({}, [b"<a>", Upload(spooled(file, b"abc")), b"</a>"])

    assert server.requests[0].body == b"<a>YWJj</a>"


async def test_a_link_never_reaches_a_request() -> None:
    with pytest.raises(AssertionError):
        create_item.request("a@b", [of(PLAIN, Link("https://crm.example/1"))], set(), impersonate=False)


async def test_what_is_too_large_for_a_request_is_refused_before_it_is_sent(
    file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_PASSWORD", "secret")
    file.truncate(52 * 10**6)
    large = of(PLAIN, Spooled(file, 0, 52 * 10**6))
    async with lane_on(OK) as (lane, server):
        outcomes = await lane.mailbox.draft([large])

    (rejected,) = outcomes
    assert isinstance(rejected, Rejected)
    assert rejected.reason.code == "request-too-large"
    assert "Set-Mailbox anna@contoso.example -MaxSendSize" in rejected.reason.remedy
    assert server.requests == []


BODY = (b"x" * 2**24,)


@asynccontextmanager
async def slow_server(*, pauses: int, seconds: float) -> AsyncIterator[str]:
    """It pauses so many times before it reads on, a megabyte each time, and answers in the end."""
    loop = asyncio.get_running_loop()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        left = len(BODY[0])
        try:
            for _ in range(pauses):
                rested = asyncio.Event()
                loop.call_later(seconds, rested.set)
                await rested.wait()
                left -= len(await reader.readexactly(min(left, 2**20)))
            await reader.readexactly(left)
            writer.write(http(200, b"fine"))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    finally:
        listener.close()


async def test_a_slow_line_takes_its_time_as_long_as_it_moves() -> None:
    """The server takes a megabyte every tenth of a second: longer in all than it has for an answer, never at once."""
    async with slow_server(pauses=16, seconds=0.1) as url, wire_to(url, seconds=1.0) as wire:
        began = asyncio.get_running_loop().time()
        answer = await wire.post({}, BODY)
        took = asyncio.get_running_loop().time() - began

    assert isinstance(answer, Answer)
    assert took > 1.0


async def test_a_line_that_does_not_move_is_given_up() -> None:
    async with slow_server(pauses=1, seconds=60) as url, wire_to(url, seconds=0.3) as wire:
        answer = await wire.post({}, BODY)

    assert isinstance(answer, NoAnswer)
    assert (answer.kind, answer.sent) == ("timeout", True)
