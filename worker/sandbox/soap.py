"""Envelopes, faults and refusals: what surrounds every operation, in the form Exchange gives it."""

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
_SPECIAL: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"})


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
    return envelope(
        f'<m:{operation}Response xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"><m:ResponseMessages>'
        f"{''.join(response_messages)}</m:ResponseMessages></m:{operation}Response>"
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
