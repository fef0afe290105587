"""Writes every request and answer to files, so that they can be checked against the schemas."""

from pathlib import Path

from worker.sandbox.reply import Reply


class Recording:
    """Files `NUMBER-request.xml` and `NUMBER-answer.xml`; an answer that is no XML, or was spoiled, is `.txt`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def write(self, number: int, request: bytes, reply: Reply) -> None:
        (self._directory / f"{number:06d}-request.xml").write_bytes(request)
        whole = reply.body.startswith(b"<?xml") and reply.line != "half"
        (self._directory / f"{number:06d}-answer.{'xml' if whole else 'txt'}").write_bytes(reply.body)
