"""Envelopes, faults and refusals: what surrounds every operation, in the form Exchange gives it."""

import base64
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Final, TypeAlias

from lxml import etree

Element: TypeAlias = etree._Element  # noqa: SLF001 - lxml gives its element type no public name

SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
TYPES: Final = "http://schemas.microsoft.com/exchange/services/2006/types"
MESSAGES: Final = "http://schemas.microsoft.com/exchange/services/2006/messages"
ERRORS: Final = "http://schemas.microsoft.com/exchange/services/2006/errors"

_OPENING: Final = (
    f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP}"><s:Header>'
    f'<t:ServerVersionInfo xmlns:t="{TYPES}" MajorVersion="15" MinorVersion="2" MajorBuildNumber="2562" '
    'MinorBuildNumber="17" Version="V2017_07_11"/></s:Header><s:Body>'
)
_CLOSING: Final = "</s:Body></s:Envelope>"
# Control characters go out as Exchange sends them: as references that XML 1.0 does not allow.
_SPECIAL: Final = str.maketrans(
    {chr(number): f"&#x{number:X};" for number in range(32) if chr(number) not in "\t\n\r"}
    | {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}
)
_SMALL: Final = 256 * 1024
_PORTION: Final = 3 * 64 * 1024


class Refusal(Exception):  # noqa: N818 - it becomes a response message, not a crash
    """One item of a request is refused: a response message of class Error. Raised anywhere below an operation."""

    def __init__(self, code: str, text: str = "", back_off_milliseconds: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.text = text or f"The sandbox refuses this with {code}."
        self.back_off_milliseconds = back_off_milliseconds
        self.stops_batch = False
        """Whether the rest of the batch is not even tried."""


class Fault(Exception):  # noqa: N818 - likewise
    """The whole request is refused: a SOAP fault, under this HTTP status."""

    def __init__(self, code: str, text: str = "", status: int = 500, back_off_milliseconds: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.text = text or f"The sandbox refuses this request with {code}."
        self.status = status
        self.back_off_milliseconds = back_off_milliseconds


class Contents:
    """Large contents of an answer. In its text a mark stands for each, so that its base64 is made only while it is
    written out: one copy of 100 MB is enough.
    """

    def __init__(self) -> None:
        self._contents: list[bytes] = []

    def base64(self, content: bytes) -> str:
        """The content in base64, or the mark that stands for it."""
        if len(content) <= _SMALL:
            return base64.b64encode(content).decode()
        self._contents.append(content)
        return "\0"  # no text of an answer holds it: it would be escaped

    def fill(self, text: str) -> "bytes | Chunks":
        """The whole answer. The marks stand in the order in which the contents were given."""
        if not self._contents:
            return text.encode()
        return Chunks([each.encode() for each in text.split("\0")], self._contents)


class Chunks:
    """An answer that is made while it is written."""

    def __init__(self, texts: list[bytes], contents: list[bytes]) -> None:
        self._texts = texts
        self._contents = contents

    def __len__(self) -> int:
        return sum(map(len, self._texts)) + sum(-(-len(each) // 3) * 4 for each in self._contents)

    def __iter__(self) -> Iterator[bytes]:
        yield self._texts[0]
        for content, text in zip(self._contents, islice(self._texts, 1, None), strict=True):
            view = memoryview(content)
            for start in range(0, len(view), _PORTION):
                yield base64.b64encode(view[start : start + _PORTION])
            yield text


Answer: TypeAlias = bytes | Chunks | AsyncIterator[bytes]
"""What an operation answers: at once, while it is written, or for as long as it likes (notifications)."""


def t(name: str) -> str:
    return f"{{{TYPES}}}{name}"


def m(name: str) -> str:
    return f"{{{MESSAGES}}}{name}"


def escape(text: str) -> str:
    """Text for element content and for attributes in double quotes."""
    return text.translate(_SPECIAL)


def local(element: Element) -> str:
    """The element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def answer(operation: str, response_messages: list[str]) -> bytes:
    """The answer of a batch operation: its response messages, one for each thing asked."""
    return _answer(operation, response_messages).encode()


def large_answer(operation: str, response_messages: list[str], contents: Contents) -> bytes | Chunks:
    """Likewise, with large contents in it."""
    return contents.fill(_answer(operation, response_messages))


def _answer(operation: str, response_messages: list[str]) -> str:
    return (
        f'{_OPENING}<m:{operation}Response xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"><m:ResponseMessages>'
        f"{''.join(response_messages)}</m:ResponseMessages></m:{operation}Response>{_CLOSING}"
    )


def envelope(body: str) -> bytes:
    return f"{_OPENING}{body}{_CLOSING}".encode()


def success(operation: str, inner: str = "") -> str:
    """One response message. `inner` follows the response code, as the operation's type asks."""
    return (
        f'<m:{operation}ResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>'
        f"{inner}</m:{operation}ResponseMessage>"
    )


def refused(operation: str, refusal: Refusal, inner: str = "") -> str:
    """The response message of a refusal. `inner` is the empty list that some operations' types demand."""
    stopped = refusal.code == "ErrorBatchProcessingStopped"
    return (
        f'<m:{operation}ResponseMessage ResponseClass="{"Warning" if stopped else "Error"}">'
        f"<m:MessageText>{escape(refusal.text)}</m:MessageText><m:ResponseCode>{refusal.code}</m:ResponseCode>"
        f"<m:DescriptiveLinkKey>0</m:DescriptiveLinkKey>{_back_off('m', refusal.back_off_milliseconds)}"
        f"{inner}</m:{operation}ResponseMessage>"
    )


def fault(error: Fault) -> bytes:
    """A SOAP 1.1 fault with the detail elements Exchange puts in (MS-OXWSCDATA 2.2.4, `ResponseCode` and `Message`)."""
    return envelope(
        f'<s:Fault><faultcode xmlns:a="{TYPES}">a:{error.code}</faultcode>'
        f'<faultstring xml:lang="en-US">{escape(error.text)}</faultstring><detail>'
        f'<e:ResponseCode xmlns:e="{ERRORS}">{error.code}</e:ResponseCode>'
        f'<e:Message xmlns:e="{ERRORS}">{escape(error.text)}</e:Message>'
        f"{_back_off('t', error.back_off_milliseconds, TYPES)}</detail></s:Fault>"
    )


def _back_off(prefix: str, milliseconds: int | None, namespace: str = MESSAGES) -> str:
    if milliseconds is None:
        return ""
    return (
        f'<{prefix}:MessageXml xmlns:{prefix}="{namespace}"><t:Value xmlns:t="{TYPES}" Name="BackOffMilliseconds">'
        f"{milliseconds}</t:Value></{prefix}:MessageXml>"
    )
