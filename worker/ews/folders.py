"""The folders beside the Inbox that published mail is moved to: found by name, made where they are missing."""

from typing import Final

from worker.ews.exchange import Exchange
from worker.ews.operations import folders
from worker.ews.trouble import Trouble

_MOST_PAGES: Final = 20
_MOST_REMEMBERED: Final = 10_000


class Folders:
    """Those of all mailboxes of one endpoint. What was found is remembered, until somebody forgets it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._ids: dict[tuple[str, str], str] = {}

    async def id_of(self, mailbox: str, name: str) -> str | Trouble:
        """The id of a folder of this mailbox, which is there from now on. Case does not tell names apart."""
        key = (mailbox, name.casefold())
        found = self._ids.get(key)
        if found is None:
            looked_up = await self._find(*key) or await self._make(mailbox, name)
            if isinstance(looked_up, Trouble):
                return looked_up
            if len(self._ids) >= _MOST_REMEMBERED:
                self._ids.clear()
            found = self._ids[key] = looked_up
        return found

    def forget(self, mailbox: str, name: str) -> None:
        self._ids.pop((mailbox, name.casefold()), None)

    async def _find(self, mailbox: str, name: str) -> str | Trouble | None:
        for page in range(_MOST_PAGES):
            body = folders.find_request(mailbox, page * folders.PAGE, impersonate=self._exchange.endpoint.impersonate)
            answer = await self._exchange.one("FindFolder", mailbox, body)
            if isinstance(answer, Trouble):
                return answer
            found = folders.found(answer)
            if found is None:
                return answer.trouble
            ids, last = found
            if name in ids or last:
                return ids.get(name)
        return None

    async def _make(self, mailbox: str, name: str) -> str | Trouble:
        """Somebody else may have made it in this very moment: then theirs is the one."""
        body = folders.create_request(mailbox, name, impersonate=self._exchange.endpoint.impersonate)
        answer = await self._exchange.one("CreateFolder", mailbox, body)
        if isinstance(answer, Trouble):
            theirs = await self._find(mailbox, name.casefold()) if answer.code == "ErrorFolderExists" else None
            return theirs or answer
        return folders.created(answer) or answer.trouble
