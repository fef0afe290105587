"""Reading one large piece of base64 out of an answer while it comes: what an attachment holds, or a mail's source.

The text of the first `Content` or `MimeContent` element is decoded and passed on at once; everything else of the answer
is kept and read at its end like any other answer, so an error inside it is still one. What is in memory at any time is
one portion of it.
"""

import binascii
from typing import Final
from xml.parsers import expat

from lxml import etree

from worker.ews import remedies
from worker.ews.answer import UNREADABLE, without_controls
from worker.ews.codes import Disposition, judged
from worker.ews.template import TYPES
from worker.ews.transport import MAX_ANSWER_BYTES
from worker.ews.trouble import Unfit
from worker.mail.incoming import Sink
from worker.mail.outcome import Scope

_CONTENT: Final = frozenset({f"{{{TYPES}}}Content", f"{{{TYPES}}}MimeContent"})
_WHITESPACE: Final = b" \t\r\n"
_QUANTUM: Final = 4
_DEEPEST: Final = 200
_LONGEST_REFERENCE: Final = 12
_TOO_LARGE: Final = judged(Disposition.FINAL, Scope.MESSAGE, remedies.CONTENT_TOO_LARGE)


class ContentReader:
    """Good for one answer. `most_bytes` bounds the content; `began` says whether there was any element for it."""

    def __init__(self, sink: Sink, most_bytes: int) -> None:
        self.began = False
        self._sink = sink
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept_characters = 0
        self._depth = 0
        self._inside = False
        self._base64 = b""
        self._decoded: list[bytes] = []
        self._pending = b""
        self._tree = etree.TreeBuilder()
        self._parser = expat.ParserCreate(namespace_separator="}")
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    async def take(self, portion: bytes) -> None:
        """The next portion of the answer. Raises Unfit, and what the sink raises."""
        self._parse(self._carried(portion), last=False)
        await self._pass_on()

    async def finish(self) -> etree._Element:
        """All of the answer has come: its root, without the content. Raises Unfit if that was not all."""
        self._parse(without_controls(self._pending), last=True)
        await self._pass_on()
        root = self._tree.close()
        assert isinstance(root, etree._Element)  # noqa: SLF001 - lxml gives its element type no other name
        return root

    def _carried(self, portion: bytes) -> bytes:
        """What can be parsed by now: a reference to a character may stand across two portions."""
        text = self._pending + portion
        start = text.rfind(b"&", -_LONGEST_REFERENCE)
        end = len(text) if start < 0 or b";" in text[start:] else start
        self._pending = text[end:]
        return without_controls(text[:end])

    def _parse(self, text: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(text, last)
        except expat.ExpatError as error:
            cause = expat.ErrorString(error.code)
            raise Unfit("answer-unreadable", UNREADABLE, f"the answer is not whole XML: {cause}") from None

    async def _pass_on(self) -> None:
        decoded, self._decoded = self._decoded, []
        if decoded:
            await self._sink(b"".join(decoded))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST or self._inside:
            raise Unfit("answer-unreadable", UNREADABLE, "the answer is nested in a way no answer is")
        tag = _tag(name)
        self._inside = tag in _CONTENT and not self.began
        self.began = self.began or self._inside
        self._keep(name, *attributes, *attributes.values())
        self._tree.start(tag, {_tag(each): value for each, value in attributes.items()})

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._inside and self._base64:
            raise Unfit("answer-unreadable", UNREADABLE, "a content in the answer is not whole base64")
        self._inside = False
        self._tree.end(_tag(name))

    def _text(self, text: str) -> None:
        if not self._inside:
            self._keep(text)
            self._tree.data(text)
            return
        encoded = self._base64 + text.encode("ascii", "replace").translate(None, _WHITESPACE)
        whole = len(encoded) // _QUANTUM * _QUANTUM
        self._base64 = encoded[whole:]
        if whole:
            try:
                decoded = binascii.a2b_base64(encoded[:whole], strict_mode=True)
            except binascii.Error:
                raise Unfit("answer-unreadable", UNREADABLE, "a content in the answer is not base64") from None
            self._bytes += len(decoded)
            if self._bytes > self._most_bytes:
                raise Unfit("content-too-large", _TOO_LARGE, f"it holds more than {self._most_bytes // 2**20} MiB")
            self._decoded.append(decoded)

    def _keep(self, *texts: str) -> None:
        self._kept_characters += sum(map(len, texts))
        if self._kept_characters > MAX_ANSWER_BYTES:
            raise Unfit("content-too-large", _TOO_LARGE, "the answer is too large")


def _tag(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def _refuse_doctype(*_: object) -> None:
    raise Unfit("answer-unreadable", UNREADABLE, "the answer has a document type, which no SOAP message has")
