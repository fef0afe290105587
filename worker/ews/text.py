"""Text on its way into XML: escaped, encoded, and rid of what XML 1.0 cannot carry (XML 1.0, 2.2 "Char").

A request with such a character is refused as a whole, with every mail in it. Mail texts do hold them: vertical tabs
from office programs, halves of surrogate pairs from cut-off strings.
"""

from typing import Final

_UNCARRIED: Final = bytes(set(range(0x20)) - set(b"\t\n\r\v\f"))
_SPACED: Final = bytes.maketrans(b"\v\f", b"  ")
_NONCHARACTERS: Final = ("\ufffe".encode(), "\uffff".encode())
_REPLACEMENT: Final = "\ufffd".encode()


def escaped(text: str) -> bytes:
    """UTF-8 that stands for `text` as an element's content or between the quotes of an attribute.

    Vertical tabs and form feeds turn into spaces, other control characters are dropped, lone surrogates and the two
    noncharacters turn into U+FFFD. A carriage return is written as a reference, or the reader would lose it (2.11).
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        data = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    data = data.translate(_SPACED, _UNCARRIED)
    if b"\xef\xbf" in data:
        for each in _NONCHARACTERS:
            data = data.replace(each, _REPLACEMENT)
    return (
        data.replace(b"&", b"&amp;")
        .replace(b"<", b"&lt;")
        .replace(b">", b"&gt;")
        .replace(b'"', b"&quot;")
        .replace(b"\r", b"&#13;")
    )
