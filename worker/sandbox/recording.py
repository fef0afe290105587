"""Writes every request and answer to files, so that they can be checked against the schemas."""

from collections.abc import AsyncIterator
from pathlib import Path

from worker.sandbox.reply import Reply


class Recording:
    """Files `NUMBER-request.xml` and `NUMBER-answer.xml`; an answer that is no XML, or was spoiled, is `.txt`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def write(self, number: int, request: bytes, reply: Reply) -> None:
        (self._directory / f"{number:06d}-request.xml").write_bytes(request)
        if isinstance(reply.body, AsyncIterator):  # written while it goes out
            return
        body = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
        whole = body.startswith(b"<?xml") and reply.line != "half"
        (self._directory / f"{number:06d}-answer.{'xml' if whole else 'txt'}").write_bytes(body)

    def append(self, number: int, portion: bytes) -> None:
        """What goes out of an answer that has no end yet."""
        with (self._directory / f"{number:06d}-answer.xml").open("ab") as file:
            file.write(portion)
