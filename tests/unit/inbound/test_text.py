"""Text, character sets, header values: what comes of the odd ones."""

import time

import pytest

from tests.unit.inbound.corpus import CHARSETS
from worker.inbound.charset import decode
from worker.inbound.header import base64_decoded, message_ids, parameters, words_decoded
from worker.inbound.text import clean, cut, line, written_bytes


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Grüße\r\n\tplain", "Grüße\r\n\tplain"),
        ("nul \x00 bell \x07 delete \x7f", "nul  bell  delete "),
        ("vertical\x0btab, form\x0cfeed", "vertical tab, form feed"),
        ("Windows \x93quoted\x94 \x85 \x81", "Windows “quoted” … "),
        ("half \ud83d and \ude00", "half \ufffd and \ufffd"),
        ("two halves \ud83d\ude00", "two halves 😀"),
        ("no character \ufffe\uffff", "no character \ufffd\ufffd"),
        ("e\u0301 stays as it is", "e\u0301 stays as it is"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_one_line() -> None:
    assert line("  a \r\n\t b\u2028c  d ", 100) == "a b c  d"
    assert line("x" * 1000, 10) == "x" * 10
    assert line("word word", 5) == "word"


def test_cut_by_what_is_written() -> None:
    for text in ("x" * 10_000, '"' * 10_000, "😀" * 10_000, "x" * 5000 + '"😀' * 2500):
        short = cut(text, 3000)
        assert text.startswith(short)
        assert 2900 < written_bytes(short) <= 3000


@pytest.mark.parametrize("charset", CHARSETS)
def test_charsets(charset: str) -> None:
    codec, text = CHARSETS[charset]
    assert decode(text.encode(codec), charset) == text


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("Grüße".encode("cp1252"), "utf-8", "Grüße"),
        ("Grüße aus Köln, und tschüß".encode() + b"\xff", "utf-8", "Grüße aus Köln, und tschüß\ufffd"),
        (b"\xef\xbb\xbfmarked", "iso-8859-1", "marked"),
        (b"\x1b$B\xff", "iso-2022-jp", "\ufffd"),
        (b"xyz\x81", "windows-1252", "xyz\ufffd"),
        (b"eJwDAAAAAAE=", "zlib", "eJwDAAAAAAE="),
        (b"xn--", "idna", "xn--"),
    ],
)
def test_wrong_charsets(data: bytes, charset: str, text: str) -> None:
    assert decode(data, charset) == text


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("plain", "plain"),
        ("=?utf-8?Q?J=C3=B6rg?= B", "Jörg B"),
        ("=?utf-8?Q?a?= =?utf-8?Q?b?=\r\n =?utf-8?B?Yw==?= d", "abc d"),
        ("=?utf-8?Q?=C3?= =?utf-8?Q?=B6?=", "ö"),
        ("=?iso-2022-jp?B?GyRCJDMbKEI=?= =?iso-2022-jp?B?GyRCJHMbKEI=?=", "こん"),
        ("a =?utf-8*en?q?b_c?= d", "a b c d"),
        ('"=?utf-8?B?SsO2cmc?="', '"Jörg"'),
        ("=?utf-8?Q?with blanks in it?=", "with blanks in it"),
        ("=?utf-8?X?abc?=", "=?utf-8?X?abc?="),
        ("=?utf-8?Q?never ends", "=?utf-8?Q?never ends"),
        ("=?unheard-of?Q?abc?=", "abc"),
    ],
)
def test_encoded_words(text: str, decoded: str) -> None:
    assert words_decoded(text) == decoded


@pytest.mark.parametrize(
    ("value", "kind", "named"),
    [
        ('Text/Plain; Charset="UTF-8"', "text/plain", {"charset": "UTF-8"}),
        ("text/plain; name=two words.txt", "text/plain", {"name": "two words.txt"}),
        ('a/b; name="quoted \\" quote"', "a/b", {"name": 'quoted " quote'}),
        ("a/b; name*=iso-8859-1'de'Gr%FC%DFe.pdf", "a/b", {"name": "Grüße.pdf"}),
        ("a/b; name*1=.pdf; name*0*=utf-8''%C3%A4", "a/b", {"name": "ä.pdf"}),
        ("a/b; name==?utf-8?Q?J=C3=B6rg.pdf?=", "a/b", {"name": "Jörg.pdf"}),
        ('a/b; name="never ends', "a/b", {"name": "never ends"}),
        (";;;=;a=;", "", {"a": ""}),
    ],
)
def test_parameters(value: str, kind: str, named: dict[str, str]) -> None:
    assert parameters(value) == (kind, named)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("<a@b>", ("<a@b>",)),
        ("Your message of Monday <a@b> (Anna)", ("<a@b>",)),
        ("<a@b><c@d>,<a@b>", ("<a@b>", "<c@d>")),
        ("<folded-\r\n in-two@b>", ("<folded-in-two@b>",)),
        ("a@b, c@d", ("<a@b>", "<c@d>")),
        ("no id at all", ()),
        ("<>", ()),
        (f"<{'x' * 3000}@b>", ()),
    ],
)
def test_message_ids(text: str, ids: tuple[str, ...]) -> None:
    assert message_ids(text) == ids


def test_of_too_many_message_ids_the_first_and_the_last_stay() -> None:
    ids = message_ids("".join(f"<{number}@b>" for number in range(500)), 10)

    assert ids == ("<0@b>", *(f"<{number}@b>" for number in range(491, 500)))


def test_base64_as_it_comes() -> None:
    assert base64_decoded(b"SGVs\r\nbG8") == b"Hello"
    assert base64_decoded(b"SGVsbG8=SGVsbG8=") == b"HelloHello"
    assert base64_decoded(b"SGVsbG8=\n-- \nx") == b"Hello"


@pytest.mark.parametrize("piece", ["=?utf-8?q?", "=?utf-8?q?a?= ", "<", "<a", "@", "=?", "\r\n "])
def test_time_is_linear(piece: str) -> None:
    text = piece * (500_000 // len(piece))
    began = time.process_time()
    words_decoded(text)
    message_ids(text)
    line(text, 10**6)
    assert time.process_time() - began < 3  # it takes a tenth of that; in quadratic time, hours
