"""An edition of the profiles: the text as somebody wrote it, what it says, and the revision it goes by."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from worker.profiles.directory import Directory
from worker.profiles.loader import parse
from worker.settings import ConfigurationError


@dataclass(frozen=True, slots=True)
class Edition:
    text: str
    revision: str
    directory: Directory


def revision_of(text: str) -> str:
    """The same text has the same revision, on every machine."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_text(path: Path) -> str:
    """Raises ConfigurationError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigurationError(
            f"{path}: cannot be read: {cause}; MAILROUTER_PROFILES or --profiles names the profiles file"
        ) from None


def edition_of(text: str, place: str, *, here: bool = True) -> Edition:
    """Raises ConfigurationError with one line for each fault; `place` is what they name as the file. Not `here`: what
    only the machine that works by it can tell (secrets, files) is not looked at.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{place}: not TOML: {error}") from None
    return Edition(text, revision_of(text), parse(data, place, here=here))
