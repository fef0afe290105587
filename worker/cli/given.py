"""The profiles that a command works by: those of a file, or what was published."""

from worker.profiles.directory import Directory
from worker.profiles.loader import load
from worker.settings import Settings


def given_profiles(settings: Settings) -> Directory:
    """Raises ConfigurationError."""
    if not settings.profiles_are_published:
        return load(settings.profiles)
    from worker.cli.published import published_profiles  # noqa: PLC0415 - the broker's library: a file needs none

    return published_profiles(settings)
