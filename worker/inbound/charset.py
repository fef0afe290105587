"""Bytes into text, by the character set a mail names, or by what the bytes look like where it names a wrong one.

Mail names character sets by many names, and wrongly: Windows-1252 goes by "iso-8859-1" and even "us-ascii", GB18030 by
"gb2312", and old programs write none at all.
"""

import re
from encodings.aliases import aliases
from typing import Final

_NOT_TEXT: Final = (
    "base64_codec",
    "bz2_codec",
    "hex_codec",
    "mbcs",
    "quopri_codec",
    "rot_13",
    "uu_codec",
    "zlib_codec",
)
_KNOWN: Final = frozenset(aliases.values()).difference(_NOT_TEXT) | {
    "cp720",
    "cp737",
    "cp856",
    "cp874",
    "cp875",
    "koi8_u",
}
"""Python's codecs for text of people. Its others compress or escape, and are not for strangers to choose."""

_WIDER: Final = {
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "shift_jis": "cp932",
    "tis_620": "cp874",
}
"""Supersets that are in use under the name of the smaller one."""

_OTHER_NAMES: Final = {
    "cp65001": "utf_8",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "iso_8859_6_i": "iso8859_6",
    "ks_c_5601_1987": "euc_kr",
    "macintosh": "mac_roman",
    "unicode_1_1_utf_7": "utf_7",
    "unicode_1_1_utf_8": "utf_8",
    "utf8mb4": "utf_8",
    "windows_874": "cp874",
    "windows_31j": "cp932",
    "x_cp1252": "cp1252",
    "x_gbk": "gbk",
    "x_mac_roman": "mac_roman",
    "x_sjis": "shift_jis",
    "x_euc_jp": "euc_jp",
}
_CODECS: Final = {name: name for name in _KNOWN} | {
    alias: codec for alias, codec in (aliases | _OTHER_NAMES).items() if codec in _KNOWN
}
_SEPARATORS: Final = re.compile(r"[^0-9a-z]+")
_MARKS: Final = ((b"\xef\xbb\xbf", "utf_8"), (b"\xff\xfe", "utf_16"), (b"\xfe\xff", "utf_16"))


def decode(data: bytes, charset: str = "") -> str:
    """The text. What belongs to no character turns into U+FFFD; nothing raises."""
    for mark, marked in _MARKS:
        if data.startswith(mark):
            return data.removeprefix(mark).decode(marked, "replace") if marked == "utf_8" else _by(data, marked)
    codec = _codec(charset)
    if codec in ("", "ascii", "latin_1", "iso8859_1"):
        return _guessed(data)
    if codec == "utf_8":
        return _utf_8(data)
    return _by(data, codec)


def _codec(charset: str) -> str:
    """Python's name of a character set, "" for one it does not have. The codecs' own look-up would import modules."""
    name = _SEPARATORS.sub("_", charset[:60].lower()).strip("_")
    codec = _CODECS.get(name) or _CODECS.get(name.removeprefix("x_")) or _CODECS.get(name.replace("_", ""), "")
    return _WIDER.get(codec, codec)


def _by(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec, "replace")
    except UnicodeError:  # some codecs raise whatever they are told
        return _guessed(data)


def _guessed(data: bytes) -> str:
    for codec in ("utf_8", "cp1252"):
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
    return data.decode("latin_1")


def _utf_8(data: bytes) -> str:
    """Announced as UTF-8. Where more is wrong than right it is something else: a single byte a character."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        text = data.decode(errors="replace")
    wrong = text.count("\ufffd")
    right = len(text) - len(text.encode("ascii", "ignore")) - wrong
    return text if right >= wrong else _guessed(data)
