"""Properties that nobody can read must cost their own message at most.

RabbitMQ passes on short strings and header names that are not UTF-8, and times of any size. pamqp raises over them
while it reads the frame, aiormq then closes the connection, the broker gives the message to the next worker, and so on
for ever: one message would stop them all. So what cannot be read is replaced here; the body is never touched.
"""

from collections.abc import Callable
from typing import Final

from pamqp import decode
from pamqp.common import FieldValue

Decoder = Callable[[bytes], tuple[int, FieldValue]]

_TABLE_LENGTH_BYTES: Final = 4
_TIMESTAMP_BYTES: Final = 8


def replace_unreadable() -> None:
    """Teach pamqp, for this process."""
    decode.METHODS["shortstr"] = _instead(decode.short_str, _question_marks)
    decode.METHODS["timestamp"] = _instead(decode.timestamp, lambda _: (_TIMESTAMP_BYTES, None))
    decode.METHODS["table"] = _instead(decode.field_table, _no_headers)


def _instead(read: Decoder, replace: Decoder) -> Decoder:
    def decoder(value: bytes) -> tuple[int, FieldValue]:
        try:
            return read(value)
        except (ValueError, OverflowError, OSError, RecursionError):  # what datetime and deep nesting raise, too
            return replace(value)

    return decoder


def _question_marks(value: bytes) -> tuple[int, str]:
    """Not longer than the original: it must fit into a short string again."""
    end = value[0] + 1
    return end, value[1:end].decode("ascii", "replace").replace("\ufffd", "?")


def _no_headers(value: bytes) -> tuple[int, dict[str, FieldValue]]:
    return _TABLE_LENGTH_BYTES + int.from_bytes(value[:_TABLE_LENGTH_BYTES], "big"), {}
