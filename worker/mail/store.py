"""The port of the attachment store: where files live that are too large for an event.

An object is there as a whole or not at all. Written again under the same key it takes the place of the one before,
so whoever repeats a piece of work leaves nothing behind.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from worker.mail.incoming import Sink


class Unstored(Exception):  # noqa: N818 - named for what it says, as a flow reads it
    """The store did not take it: full, gone, not allowed. The text names cause and remedy."""


class AttachmentStore(Protocol):
    def writing(self, key: str) -> AbstractAsyncContextManager[Sink]:
        """A sink for the object of this key. Leaving it in order completes the object; leaving it by an exception
        leaves none. Raises `Unstored`, inside or on leaving.
        """

    def url(self, key: str) -> str:
        """Where whoever is given the event finds the object."""
