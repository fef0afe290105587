"""Reading a content out of an answer while it comes: whatever the portions, and whatever is wrong with it."""

import base64
import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.unit.ews.build import TYPES, failure, response, success
from worker.ews.content import ContentReader
from worker.ews.transport import MAX_ANSWER_BYTES
from worker.ews.trouble import Trail, Unfit

TRAIL = Trail("mail.contoso.example")
PORTION = 1000


class Sunk:
    def __init__(self) -> None:
        self.all = b""
        self.largest = 0

    async def take(self, portion: bytes) -> None:
        self.all += portion
        self.largest = max(self.largest, len(portion))


def answer(content: str, name: str = "a.bin", extra: str = "") -> bytes:
    file = (
        f'<m:Attachments><t:FileAttachment><t:AttachmentId Id="a"/><t:Name>{name}</t:Name>{content}{extra}'
        "</t:FileAttachment></m:Attachments>"
    )
    return response("GetAttachment", success("GetAttachment", file))


def with_content(content: bytes, **more: str) -> bytes:
    return answer(f"<t:Content>{base64.b64encode(content).decode()}</t:Content>", **more)


async def read(xml: bytes, *cuts: int, most: int = 10**9) -> tuple[Sunk, ContentReader, etree._Element]:
    """What comes of an answer that arrives in portions cut at these places."""
    sunk = Sunk()
    reader = ContentReader(sunk.take, most)
    places = [0, *sorted(min(cut, len(xml)) for cut in cuts), len(xml)]
    for start, end in itertools.pairwise(places):
        await reader.take(xml[start:end])
    return sunk, reader, await reader.finish()


async def test_the_content_goes_its_way_and_the_rest_is_the_answer() -> None:
    content = random.Random(1).randbytes(100_000)
    xml = with_content(content)

    sunk, reader, root = await read(xml, *range(0, len(xml), PORTION))

    assert sunk.all == content
    assert reader.began
    assert sunk.largest <= PORTION
    assert root.findtext(f".//{{{TYPES}}}Name") == "a.bin"
    assert not root.findtext(f".//{{{TYPES}}}Content")


@given(st.binary(max_size=300), st.lists(st.integers(0, 1200), max_size=8), st.text("ab&<é\x0b", max_size=5))
async def test_wherever_the_answer_is_cut_into_portions(content: bytes, cuts: list[int], name: str) -> None:
    written = "".join(f"&#{ord(each)};" if not each.isalnum() else each for each in name)
    sunk, _, root = await read(with_content(content, name=written), *cuts)

    assert sunk.all == content
    assert (root.findtext(f".//{{{TYPES}}}Name") or "") == name.replace("\x0b", "")


async def test_a_character_xml_cannot_carry_may_stand_across_two_portions() -> None:
    xml = with_content(b"content", name="a&#x0b;&#xD83D;&amp;&#233;b")
    place = xml.index(b"&#x0b;")

    for cut in range(place, place + 30):
        sunk, _, root = await read(xml, cut)
        assert (root.findtext(f".//{{{TYPES}}}Name"), sunk.all) == ("a&éb", b"content")


async def test_base64_may_be_folded_and_stand_apart() -> None:
    folded = base64.encodebytes(bytes(range(256))).decode().replace("\n", "\r\n  ")

    sunk, _, _ = await read(answer(f"<t:Content>\n {folded}\n</t:Content>"), 700, 701, 702, 703)

    assert sunk.all == bytes(range(256))


async def test_only_the_first_content_is_one() -> None:
    xml = with_content(b"one", extra="<t:Item><t:MimeContent>dHdv</t:MimeContent></t:Item>")

    sunk, _, root = await read(xml)

    assert sunk.all == b"one"
    assert root.findtext(f".//{{{TYPES}}}MimeContent") == "dHdv"


async def test_an_answer_without_content_is_one_all_the_same() -> None:
    sunk, reader, root = await read(response("GetAttachment", failure("GetAttachment", "ErrorItemNotFound")))

    assert (sunk.all, reader.began) == (b"", False)
    assert b"ErrorItemNotFound" in etree.tostring(root)


@pytest.mark.parametrize(
    "xml",
    [
        with_content(b"content" * 100)[:-40],
        with_content(b"content" * 100)[:500],
        b"<html><body>Sign in</body>",
        b"",
        b"no XML",
        answer("<t:Content>YWJ</t:Content>"),
        answer("<t:Content>YW=J</t:Content>"),
        answer("<t:Content>YQ==YQ==</t:Content>"),
        answer("<t:Content>Y!Jj</t:Content>"),
        answer("<t:Content>YWJj<t:Content>YWJj</t:Content></t:Content>"),
        answer("<t:Content>YWJj</t:Content>") + b"<more/>",
        answer("<a>" * 300 + "</a>" * 300),
        b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>',
        with_content(b"abc") + b"\xff\xfe",
    ],
)
async def test_what_is_not_whole_is_unreadable(xml: bytes) -> None:
    with pytest.raises(Unfit) as unfit:
        await read(xml, 300, 600)

    assert unfit.value.trouble(TRAIL).code == "answer-unreadable"


async def test_more_than_the_limit_is_not_read() -> None:
    sunk = Sunk()
    reader = ContentReader(sunk.take, 1000)

    with pytest.raises(Unfit) as unfit:
        await reader.take(with_content(bytes(1001)))

    trouble = unfit.value.trouble(TRAIL)
    assert (trouble.code, sunk.all) == ("content-too-large", b"")
    assert trouble.verdict.remedy


async def test_nor_is_an_endless_answer_around_it() -> None:
    endless = itertools.chain([b"<a>"], itertools.repeat(b"x" * 2**20, MAX_ANSWER_BYTES // 2**20 + 2))

    with pytest.raises(Unfit) as unfit:
        await everything(ContentReader(Sunk().take, 10**9), endless)

    assert unfit.value.trouble(TRAIL).code == "content-too-large"


async def everything(reader: ContentReader, portions: Iterable[bytes]) -> None:
    for portion in portions:
        await reader.take(portion)
