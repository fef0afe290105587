"""The lines an operator greps for: one per event in a mail's life, with its ids, never with its contents."""

import structlog

from worker.mail.outcome import Reason

_log = structlog.get_logger("mail")


class RequestLog:
    """The lines about one send request. `ids` are on each of them."""

    def __init__(self, *, email_id: str, event_id: str, mailbox: str, profile: str) -> None:
        self._log = _log.bind(email_id=email_id, event_id=event_id, mailbox=mailbox, profile=profile)

    def accepted(self, *, message_id: str, attempt: int, seconds: float) -> None:
        self._log.info("mail accepted", message_id=message_id, attempt=attempt, seconds=round(seconds, 3))

    def deferred(self, reason: Reason, *, retry_at: str, attempt: int) -> None:
        self._log.warning("mail deferred", retry_at=retry_at, attempt=attempt, **_fields(reason))

    def waiting(self, *, until: str, why: str) -> None:
        self._log.debug("mail waiting", until=until, why=why)

    def failed(self, reason: Reason, *, attempt: int) -> None:
        self._log.error("mail failed", attempt=attempt, **_fields(reason))

    def unresolved(self, reason: Reason, *, attempt: int) -> None:
        self._log.error("mail unresolved", attempt=attempt, **_fields(reason))


def invalid(*, email_id: str, event_id: str, field: str, message: str) -> None:
    _log.error("event invalid", email_id=email_id, event_id=event_id, field=field, message=message)


def not_settled(*, event_id: str, cause: str) -> None:
    _log.warning("event not settled, the broker will give it again", event_id=event_id, cause=cause)


def received(mailbox: str, profile: str, event_id: str, item_id: str, kind: str) -> None:
    _log.info("mail received", mailbox=mailbox, profile=profile, event_id=event_id, item_id=item_id, kind=kind)


def quarantined(mailbox: str, profile: str, item_id: str, reason: Reason) -> None:
    _log.error("mail quarantined", mailbox=mailbox, profile=profile, item_id=item_id, **_fields(reason))


def vanished(mailbox: str, profile: str, item_id: str) -> None:
    _log.warning("mail to be read again is not there any more", mailbox=mailbox, profile=profile, item_id=item_id)


def not_finished(mailbox: str, profile: str, after: str, reason: Reason) -> None:
    _log.warning("mail published, but left as it was", mailbox=mailbox, profile=profile, after=after, **_fields(reason))


def first_sync(mailbox: str, profile: str, *, since: str) -> None:
    _log.info("mailbox is read for the first time", mailbox=mailbox, profile=profile, since=since)


def walking(mailbox: str, profile: str, *, passed: int) -> None:
    _log.info("mailbox is read from its beginning", mailbox=mailbox, profile=profile, passed=passed)


def state_lost(mailbox: str, profile: str) -> None:
    _log.warning(
        "Exchange has forgotten how far a mailbox was read; its events come again", mailbox=mailbox, profile=profile
    )


def paused(mailbox: str, profile: str, reason: Reason, *, wait_seconds: float) -> None:
    _log.warning("mailbox paused", mailbox=mailbox, profile=profile, wait_seconds=wait_seconds, **_fields(reason))


def resumed(mailbox: str, profile: str, code: str, *, after_seconds: float) -> None:
    _log.info("mailbox resumed", mailbox=mailbox, profile=profile, code=code, after_seconds=after_seconds)


def _fields(reason: Reason) -> dict[str, str]:
    told = {"code": reason.code, "scope": reason.scope.value, "cause": reason.message, "remedy": reason.remedy}
    return told | ({"request_id": reason.request_id} if reason.request_id else {})
