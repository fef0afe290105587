"""Addresses as people really write them, made into addresses a CRM can use.

A name is kept where there is no address: it is better than nothing, and no `@` in it says what it is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from worker.inbound.header import words_decoded
from worker.inbound.text import clean, line
from worker.mail.address import Address

LONGEST_HEADER: Final = 512 * 1024
MOST: Final = 10_000
_MOST_COMMAS: Final = 3
_LONGEST_ADDRESS: Final = 1000
_LONGEST_NAME: Final = 256

_QUOTES: Final = "\"'`´‘’‚‛“”„‟«»"
_PIECE: Final = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)|<([^<>]*)>|\[[^\[\]\s]*\]|[^"<>\[(),;:\\]+|.', re.DOTALL
)
_QUOTED: Final = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)(?:"|\Z)', re.DOTALL)
_BACKSLASH: Final = re.compile(r"\\(.)", re.DOTALL)
_SCHEME: Final = re.compile(r"(?:mailto|smtp|e-?mail)\s*:\s*", re.IGNORECASE)
_INSIDE: Final = re.compile(r"[^\s<>()\[\]\"',;:@]+@[^\s<>()\[\]\"',;:@]+")
_NOBODY: Final = re.compile(r"undisclosed[ -]?recipients?|recipient list not shown|no to-header.*", re.IGNORECASE)
_IMCEAEX: Final = re.compile(r"imcea(?:ex|invalid|smtp)-([^@]+)@.*", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"\+([0-9A-Fa-f]{2})")


def cleaned(given: Address) -> Address | None:
    """One address as a mail system tells it, None if it names nobody."""
    name = _name(given.name)
    address = _address(given.address)
    if "@" not in address and not address.startswith("/"):
        inside = _INSIDE.search(address) or _INSIDE.search(name)
        address = inside[0].rstrip(".") if inside else address
    elif "<" in address:  # "Anna <anna@contoso.example>", all of it told as the address
        text = address.replace('"', "") if address.count('"') % 2 else address
        written = next((entry for entry, _ in _written(text) if entry.address), given)
        address, name = _address(written.address), name or _name(written.name)
    if not address:
        address, name = name, ""
    if not any(map(str.isalnum, address)) or _NOBODY.fullmatch(address.rstrip(":; ")):
        return None
    return Address(address, "" if name.casefold() == address.casefold() else name)


def listed(value: str) -> tuple[Address, ...]:
    """The addresses in a header's value, not decoded yet: names with and without quotes, groups, comments, semicolons
    for commas, and `Berg, Anna <anna@contoso.example>`, which is one.
    """
    found: list[Address] = []
    pending: list[str] = []
    for one, ending in _written(clean(value[:LONGEST_HEADER])):
        if one.name and not one.address and ending == "," and len(pending) < _MOST_COMMAS:
            pending.append(one.name)
            continue
        if one.address and one.name:
            found.append(Address(one.address, ", ".join((*pending, one.name))))
        else:
            found += (*(Address("", each) for each in pending), one)
        pending = []
        if len(found) >= MOST:
            break
    found += (Address("", each) for each in pending)
    return tuple(address for one in found if (address := cleaned(one)))


def _written(value: str) -> Iterator[tuple[Address, str]]:
    """Each entry as it is written, the address "" where there is only a name, with the character that ends it."""
    entry = _Entry()
    depth = 0
    for found in _PIECE.finditer(f"{value},"):
        piece = found[0]
        if depth or piece == "(":
            depth += (piece == "(") - (piece == ")")
            if depth > (piece == "("):
                entry.comments.append(piece)
        elif piece not in (",", ";"):
            entry.take(found)
        else:
            if entry.begun:
                yield entry.address(), piece
            entry = _Entry()
    if entry.begun:  # within a comment that does not end
        yield entry.address(), ";"


@dataclass(slots=True)
class _Entry:
    """One entry of a list while it is read: its words as they stand, quotes on."""

    words: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    angle: str | None = None

    @property
    def begun(self) -> bool:
        return bool(self.words or self.comments or self.angle)

    def take(self, found: re.Match[str]) -> None:
        piece = found[0]
        if found[1] is not None:
            self.angle = self.angle or found[1]
        elif piece == ":" and "@" not in "".join(self.words[-3:]):
            self.words, self.comments = [], []  # a group's name, or "mailto"
        elif piece not in ("<", ">", "\\"):
            self.words.append(piece)

    def address(self) -> Address:
        words, comment = "".join(self.words).strip(), "".join(self.comments)
        if self.angle is None and "@" in words:
            return Address(words, comment)
        words = _QUOTED.sub(lambda found: _BACKSLASH.sub(r"\1", found[1]), words)
        angle = self.angle or ""
        return Address(angle.rpartition(":")[2] if angle.startswith("@") else angle, words or comment)


def _address(text: str) -> str:
    text = line(text, _LONGEST_ADDRESS)
    scheme = _SCHEME.match(text)
    if scheme:
        text = unquote(text[scheme.end() :].partition("?")[0])
    if (encapsulated := _IMCEAEX.fullmatch(text)) is not None:
        # An address of another kind in the form of a mail address: readable again, as Exchange shows it.
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), encapsulated[1].replace("_", "/"))
        return line(text, _LONGEST_ADDRESS)
    text = text.strip(_QUOTES.replace('"', "") + " \t")
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        text = text[1:-1]
    text = re.sub(r"\s*@\s*", "@", text.strip(" \t,;")).rstrip(".")
    return line(text, _LONGEST_ADDRESS)


def _name(text: str) -> str:
    text = line(words_decoded(text[: 8 * _LONGEST_NAME]), _LONGEST_NAME)
    while len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text
