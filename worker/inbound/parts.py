"""A mail in its Internet form, taken apart into its parts (RFC 5322, RFC 2045, RFC 2046), however broken it is.

Not by the standard library: its parser compares each line with the boundaries of all levels around it, so that a nested
mail of 400 KB keeps it busy for many seconds. Here the time is linear in the size, and depth and number of parts are
bounded; what lies deeper stays as it is, one part. Lines may end as they like; a part whose end is missing ends with
what is around it.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from worker.inbound.charset import decode
from worker.inbound.header import base64_decoded, parameters

MOST_PARTS: Final = 1000
_DEPTH: Final = 25
_HEADER_BYTES: Final = 1024 * 1024
_MOST_FIELDS: Final = 5000

_HEAD_END: Final = re.compile(rb"\n[ \t]*\r*\n|\r[ \t]*\r(?!\n)|\Z")
_FIRST: Final = re.compile(rb"(?:>?From .*[\r\n]+)?[!-9;-~]{1,100}[ \t]*:")
_BLANK: Final = re.compile(rb"[\s\x00\xef\xbb\xbf]*")
_FIELD: Final = re.compile(rb"^([!-9;-~]{1,100})[ \t]*:(.*(?:\r?\n[ \t].*)*)", re.MULTILINE)
_FOLD: Final = re.compile(r"[\r\n]+[ \t]*|[\r\n]+")
_BOUNDARY: Final = 200

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Part:
    """`kind` is its media type in small letters, `named` that type's parameters; `inner` are a multipart's parts."""

    headers: Headers
    kind: str
    named: dict[str, str]
    source: bytes
    begin: int
    end: int
    inner: tuple["Part", ...] = ()

    def header(self, name: str) -> str:
        """The first field of this name, "" if there is none."""
        folded = name.casefold()
        return next((value for each, value in self.headers if each.casefold() == folded), "")

    @cached_property
    def disposition(self) -> tuple[str, dict[str, str]]:
        return parameters(self.header("Content-Disposition"))

    @property
    def file_name(self) -> str:
        return self.disposition[1].get("filename") or self.named.get("name", "")

    @cached_property
    def content(self) -> bytes:
        """What it holds, its transfer encoding undone as far as that can be done."""
        raw = self.source[self.begin : self.end]
        encoding = self.header("Content-Transfer-Encoding").strip().strip("\"'").lower()
        if encoding == "base64":
            return base64_decoded(raw)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(raw)
        if encoding in ("x-uuencode", "uuencode", "x-uue"):
            return _uudecoded(raw)
        return raw

    @property
    def text(self) -> str:
        return decode(self.content, self.named.get("charset", "")).replace("\r\n", "\n")

    def walk(self) -> Iterator["Part"]:
        yield self
        for each in self.inner:
            yield from each.walk()


def split(source: bytes) -> tuple[Part, bool]:
    """The parts of a mail, and whether those are all: no more than `MOST_PARTS` are told."""
    splitter = _Splitter(source)
    return splitter.part(_top(source), len(source), 0, "text/plain"), not splitter.cut


def head(source: bytes) -> Headers:
    """The header of a mail; what follows is not looked at."""
    return _headers(source, _top(source), min(len(source), _HEADER_BYTES))[0]


def _top(source: bytes) -> int:
    """Where a mail begins: some programs put empty lines or a byte order mark before it."""
    found = _BLANK.match(source)
    return found.end() if found else 0


@dataclass(slots=True)
class _Splitter:
    source: bytes
    left: int = MOST_PARTS
    cut: bool = False

    def part(self, begin: int, end: int, depth: int, default: str) -> Part:
        headers, begin = _headers(self.source, begin, end)
        declared = next((value for name, value in headers if name.casefold() == "content-type"), default)
        kind, named = parameters(declared)
        kind = kind if "/" in kind else default
        inner: tuple[Part, ...] = ()
        if kind.startswith("multipart/") and depth < _DEPTH and (boundary := named.get("boundary", "").rstrip()):
            within = "message/rfc822" if kind == "multipart/digest" else "text/plain"
            places = self._between(begin, end, boundary)
            inner = tuple(self.part(first, last, depth + 1, within) for first, last in places)
        return Part(headers, kind, named, self.source, begin, end, inner)

    def _between(self, begin: int, end: int, boundary: str) -> Iterator[tuple[int, int]]:
        """Where the parts between these boundaries lie. The line break before a boundary belongs to it."""
        mark = re.escape(boundary[:_BOUNDARY].encode("utf-8", "replace"))
        # The look-behind sees what stands before `begin`: the line break that ends a header.
        boundaries = re.compile(rb"(?:(?<=[\r\n])|\A)--" + mark + rb"(--)?[ \t]*(?:\r?\n|\r|\Z)")
        first = None
        for found in boundaries.finditer(self.source, begin, end):
            if first is not None:
                if self.left <= 0:
                    self.cut = True
                    return
                self.left -= 1
                yield first, max(first, _without_break(self.source, found.start()))
            first = found.end()
            if found[1]:
                return
        if first is not None and first < end:
            self.left -= 1
            yield first, end


def _headers(source: bytes, begin: int, end: int) -> tuple[Headers, int]:
    """The header fields, unfolded, and where the body begins. A part may begin with an empty line: it has no header."""
    if source[begin : begin + 2] == b"\r\n" or source[begin : begin + 1] == b"\n":
        return (), begin + (2 if source[begin : begin + 1] == b"\r" else 1)
    if not _FIRST.match(source, begin, end):
        return (), begin
    found = _HEAD_END.search(source, begin, end)
    stop, body = found.span() if found else (end, end)
    text = source[begin : min(stop, begin + _HEADER_BYTES)]
    if b"\n" not in text and b"\r" in text:
        text = text.replace(b"\r", b"\n")
    fields: list[tuple[str, str]] = []
    for match in _FIELD.finditer(text):
        value = decode(match[2]) if not match[2].isascii() else match[2].decode("ascii")
        fields.append((match[1].decode("ascii"), _FOLD.sub(" ", value).strip()))
        if len(fields) == _MOST_FIELDS:
            break
    return tuple(fields), body


def _without_break(source: bytes, end: int) -> int:
    if source[end - 2 : end] == b"\r\n":
        return end - 2
    return end - 1 if source[end - 1 : end] in (b"\n", b"\r") else end


def _uudecoded(raw: bytes) -> bytes:
    content = bytearray()
    for each in raw.splitlines():
        if each.startswith(b"begin ") or not each:
            continue
        if each == b"end":
            break
        length = (((each[0] - 32) & 63) * 4 + 5) // 3  # some programs write more than the line's length says
        try:
            content += binascii.a2b_uu(each[:length])
        except binascii.Error:
            continue
    return bytes(content)
