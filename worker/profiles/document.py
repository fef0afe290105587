"""The profiles as a text, and earlier ones that still matter: what `mailrouter profiles publish` hands to the workers,
and what a worker with a file makes of each change of it.

The broker keeps it, for workers of this version and of later ones: what a reader does not know it ignores. Secrets are
in it as references only; each worker resolves them where it runs.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson

from worker.clock import rfc3339
from worker.profiles.book import SETTLING, Book, Earlier, moves
from worker.profiles.edition import Edition, edition_of
from worker.settings import ConfigurationError

MOST_BYTES: Final = 8 * 2**20
"""A message of RabbitMQ is better not larger."""

_PLACE: Final = "published profiles"


@dataclass(frozen=True, slots=True)
class EarlierText:
    text: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Document:
    """`by`: who published it, from where; `earlier`: those before, oldest first."""

    text: str
    published_at: datetime
    by: str
    earlier: tuple[EarlierText, ...] = ()

    def edition(self, *, here: bool) -> Edition:
        """Raises ConfigurationError."""
        return edition_of(self.text, _PLACE, here=here)

    def book(self) -> Book:
        """For a worker on this machine. Raises ConfigurationError where it cannot work by it."""
        edition = self.edition(here=True)
        before = [(edition_of(each.text, _PLACE, here=False), each.until) for each in self.earlier]
        earlier = tuple(Earlier(each.revision, until, each.directory) for each, until in before)
        return Book(edition.directory, edition.revision, earlier)

    def followed_by(self, edition: Edition, now: datetime, by: str, keep: timedelta) -> "Document":
        """The next one. Of the earlier ones those stay that may matter to requests not older than `keep`."""
        moved = moves(self.edition(here=False).directory, edition.directory)
        earlier = (*self.earlier, *([EarlierText(self.text, now + SETTLING)] if moved else []))
        return Document(edition.text, now, by, tuple(each for each in earlier if each.until > now - keep))


def write(document: Document) -> bytes:
    """Raises ConfigurationError where it has become too large to be kept."""
    body = orjson.dumps(
        {
            "format": 1,
            "published_at": rfc3339(document.published_at),
            "by": document.by,
            "profiles": document.text,
            "earlier": [{"profiles": each.text, "until": rfc3339(each.until)} for each in document.earlier],
        }
    )
    if len(body) > MOST_BYTES:
        raise ConfigurationError(
            f"{_PLACE}: {len(body)} bytes, together with earlier ones that mail may still be under way by; at most "
            f"{MOST_BYTES} are kept. Remedy: a smaller file; seldom publish what moves the mailboxes mail leaves from"
        )
    return body


def read(body: bytes) -> Document:
    """Raises ConfigurationError for what no version of ours has published."""
    try:
        told = orjson.loads(body)
        earlier = tuple(
            EarlierText(str(each["profiles"]), datetime.fromisoformat(each["until"])) for each in told["earlier"]
        )
        moment = datetime.fromisoformat(told["published_at"])
        return Document(str(told["profiles"]), moment, str(told["by"]), earlier)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            f"{_PLACE}: what the broker keeps is not what 'mailrouter profiles publish' writes "
            f"({type(error).__name__}); publish them again"
        ) from None
