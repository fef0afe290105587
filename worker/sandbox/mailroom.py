"""The witness' other half: mailboxes looked into and changed by hand, and mail that comes in."""

import base64
from typing import Any, Final

from aiohttp import web

from worker.sandbox.correspondents import ANSWERS
from worker.sandbox.exchange import Exchange
from worker.sandbox.guarded import guarded, in_json, in_lines
from worker.sandbox.item import Item
from worker.sandbox.reading import moment
from worker.sandbox.sent_mail import SentMail
from worker.sandbox.store import Folder, Mailbox

_LARGEST: Final = 512 * 2**20


class Mailroom:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/sandbox/arrivals", guarded(self._arrivals)),
            web.post("/sandbox/replies", guarded(self._replies)),
            web.get("/sandbox/inbox", guarded(self._inbox)),
            web.get("/sandbox/configurations", guarded(self._configurations)),
            web.post("/sandbox/moves", guarded(self._moves)),
            web.post("/sandbox/reads", guarded(self._reads)),
            web.post("/sandbox/deletions", guarded(self._deletions)),
            web.post("/sandbox/forget", guarded(self._forget)),
        ]

    async def _arrivals(self, request: web.Request) -> web.Response:
        """The body is a mail in MIME; `mailbox=ADDR`, several times if need be; `class=` another item class;
        `received=` another time than now.
        """
        addresses, source = request.query.getall("mailbox"), await request.clone(client_max_size=_LARGEST).read()
        item_class, received = request.query.get("class", ""), request.query.get("received", "")
        received_at = moment(received) if received else None
        arrived = [
            self._exchange.arrive(each, source, item_class=item_class, received_at=received_at) for each in addresses
        ]
        ids = [each.id for each in arrived]
        return in_json({"id": ids[0], "ids": ids})

    async def _replies(self, request: web.Request) -> web.Response:
        """`{"message_id": "<...>"}` or `{"to": "x@customer.example"}`: which mail that left is answered, the last of
        several; `kind`: one of ANSWERS, reply by default; `text`: what it says; `recipient`: who answers.
        """
        asked = await request.json()
        kind = asked.get("kind", "reply")
        if kind not in ANSWERS:
            raise ValueError(f"no such answer: {kind}; there are {', '.join(ANSWERS)}")
        mail = self._sent(asked.get("message_id", ""), asked.get("to", ""))
        recipient = asked.get("recipient") or asked.get("to") or (*mail.to, *mail.cc, *mail.bcc)[0]
        item = self._exchange.departures.answer(mail, recipient, kind, asked.get("text", ""))
        return in_json({**_described(item), "mailbox": mail.sent_from})

    async def _inbox(self, request: web.Request) -> web.Response:
        """One JSON object a line for each item of `mailbox=ADDR`, newest changed last. `folder=` another than the
        Inbox, by either of its names, `*` for all.
        """
        mailbox, name = self._exchange.mailbox(request.query["mailbox"]), request.query.get("folder", "inbox")
        folders = list(mailbox.folders.values()) if name == "*" else [_folder(mailbox, name)]
        return in_lines([_described(item) for folder in folders for item in folder.items.values()])

    async def _configurations(self, request: web.Request) -> web.Response:
        """The UserConfiguration objects of `mailbox=ADDR`."""
        mailbox = self._exchange.mailbox(request.query["mailbox"])
        return in_lines(
            [
                {
                    "folder": folder.display_name,
                    "name": each.name,
                    "size": each.size,
                    "xml_data": _text(each.xml_data),
                    "binary_data": _text(each.binary_data),
                }
                for folder in mailbox.folders.values()
                for each in folder.configurations.values()
            ]
        )

    async def _moves(self, request: web.Request) -> web.Response:
        """`{"id": "...", "folder": "junkemail"}`: its distinguished or display name; it is made where it is missing."""
        asked = await request.json()
        item = self._item(asked["id"])
        assert item.folder is not None
        mailbox = item.folder.mailbox
        try:
            target = _folder(mailbox, asked["folder"])
        except KeyError:
            target = self._exchange.store.create_folder(mailbox.folders["msgfolderroot"], asked["folder"])
        self._exchange.store.move(item, target)
        return in_json(_described(item))

    async def _reads(self, request: web.Request) -> web.Response:
        """`{"id": "...", "read": true}`"""
        asked = await request.json()
        item = self._item(asked["id"])
        item.is_read = bool(asked.get("read", True))
        self._exchange.store.touch(item, read_flag_only=True)
        return in_json(_described(item))

    async def _deletions(self, request: web.Request) -> web.Response:
        """`{"id": "..."}`: for good."""
        item = self._item((await request.json())["id"])
        self._exchange.store.remove(item)
        return in_json({"id": item.id})

    async def _forget(self, request: web.Request) -> web.Response:
        """`{"sync_states": "a@contoso.example"}` (or `"*"`), `{"subscriptions": "*"}`: they are not known any more."""
        asked: dict[str, Any] = await request.json()
        told: dict[str, Any] = {}
        for what, which in asked.items():
            if what == "sync_states":
                self._exchange.forget_sync_states("" if which == "*" else which)
                told[what] = which
            elif what == "subscriptions":
                told[what] = self._exchange.subscriptions.drop_all()
            elif what == "tokens":
                self._exchange.tokens.forget()
                told[what] = which
            else:
                raise ValueError(f"nothing to forget: {what}; there are sync_states, subscriptions and tokens")
        return in_json(told)

    def _item(self, item_id: str) -> Item:
        """Raises Refusal ErrorItemNotFound."""
        return self._exchange.store.item(item_id)

    def _sent(self, message_id: str, recipient: str) -> SentMail:
        wanted = recipient.casefold()
        for mail in reversed(self._exchange.departures.sent):
            if message_id and mail.message_id != message_id:
                continue
            if not wanted or wanted in {each.casefold() for each in (*mail.to, *mail.cc, *mail.bcc)}:
                return mail
        raise KeyError("no such mail left")


def _folder(mailbox: Mailbox, name: str) -> Folder:
    for key, folder in mailbox.folders.items():
        if name.casefold() in (key.casefold(), folder.display_name.casefold()):
            return folder
    raise KeyError(f"no such folder: {name}")


def _described(item: Item) -> dict[str, Any]:
    assert item.folder is not None
    return {
        "id": item.id,
        "message_id": item.message_id,
        "item_class": item.item_class,
        "subject": item.subject,
        "from": item.from_.address if item.from_ else "",
        "folder": item.folder.display_name,
        "read": item.is_read,
        "received_at": item.received_at,
        "attachments": [each.name for each in item.attachments],
    }


def _text(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()
