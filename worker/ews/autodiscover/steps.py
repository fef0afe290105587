"""A lookup as values: each step that was taken, and what was found in the end."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

Method = Literal["json", "soap", "pox", "http", "srv"]
Whole = Literal["lookup"]
"""In place of a method, for what is said of the lookup as a whole."""


class Result(StrEnum):
    """What came of one step."""

    FOUND = "found"
    REDIRECTED = "redirected"
    ERROR = "error"
    """Autodiscover itself answered, that it does not work for this address."""
    DENIED = "denied"
    """The server wants somebody to sign in, and the account was not let in, or there was none."""
    REFUSED = "refused"
    """The router does not go there, or does not believe it."""
    CERTIFICATE = "certificate"
    UNREADABLE = "unreadable"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NOTHING = "nothing"
    """A server is there, Autodiscover is not; or there is no such record."""


_TELLING: Final = tuple(Result)[2:]
"""Of failed steps, the sooner the more it says about why nothing was found."""


@dataclass(frozen=True, slots=True)
class Step:
    """One question and what came of it. `url` is a name of the DNS where the method is srv."""

    method: Method | Whole
    url: str
    result: Result
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """`url` is that of EWS, "" if it was not found."""

    address: str
    url: str
    steps: tuple[Step, ...]

    @property
    def telling(self) -> Step:
        """Where nothing was found: the step that says most about why; of several the last."""
        failed = [step for step in reversed(self.steps) if step.result in _TELLING]
        return min(failed, key=lambda step: _TELLING.index(step.result))
