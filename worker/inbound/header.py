"""Values of header fields as people and programs write them: encoded words, parameters, Message-IDs.

Everything takes any text and linear time; what makes no sense stays as it is, or is left out.
"""

import binascii
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from worker.inbound.charset import decode
from worker.inbound.text import clean

MEETING_METHODS: Final = frozenset({"request", "reply", "cancel", "counter", "declinecounter", "add", "refresh"})
"""What the parameter `method` of text/calendar says in mail about a meeting (RFC 5546, 1.4)."""

MOST_REFERENCES: Final = 100
_LONGEST_ID: Final = 996
_MOST_PARAMETERS: Final = 50
_LONGEST_WITH_PARAMETERS: Final = 8000

_WORD: Final = re.compile(r"=\?([\w.:+-]{1,40})(?:\*[\w-]{0,20})?\?([bBqQ])\?([^?\r\n]{0,3000})\?=", re.ASCII)
_BETWEEN: Final = re.compile(r"\s*")
_PARAMETER: Final = re.compile(r';\s*([^=;\s"]{1,100})\s*=\s*("[^"\\]*+(?:\\.[^"\\]*+)*+"|[^;]*)', re.DOTALL)
_CONTINUED: Final = re.compile(r"([^*]+)(?:\*(\d{1,2}))?(\*)?")
_BRACKETED: Final = re.compile(r"<([^<>]{1,2000})>")


def words_decoded(text: str) -> str:
    """Encoded words (RFC 2047) as what they stand for; in quotes, broken within characters and with blanks in them,
    too.
    """
    if "=?" not in text:
        return text
    pieces: list[str] = []
    end = 0
    open_charset, open_bytes = "", b""
    for found in _WORD.finditer(text):
        between = text[end : found.start()]
        charset, content = found[1].lower(), _word_bytes(found[2], found[3])
        adjacent = end > 0 and _BETWEEN.fullmatch(between) is not None
        if adjacent and charset == open_charset and not charset.startswith("iso-2022"):
            open_bytes += content  # a character may be broken over two words
        else:
            pieces += (decode(open_bytes, open_charset), "" if adjacent else between)
            open_charset, open_bytes = charset, content
        end = found.end()
    return "".join((*pieces, decode(open_bytes, open_charset), text[end:]))


def _word_bytes(encoding: str, text: str) -> bytes:
    data = text.encode("latin-1", "replace")
    return base64_decoded(data) if encoding in "bB" else binascii.a2b_qp(data.replace(b"_", b" "))


def base64_decoded(data: bytes) -> bytes:
    """What can be made of it: without padding, with line breaks and dirt, with several pieces each padded, cut off."""
    pieces = (_NOT_BASE64.sub(b"", piece) for piece in re.split(b"=+", data))
    return b"".join(binascii.a2b_base64(_padded(piece)) for piece in pieces)


_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")


def _padded(piece: bytes) -> bytes:
    return piece[:-1] if len(piece) % 4 == 1 else piece + b"=" * (-len(piece) % 4)


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """What stands before the first semicolon, in small letters, and the parameters after it, decoded, by their names
    (RFC 2045 with RFC 2231, and encoded words where programs write them).
    """
    value = value[:_LONGEST_WITH_PARAMETERS]
    head, semicolon, rest = value.partition(";")
    simple: dict[str, str] = {}
    extended: dict[str, list[tuple[int, bool, str]]] = {}
    for number, found in enumerate(_PARAMETER.finditer(semicolon + rest)):
        if number == _MOST_PARAMETERS:
            break
        name, text = found[1].lower(), _unquoted(found[2])
        shape = _CONTINUED.fullmatch(name)
        if shape and (shape[2] or shape[3]):
            extended.setdefault(shape[1], []).append((int(shape[2] or 0), bool(shape[3]), text))
        else:
            simple.setdefault(name, words_decoded(text))
    return head.strip().lower(), simple | {name: _joined(pieces) for name, pieces in extended.items()}


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text.strip('"')


def _joined(pieces: list[tuple[int, bool, str]]) -> str:
    """The sections of a parameter in their order; the first tells the character set (RFC 2231)."""
    charset, data = "", b""
    for index, (_, encoded, text) in enumerate(sorted(pieces, key=lambda piece: piece[0])):
        content = text
        if encoded and index == 0 and text.count("'") > 1:
            charset, _, content = text.split("'", 2)
        data += unquote_to_bytes(content) if encoded else content.encode("utf-8", "replace")
    return decode(data, charset)


def message_ids(text: str, most: int = MOST_REFERENCES) -> tuple[str, ...]:
    """The Message-IDs in a header's value, each once, with brackets, whatever stands between them. Of too many the
    first stays, and the last.
    """
    found = tuple(dict.fromkeys(_message_ids(clean(text))))
    return found if len(found) <= most else (found[0], *found[len(found) - most + 1 :])


def _message_ids(text: str) -> Iterator[str]:
    bracketed = False
    for found in _BRACKETED.finditer(text):
        content = "".join(found[1].split())  # long ones get folded
        if 0 < len(content) <= _LONGEST_ID:
            bracketed = True
            yield f"<{content}>"
    if not bracketed:
        for word in re.split(r"[\s,;]+", text):
            content = word.strip("<>\"'()")
            if "@" in content[1:-1] and len(content) <= _LONGEST_ID:
                yield f"<{content}>"
