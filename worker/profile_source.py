"""Where a worker has its profiles from."""

import asyncio
from datetime import timedelta

from worker.clock import Clock
from worker.outbound.pipeline import lifetime
from worker.profiles.file import ProfilesFile
from worker.profiles.in_force import InForce
from worker.profiles.published import PublishedProfiles
from worker.rabbitmq.profiles import follow
from worker.rabbitmq.session import Session
from worker.service import hang_up_on_signal
from worker.settings import Settings


class ProfileSource:
    """A file, or what was published. Both are read again while the worker runs."""

    def __init__(self, settings: Settings, in_force: InForce, clock: Clock) -> None:
        self._clock = clock
        self._hang_up = hang_up_on_signal()
        self._published = PublishedProfiles(in_force)
        keep = lifetime(timedelta(days=settings.horizon_days))
        published = settings.profiles_are_published
        self._file = None if published else ProfilesFile(settings.profiles, in_force, clock, keep)

    def load(self) -> None:
        """What must be there before the work begins. Raises ConfigurationError."""
        if self._file is not None:
            self._file.load()

    async def follow(self, session: Session, announced: asyncio.Event) -> None:
        """Until the session is stopping, or cancelled."""
        if self._file is not None:
            await self._file.follow(self._hang_up)
        else:
            await follow(session, self._clock, announced, self._published.take)
