"""The port through which the way of a mail is traced, in OpenTelemetry's notions. `worker/tracing` implements it; while
tracing is off `OFF` does, which does nothing.

A span is what one worker did for one mail in one go; steps are what that consisted of. Nothing in here fails, waits or
sees what a mail says.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Final, Protocol

from worker.mail.outcome import Reason
from worker.mail.stamp import Stamp


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C Trace Context, as it travels: what something belongs to. "" where nothing is known."""

    traceparent: str = ""
    tracestate: str = ""


NOWHERE: Final = TraceContext()


class Step(Protocol):
    def end(self, outcome: object) -> None:
        """`outcome`: of the port `worker.mail.transport`, None where there is none."""


class MailSpan(Protocol):
    @property
    def context(self) -> TraceContext:
        """What an event about this mail is to carry; `NOWHERE` while tracing is off."""

    def step(self, name: str, mails: int) -> Step:
        """Begin one. `mails`: so many were in the same call."""

    def join(self, other: "MailSpan") -> None:
        """The other one was of another delivery of the same request, and ends here."""

    def end(self, outcome: str, reason: Reason | None = None) -> None: ...


class PollSpan(Protocol):
    def receive(  # noqa: PLR0913 - what there is to tell
        self, *, since: datetime, email_id: str, request: str, kind: str, method: str, profile: str
    ) -> MailSpan:
        """A mail that came in, taken up at `since`. `request`: of which request of ours it answers the mail, as its
        Message-ID tells it (`worker.mail.message_id`), "" where it answers none.
        """

    def end(self, published: int, reason: Reason | None) -> None: ...


class Tracing(Protocol):
    def send(  # noqa: PLR0913 - what there is to tell
        self,
        parent: TraceContext,
        headers: Mapping[str, object],
        *,
        stamp: Stamp,
        event_id: str,
        email_id: str,
        sender: str,
        profile: str,
        attempt: int,
        bulk: bool,
    ) -> MailSpan:
        """A request taken out of its queue. `parent` is what its event names; else its message's headers may."""

    def poll(self, mailbox: str, profile: str) -> PollSpan:
        """A mailbox begins to be read."""


class _Off:
    context = NOWHERE

    def send(self, *_: object, **__: object) -> MailSpan:
        return self

    def poll(self, *_: object) -> PollSpan:
        return self

    def receive(self, **_: object) -> MailSpan:
        return self

    def step(self, *_: object) -> Step:
        return self

    def join(self, *_: object) -> None: ...

    def end(self, *_: object) -> None: ...

    def __enter__(self) -> "Tell":
        return _ignore

    def __exit__(self, *_: object) -> None: ...


OFF: Final = _Off()


class _Steps:
    def __init__(self, name: str, spans: Sequence[MailSpan]) -> None:
        self._begun = [span.step(name, len(spans)) for span in spans]
        self._outcomes: list[object] = []

    def __enter__(self) -> "Tell":
        return self._outcomes.extend

    def __exit__(self, *_: object) -> None:
        for step, outcome in zip_longest(self._begun, self._outcomes[: len(self._begun)]):
            step.end(outcome)


def steps(name: str, spans: Sequence[MailSpan]) -> AbstractContextManager["Tell"]:
    """What is done for several mails at once is a step of each. Told is what came of it, in order."""
    return OFF if spans[0] is OFF else _Steps(name, spans)


Tell = Callable[[Sequence[object]], None]


def _ignore(_: Sequence[object]) -> None: ...
