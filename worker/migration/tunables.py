"""The Email Router's tunables: which have a counterpart, and why the others need none."""

from collections.abc import Iterator, Mapping
from typing import Final

from worker.profiles.model import Profile

_DEFAULT_POLL: Final = float(Profile.model_fields["poll_seconds"].default)
_LOG_LEVELS: Final = {"0": "error", "1": "warning", "2": "info", "3": "debug"}

_NOT_NEEDED: Final = {
    "MaxThreads": "work is not bound to threads; MAILROUTER_CONCURRENCY and MAILROUTER_PREFETCH limit it",
    "MaxThreadExecution": "MAILROUTER_EWS_TIMEOUT_SECONDS limits each request",
    "ConfigRefreshPeriod": "a changed profiles file is read within seconds",
    "ConfigUpdatePeriod": "users and queues are not read from the CRM, but from the profiles file",
    "LogFile": "logs go to standard error",
    "CacheCapacity": "nothing is remembered between reads",
    "PendingStatusDelay": "the CRM publishes a mail when it is to be sent",
    "SendingStatusDelay": "a mail whose fate is unknown is looked for, never sent again after a time",
    "EWSRetrieveMessageCount": "mail is read in batches of ten",
    "BatchSize": "what waits for a mailbox is sent together, up to ten at once",
    "RequestBatchSize": "what waits for a mailbox is sent together, up to ten at once",
}


def of_tunables(given: Mapping[str, str]) -> tuple[dict[str, str], list[tuple[bool, str, str]], float]:
    """Settings of ours; for each tunable whether it was carried over, its name and what became of it; poll_seconds."""
    return dict(_settings(given)), list(_told(given)), _poll_seconds(given.get("SchedulingPeriod", ""))


def _settings(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    attempts = given.get("MaximumDeliveryAttempts", "")
    if attempts.isdecimal():
        yield "MAILROUTER_MAX_ATTEMPTS", str(min(max(int(attempts[:9]), 1), 100))
    if given.get("LogLevel") in _LOG_LEVELS:
        yield "MAILROUTER_LOG_LEVEL", _LOG_LEVELS[given["LogLevel"]]


def _told(given: Mapping[str, str]) -> Iterator[tuple[bool, str, str]]:
    settings = dict(_settings(given))
    for name, value in given.items():
        if name in _NOT_NEEDED:
            yield False, name, _NOT_NEEDED[name]
        elif name == "SchedulingPeriod":
            yield True, name, f"{value} ms: poll_seconds = {_poll_seconds(value):g}; notifications bring mail sooner"
        else:
            variable = {"MaximumDeliveryAttempts": "MAILROUTER_MAX_ATTEMPTS", "LogLevel": "MAILROUTER_LOG_LEVEL"}[name]
            if variable in settings:
                yield True, name, f"{value}: set {variable}={settings[variable]} for the workers"
            else:
                yield False, name, f"is not understood; see {variable}"


def _poll_seconds(milliseconds: str) -> float:
    """Not less than our default: a poll is only what notifications fall back to."""
    return poll_seconds(milliseconds) if milliseconds.isdecimal() else _DEFAULT_POLL


def poll_seconds(milliseconds: str) -> float:
    """Of digits."""
    seconds = min(max(int(milliseconds[:12]) / 1000, _DEFAULT_POLL), 86400.0)
    return int(seconds) if seconds.is_integer() else seconds
