"""The headers in which one pass of a request tells the next what came of it."""

from enum import StrEnum


class Mark(StrEnum):
    ATTEMPTS = "x-attempts"
    WAITS = "x-waits"
    DOUBT = "x-doubt"
    EMPTY_LOOKS = "x-empty-looks"
    TOLD = "x-told"
    FIRST_SEEN_AT = "x-first-seen-at"
    WAITING_SINCE = "x-waiting-since"
    BEGUN_IN = "x-begun-in"
    UNLOOKED = "x-unlooked"
    DUE_AT = "x-due-at"
    ROOM_AT = "x-room-at"
