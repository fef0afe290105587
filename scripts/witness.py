"""The sandbox's witness as seen from outside: it is asked what left, arrived and lies there, and takes orders."""

from collections.abc import Iterable
from typing import Any

import aiohttp
import orjson

from scripts.eventually import eventually


class Witness:
    """The one at the URL `witness`, asked through the session `http`."""

    witness: str
    http: aiohttp.ClientSession

    async def mails(self) -> list[dict[str, Any]]:
        """Every mail that left the sandbox."""
        async with self.http.get(f"{self.witness}/mails") as answer:
            return [orjson.loads(line) for line in (await answer.read()).splitlines()]

    async def stats(self) -> dict[str, Any]:
        async with self.http.get(f"{self.witness}/stats") as answer:
            found: dict[str, Any] = orjson.loads(await answer.read())
            return found

    async def inbox(self, mailbox: str, folder: str = "inbox") -> list[dict[str, Any]]:
        """What lies in the Inbox of a mailbox, or in another of its folders."""
        async with self.http.get(f"{self.witness}/inbox", params={"mailbox": mailbox, "folder": folder}) as answer:
            answer.raise_for_status()
            return [orjson.loads(line) for line in (await answer.read()).splitlines()]

    async def arrived(self, seconds: float = 30) -> dict[str, Any]:
        """The sandbox's statistics once no mail is on its way through Drafts and Outbox any more."""

        async def none_in_transit() -> bool:
            return not (await self.stats())["in_transit"]

        await eventually(none_in_transit, seconds)
        return await self.stats()

    async def first_syncs(self, mailboxes: Iterable[str], limit_seconds: float) -> None:
        """Wait until each mailbox was looked at: what comes from now on is owed."""

        async def noted() -> bool:
            answers = []
            for each in mailboxes:
                async with self.http.get(f"{self.witness}/configurations", params={"mailbox": each}) as answer:
                    answers.append(await answer.read())
            return all(answers)

        await eventually(noted, limit_seconds)

    async def arrive(self, mailbox: str, source: bytes, received: str = "") -> str:
        """A mail comes into a mailbox from outside, now or at the time given; its item id."""
        where = {"mailbox": mailbox, "received": received}
        async with self.http.post(f"{self.witness}/arrivals", params=where, data=source) as answer:
            answer.raise_for_status()
            item_id: str = (await answer.json())["id"]
            return item_id

    async def answer(self, **asked: str) -> None:
        """Somebody outside answers a mail that left: `kind`, `to` or `message_id`, as the witness has them."""
        await self.order("replies", **asked)

    async def order(self, what: str, **parts: Any) -> None:  # noqa: ANN401 - JSON
        """An order to the sandbox, as its witness has them: `faults`, `options`, `rights`, `moves` and so on."""
        async with self.http.post(f"{self.witness}/{what}", json=parts) as answer:
            answer.raise_for_status()

    async def clear_faults(self) -> None:
        """Take back every order of faults."""
        async with self.http.delete(f"{self.witness}/faults") as answer:
            answer.raise_for_status()
