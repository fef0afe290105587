"""Cutting a stream of notifications into the SOAP envelopes it consists of, one after another without an end."""

import re
from collections.abc import Iterator
from typing import Final

from worker.ews.answer import UNREADABLE
from worker.ews.trouble import Unfit

MOST_BYTES: Final = 2**20
"""Of one envelope; 50 events and more fit into a tenth of it."""

_END: Final = re.compile(rb"</(?:[\w.-]{1,50}:)?Envelope\s{0,10}>")
_LONGEST_END: Final = 80


class Portions:
    """What was received and not cut yet."""

    def __init__(self) -> None:
        self._pending = b""

    def cut(self, received: bytes) -> Iterator[bytes]:
        """The envelopes that are whole by now. Raises Unfit when one does not end."""
        searched = max(0, len(self._pending) - _LONGEST_END)
        self._pending += received
        while end := _END.search(self._pending, searched):
            envelope, self._pending, searched = self._pending[: end.end()], self._pending[end.end() :], 0
            yield envelope.strip()
        if len(self._pending) > MOST_BYTES:
            raise Unfit("answer-unreadable", UNREADABLE, "a portion of the notifications does not end")
