"""Logs: text that a person can read on a terminal, one JSON object a line everywhere else. Always on stderr.

Tracebacks are without local variables, which hold mails and passwords.
"""

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer


def configure(log_format: Literal["text", "json"] | None, level: str, stream: TextIO | None = None) -> None:
    """Set up logging for the process. The libraries' own records (aio-pika, aiohttp) follow, from warnings on."""
    out = stream or sys.stderr
    text = log_format == "text" or (log_format is None and out.isatty())
    steps: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if text:
        render: list[structlog.typing.Processor] = [
            structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    else:
        render = [
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*steps, *render],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=steps,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(least, logging.WARNING), force=True)
