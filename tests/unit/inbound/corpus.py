"""Nasty mails: the files under tests/corpus, and as many again made here, the same ones in every run."""

import base64
import quopri
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

FILES: Final = Path(__file__).parents[2] / "corpus"
SEED: Final = 20261123

CHARSETS: Final = {
    "utf-8": ("utf-8", "Grüße aus Łódź – 你好 😀"),
    "UTF8": ("utf-8", "Grüße"),
    "utf-16": ("utf-16", "Grüße 你好"),
    "utf-7": ("utf-7", "Grüße 你好"),
    "us-ascii": ("utf-8", "Grüße, though it says ASCII"),
    "iso-8859-1": ("cp1252", "Grüße – “quoted” €"),
    "iso-8859-2": ("iso-8859-2", "Łódź žluťoučký"),
    "iso-8859-5": ("iso-8859-5", "Привет"),
    "iso-8859-8-i": ("iso-8859-8", "שלום"),
    "iso-8859-15": ("iso-8859-15", "Grüße €"),
    "windows-1250": ("cp1250", "Žluťoučký kůň"),
    "windows-1251": ("cp1251", "Привет"),
    "windows-1252": ("cp1252", "Grüße – €"),
    "windows-1253": ("cp1253", "Καλημέρα"),
    "windows-1255": ("cp1255", "שלום"),
    "windows-1256": ("cp1256", "مرحبا"),
    "windows-874": ("cp874", "สวัสดี"),
    "koi8-r": ("koi8-r", "Привет"),
    "koi8-u": ("koi8-u", "Привіт"),
    "gb2312": ("gb18030", "你好，镕基"),
    "gbk": ("gbk", "你好"),
    "gb18030": ("gb18030", "你好 😀"),
    "big5": ("big5", "你好"),
    "euc-kr": ("cp949", "안녕하세요 똠"),
    "ks_c_5601-1987": ("cp949", "안녕하세요"),
    "iso-2022-jp": ("iso-2022-jp", "こんにちは"),
    "shift_jis": ("cp932", "こんにちは①"),
    "x-sjis": ("cp932", "こんにちは"),
    "euc-jp": ("euc-jp", "こんにちは"),
    "iso-2022-kr": ("iso2022_kr", "안녕"),
    "macintosh": ("mac_roman", "Grüße"),
    "cp850": ("cp850", "Grüße"),
    "x-unknown": ("utf-8", "Grüße"),
    "": ("cp1252", "Grüße"),
}
"""By the name a mail gives it: the codec that wrote it, and what was written."""

ODD_CHARSETS: Final = ("zlib", "idna", "punycode", "unicode_escape", "rot13", "x" * 500, "utf-8; utf-8", "\x00", "../x")

ADDRESSES: Final = (
    "x@customer.example",
    "<x@customer.example>",
    "X <x@customer.example>",
    '"X, Y" <x@customer.example>',
    "X, Y <x@customer.example>",
    "'x@customer.example'",
    "mailto:x@customer.example",
    "X <mailto:x@customer.example>",
    "x@customer.example.",
    "x@customer.example (X (the one))",
    "Team: x@customer.example, y@customer.example;",
    "undisclosed-recipients:;",
    "=?utf-8?Q?J=C3=B6rg?= <x@customer.example>",
    '"=?utf-8?B?SsO2cmc=?=" <x@customer.example>',
    "=?utf-8?Q?=C3?= =?utf-8?Q?=B6?= <x@customer.example>",
    "x@customer.example; y@customer.example",
    "<@relay.example:x@customer.example>",
    '"very.(),:;<>[]\\".VERY" <x@customer.example>',
    '"quoted local"@customer.example',
    "x@[192.0.2.1]",
    "x@[IPv6:2001:db8::1]",
    "jörg@müller.example",
    "X <>",
    "<>",
    "X",
    "@",
    "x@",
    "@customer.example",
    "x@y@z",
    "a" * 70_000 + "@customer.example",
    '"' * 9_999,
    "(" * 50_000,
    "<" * 50_000,
    ", ".join(f"user{number}@customer.example" for number in range(20_000)),
    ("/O=CONTOSO/OU=EXCHANGE ADMINISTRATIVE GROUP/CN=RECIPIENTS/CN=X"),
    "IMCEAEX-_O=CONTOSO_OU=EX_CN=RECIPIENTS_CN=X+20Y@contoso.example",
    "X\x00Y <x@customer.example>",
    "\u202egro.elpmaxe@x <x@customer.example>",
)

DATES: Final = (
    "Mon, 23 Nov 2026 09:00:00 +0000",
    "Mon, 23 Nov 2026 09:00:00 GMT",
    "Mon, 23 Nov 2026 09:00:00 -0000",
    "23 Nov 26 09:00 +0100",
    "Mon, 23 Nov 2026 09:00:00 +0100 (CET)",
    "Mon 23 Nov 2026 09:00:00",
    "2026-11-23T09:00:00Z",
    "23/11/2026 09:00",
    "Mon, 31 Feb 2026 09:00:00 +0000",
    "Mon, 23 Nov 2026 25:61:61 +0000",
    "Mon, 23 Nov 9999 23:59:59 -1200",
    "Mon, 01 Jan 0001 00:00:00 +1400",
    "Thu, 01 Jan 1970 00:00:00 +0000",
    "Mon, 23 Nov 2026 09:00:00 +9999",
    "Mon, 23 Nov 20261 09:00:00 +0000",
    "yesterday",
    "",
    "9" * 5000,
)

SUBJECTS: Final = (
    "",
    "=?utf-8?Q?",
    "=?utf-8?Q?a?==?utf-8?Q?b?=",
    "=?utf-8?X?abc?=",
    "=?nope?B?AAAA?=",
    "=?utf-8?B?%%%?=",
    "=?utf-8?Q?=ZZ=C3?=",
    "=?iso-2022-jp?B?GyRCJDM=?= =?iso-2022-jp?B?GyRCJHM=?=",
    "line\r\n folded\r\n\tand again",
    "null \x00 bell \x07 vertical \x0b",
    "x" * 100_000,
    "=?utf-8?Q?" + "=F0=9F=98=80" * 500 + "?=",
    "\u202eReversed",
    "Re: " * 3000,
)


def hand_made() -> dict[str, bytes]:
    return {file.stem: file.read_bytes() for file in sorted(FILES.glob("*.eml"))}


@cache
def corpus() -> dict[str, bytes]:
    """All of it, by name: the files as they stand and with the line ends of the wire, and the generated mails."""
    files = hand_made()
    wire = {f"{name}, CRLF": source.replace(b"\n", b"\r\n") for name, source in files.items()}
    return files | wire | dict(generated())


def generated() -> Iterator[tuple[str, bytes]]:
    for number, (charset, (codec, text)) in enumerate(CHARSETS.items()):
        for encoding in ("8bit", "base64", "quoted-printable"):
            yield f"charset {number} {charset} {encoding}", in_charset(charset, encoding, text.encode(codec))
    for charset in ODD_CHARSETS:
        yield f"odd charset {charset[:20]!r}", in_charset(charset, "8bit", "Grüße".encode())
    for number, address in enumerate(ADDRESSES):
        field = address.encode()
        yield f"address {number}", b"From: " + field + b"\nTo: " + field + b"\nReply-To: " + field + b"\n\nHello\n"
    for number, date in enumerate(DATES):
        yield f"date {number}", f"From: x@customer.example\nDate: {date}\n\nHello\n".encode()
    for number, subject in enumerate(SUBJECTS):
        yield f"subject {number}", f"From: x@customer.example\nSubject: {subject}\n\nHello\n".encode()
    yield from nested()
    yield from broken()
    chance = random.Random(SEED)
    for number in range(60):
        yield f"random {number}", by_chance(chance)


def in_charset(charset: str, encoding: str, data: bytes) -> bytes:
    written = base64.encodebytes(data) if encoding == "base64" else data
    written = quopri.encodestring(data) if encoding == "quoted-printable" else written
    word = b"=?" + charset.encode() + b"?B?" + base64.b64encode(data) + b"?="
    kind = f'text/plain; charset="{charset}"' if charset else "text/plain"
    head = b"From: " + word + b" <x@customer.example>\nSubject: " + word
    return head + f"\nContent-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n".encode() + written


def nested() -> Iterator[tuple[str, bytes]]:
    head = b"From: x@customer.example\nSubject: Nested\nMIME-Version: 1.0\n"
    for depth in (2, 20, 30, 1000):
        parts = b"".join(
            b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (each, each) for each in range(depth)
        )
        yield f"nested {depth}", head + parts + b"\nThe innermost\n"
    mail = b"Content-Type: text/plain\n\nThe innermost\n"
    for _ in range(200):
        mail = b"Content-Type: message/rfc822\n\n" + mail
    yield "mail in mail", head + mail
    same = b'Content-Type: multipart/mixed; boundary="b"\n\n'
    yield "same boundary", head + (same + b"--b\n") * 50 + b"\nText\n--b--\n"
    for count in (999, 1001, 20_000):
        parts = b"".join(b"--b\nContent-Type: text/plain; name=f%d.txt\n\nx\n" % each for each in range(count))
        yield f"{count} parts", head + same + parts + b"--b--\n"
    yield "empty parts", head + same + b"--b\n" * 5_000


def broken() -> Iterator[tuple[str, bytes]]:
    head = b"From: x@customer.example\nSubject: Broken\n"
    mixed = b'Content-Type: multipart/mixed; boundary="b"\n\n'
    alternative = b'Content-Type: multipart/alternative; boundary="b"\n\n'
    yield "nothing", b""
    yield "one byte", b"\x00"
    yield "only line ends", b"\r\n" * 1000
    yield "binary", bytes(range(256)) * 200
    yield "no boundary", head + b"Content-Type: multipart/mixed\n\n--b\n\nText\n--b--\n"
    yield "other boundary", head + mixed + b"--c\n\nText\n--c--\n"
    yield "odd boundary", head + b'Content-Type: multipart/mixed; boundary="(.*)+[^$"\n\n--(.*)+[^$\n\nText\n'
    yield "huge boundary", head + b"Content-Type: multipart/mixed; boundary=" + b"b" * 100_000 + b"\n\nText\n"
    yield "no end", head + mixed + b"--b\nContent-Type: text/html\n\n<p>No end"
    yield "ends in a header", head + mixed + b"--b\nContent-Type: text/ht"
    yield "no blank line", head + mixed + b"--b\nText at once\n--b--\n"
    yield "two texts", head + mixed + b"--b\n\nOne\n--b\n\nTwo\n--b--\n"
    yield "two forms", head + alternative + b"--b\n\nText\n--b\nContent-Type: text/html\n\n<p>Text\n--b--\n"
    yield "bad base64", head + b"Content-Transfer-Encoding: base64\n\nSGVsb G8=#!\nSGVsbG8\n"
    yield "padded pieces", head + b"Content-Transfer-Encoding: base64\n\nSGVsbG8=\nSGVsbG8=\n"
    yield "bad quoted", head + b"Content-Transfer-Encoding: quoted-printable\n\n=ZZ =C3 =\n=\n"
    yield "uuencoded", head + b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a.txt\n#0V%T\n`\nend\n"
    yield "unknown encoding", head + b"Content-Transfer-Encoding: gzip\n\nHello\n"
    yield "old line ends", head.replace(b"\n", b"\r") + b"\rHello\rWorld\r"
    yield "doubled line ends", head.replace(b"\n", b"\r\r\n") + b"\r\r\nHello\r\r\n"
    yield "byte order mark", b"\xef\xbb\xbf" + head + b"\nHello\n"
    yield "text after header", head + b"this line is no field\nTo: anna@contoso.example\n\nHello\n"
    yield "raw bytes in header", b"From: J\xf6rg <x@customer.example>\nSubject: Gr\xfc\xdfe\n\nHello\n"
    yield "utf-8 in header", "From: Jörg <x@customer.example>\nSubject: Grüße 😀\n\nHello\n".encode()
    yield "huge header", head + b"X-Long: " + b"x" * 2_000_000 + b"\n\nHello\n"
    yield "many headers", head + b"".join(b"X-%d: x\n" % each for each in range(30_000)) + b"\nHello\n"
    yield "many references", head + b"References: " + b" <a@b>\n" * 20_000 + b"\nHello\n"
    yield (
        "long reference",
        head + b"In-Reply-To: <" + b"a" * 50_000 + b"@b>\nMessage-ID: <" + b"a" * 50_000 + b">\n\nHello\n",
    )
    yield "odd ids", head + b"Message-ID: <a b@c> <d@e>\nIn-Reply-To: no id\nReferences: <<x>> <y@z\n\nHello\n"
    yield "many parameters", head + b"Content-Type: text/plain" + b"; a=b" * 20_000 + b"\n\nHello\n"
    yield (
        "continued name",
        head
        + mixed
        + (b"--b\nContent-Disposition: attachment; filename*1*=%20b.pdf; filename*0*=utf-8''%C3%A4\n\nx\n--b--\n"),
    )
    yield (
        "way in a name",
        head + mixed + b'--b\nContent-Disposition: attachment; filename="..\\\\..\\\\a/b/c.exe"\n\nx\n--b--\n',
    )
    yield "large text", head + b"\n" + b"The quick brown fox. " * 100_000
    yield "large html", head + b"Content-Type: text/html\n\n" + b'<p class="x">"quick"</p>' * 150_000
    yield (
        "both large",
        head
        + alternative
        + (b"--b\n\n" + b'"' * 3_000_000 + b"\n--b\nContent-Type: text/html\n\n" + b"<b>" * 1_500_000 + b"\n--b--\n"),
    )
    yield "repeated fields", (head + b"To: a@b\nCc: c@d\n") * 100 + b"\nHello\n"


_PIECES: Final = (
    b"\n--b\n",
    b"\n--b--\n",
    b"\n\n",
    b"Content-Type: text/html; charset=utf-16\n",
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n",
    b"Content-Type: message/delivery-status\n\n",
    b"Content-Type: message/rfc822\n\n",
    b"Content-Type: text/calendar; method=REQUEST\n\n",
    b"Content-Transfer-Encoding: base64\n",
    b"Final-Recipient: rfc822; x@customer.example\n",
    b"Action: failed\n",
    b"Status: 5.1.1\n",
    b"Diagnostic-Code: smtp; 550 5.7.1 \xff no\n",
    b"From: MAILER-DAEMON\n",
    b"Auto-Submitted: auto-replied\n",
    b"Subject: =?utf-8?B?SsO2",
    b'To: "a, b" <c@d>, (e\n',
    b"\xff\xfe\x00\x00",
    b"Return-Path: <>\n",
    b"X-Failed-Recipients: a@b, c\n",
    b"Message-ID: <crm.bWFpbC0x.x.0@y>\n",
)


def by_chance(chance: random.Random) -> bytes:
    return b"".join(chance.choice(_PIECES) for _ in range(chance.randint(3, 60)))


def mutated(source: bytes, chance: random.Random) -> bytes:
    """The same with some bytes changed, passages gone, repeated, or from another mail."""
    data = bytearray(source[:50_000])
    for _ in range(chance.randint(1, 6)):
        first, last = sorted(chance.randint(0, len(data)) for _ in range(2))
        last = min(last, first + chance.choice((1, 5, 50, 1000)))
        match chance.randint(0, 4):
            case 0:
                data[first:last] = b""
            case 1:
                data[first:first] = data[first:last] * chance.randint(1, 5)
            case 2:
                data[first:last] = bytes(chance.randbytes(last - first))
            case 3:
                data[first:first] = chance.choice(_PIECES)
            case _:
                data = data[:first] + data[last:]
    return bytes(data)
