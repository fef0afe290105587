"""A spooled file on its way into a request: base64, made portion by portion while it is sent."""

import asyncio
import binascii
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from worker.mail.message import Spooled

_PORTION_BYTES: Final = 192 * 2**10
"""Read at once, and a multiple of three: so the portions' base64 texts, one after another, are that of the whole."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A piece of a request that is not in memory. Its length is that of its base64 text."""

    file: Spooled

    def __len__(self) -> int:
        return (self.file.size + 2) // 3 * 4

    async def portions(self) -> AsyncIterator[bytes]:
        """The base64 text, from its beginning each time. Raises OSError if the file is not as long as it was said."""
        for offset in range(0, self.file.size, _PORTION_BYTES):
            yield await asyncio.to_thread(self._portion, offset)

    def _portion(self, offset: int) -> bytes:
        wanted = min(_PORTION_BYTES, self.file.size - offset)
        content = os.pread(self.file.file.fileno(), wanted, self.file.start + offset)
        if len(content) != wanted:
            raise OSError("a spooled file has become shorter")
        return binascii.b2a_base64(content, newline=False)
