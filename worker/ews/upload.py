"""A large request on its way out, in portions; a spooled file in it becomes base64 portion by portion."""

import asyncio
import binascii
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from worker.mail.message import Spooled

CHUNK_BYTES: Final = 256 * 2**10
"""So much of a request at a time; a smaller one goes as a whole."""

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


async def chunks(body: Sequence[bytes | Upload], prolong: Callable[[], None]) -> AsyncIterator[bytes]:
    """The pieces of a large request in portions: small ones together, large ones in slices, nothing copied whole."""
    small: list[bytes] = []
    size = 0
    async for part in _parts(body):
        if len(part) < CHUNK_BYTES:
            small.append(part)
            size += len(part)
        if small and (size >= CHUNK_BYTES or len(part) >= CHUNK_BYTES):
            prolong()
            yield b"".join(small)
            small, size = [], 0
        if len(part) >= CHUNK_BYTES:
            prolong()
            yield part
    prolong()
    yield b"".join(small)
    prolong()


async def _parts(body: Sequence[bytes | Upload]) -> AsyncIterator[bytes]:
    """Each piece, in portions of at most `CHUNK_BYTES`."""
    for piece in body:
        if isinstance(piece, Upload):
            async for portion in piece.portions():
                yield portion
        else:
            for start in range(0, len(piece), CHUNK_BYTES):
                yield piece[start : start + CHUNK_BYTES]
