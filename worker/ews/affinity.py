"""Keeping requests about one group of subscriptions with the server that holds them (Exchange developer documentation,
"Maintain affinity between a group of subscriptions and the Mailbox server").
"""

from collections.abc import Mapping
from typing import Final

_COOKIE: Final = "X-BackEndOverrideCookie"


class Affinity:
    """One group's. The server names itself in the first answer, by a cookie that every later request brings back."""

    def __init__(self, anchor: str) -> None:
        self._headers = {"X-AnchorMailbox": anchor, "X-PreferServerAffinity": "true"}

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    def learn(self, cookies: Mapping[str, str]) -> None:
        if cookies.get(_COOKIE):
            self._headers["Cookie"] = f"{_COOKIE}={cookies[_COOKIE]}"
