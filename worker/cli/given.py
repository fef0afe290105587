"""The profiles that a command works by: those of a file, or what was published."""

from worker.profiles.directory import Directory
from worker.profiles.loader import load
from worker.settings import ConfigurationError, Settings


class NoProfilesError(ConfigurationError):
    """There is no such file, or nothing was ever published."""


def given_profiles(settings: Settings) -> Directory:
    """Raises ConfigurationError."""
    if not settings.profiles_are_published:
        try:
            return load(settings.profiles)
        except ConfigurationError as error:
            if settings.profiles.exists():
                raise
            raise NoProfilesError(*error.faults) from None
    from worker.cli.published import published_profiles  # noqa: PLC0415 - the broker's library: a file needs none

    return published_profiles(settings)
