"""Text from outside, made fit for a CRM: Unicode without control characters, and no longer than it should be.

What can be told is kept: nothing is normalised, translated or guessed beyond what is said here.
"""

import re
from typing import Final

import orjson

_UNWANTED: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_BREAKS: Final = re.compile("[ \t]*[\t\r\n\u2028\u2029]+[ \t]*")


def _in_place_of(code: int) -> str:
    """Spaces for vertical tab and form feed; for C1 controls what Windows means by these bytes, who writes them where
    Latin-1 is announced; U+FFFD for what is no character; nothing for the other controls.
    """
    if code in (0x0B, 0x0C):
        return " "
    if code >= 0x80:  # noqa: PLR2004 - where C1 begins
        return bytes([code]).decode("cp1252", "ignore") if code < 0xA0 else "\ufffd"  # noqa: PLR2004 - and ends
    return ""


_MENDED: Final = {code: _in_place_of(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0xFFFE, 0xFFFF)}
for _kept in b"\t\n\r":
    del _MENDED[_kept]


def clean(text: str) -> str:
    """No control characters save tab and line breaks, no half characters."""
    if not _UNWANTED.search(text):
        return text
    if _SURROGATES.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.translate(_MENDED)


def line(text: str, most: int) -> str:
    """One line of at most so many characters; breaks and tabs turn into a space."""
    if len(text) > 2 * most:  # for what is far too long, only that part is looked at that can count
        text = text[: 2 * most + 1]
    return _BREAKS.sub(" ", clean(text)).strip()[:most].rstrip()


def written_bytes(text: str) -> int:
    """What a clean text takes in an event, its quotes left out."""
    return len(orjson.dumps(text)) - 2


def cut(text: str, most_bytes: int) -> str:
    """The beginning of a clean text, as much as an event takes in so many bytes."""
    text = text[:most_bytes]
    while (size := written_bytes(text)) > most_bytes:
        text = text[: min(len(text) * most_bytes // size, len(text) - 1)]
    return text
