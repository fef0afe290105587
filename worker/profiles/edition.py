"""An edition of the profiles: the text as somebody wrote it, what it says, and the revision it goes by."""

import hashlib
from dataclasses import dataclass

from worker.profiles.directory import Directory
from worker.profiles.loader import parse, tables


@dataclass(frozen=True, slots=True)
class Edition:
    text: str
    revision: str
    directory: Directory


def revision_of(text: str) -> str:
    """The same text has the same revision, on every machine."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def edition_of(text: str, place: str, *, here: bool = True) -> Edition:
    """Raises ConfigurationError with one line for each fault; `place` is what they name as the file. Not `here`: what
    only the machine that works by it can tell (secrets, files) is not looked at.
    """
    return Edition(text, revision_of(text), parse(tables(text, place), place, here=here))
