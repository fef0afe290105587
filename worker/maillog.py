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

    def not_settled(self, cause: str) -> None:
        self._log.warning("mail not settled, the broker will give it again", cause=cause)


def invalid(*, email_id: str, event_id: str, field: str, message: str) -> None:
    _log.error("event invalid", email_id=email_id, event_id=event_id, field=field, message=message)


def not_settled(*, event_id: str, cause: str) -> None:
    _log.warning("event not settled, the broker will give it again", event_id=event_id, cause=cause)


def _fields(reason: Reason) -> dict[str, str]:
    told = {"code": reason.code, "scope": reason.scope.value, "cause": reason.message, "remedy": reason.remedy}
    return told | ({"request_id": reason.request_id} if reason.request_id else {})
