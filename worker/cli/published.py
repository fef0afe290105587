"""The profiles that were published, read from the broker by a command."""

from worker.cli.given import NoProfilesError
from worker.cli.session import over_broker
from worker.clock import SystemClock
from worker.profiles import document
from worker.profiles.directory import Directory
from worker.rabbitmq.profiles import published
from worker.rabbitmq.session import Session
from worker.settings import Settings


def published_profiles(settings: Settings) -> Directory:
    """Raises ConfigurationError."""

    async def work(session: Session) -> bytes | None:
        return await published(session, SystemClock())

    body = over_broker(settings, work)
    if body is None:
        raise NoProfilesError("no profiles are published; publish them: mailrouter profiles publish FILE")
    return document.read(body).book().directory
