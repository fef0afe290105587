"""The administrator's part of the witness: accounts, their rights and states, and applications, changed by hand."""

from pathlib import Path

from aiohttp import web

from worker.sandbox import application_file
from worker.sandbox.directory import RIGHTS, STATES, User
from worker.sandbox.exchange import Exchange
from worker.sandbox.guarded import guarded, in_json


class Accounts:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/sandbox/accounts", guarded(self._account)),
            web.post("/sandbox/rights", guarded(self._rights)),
            web.post("/sandbox/applications", guarded(self._application)),
        ]

    async def _account(self, request: web.Request) -> web.Response:
        """`{"user": "a@contoso.example", "state": "locked", "password": "..."}`: either or both. With a password an
        account that was not there is made.
        """
        asked = await request.json()
        address, state, password = asked.pop("user"), asked.pop("state", None), asked.pop("password", None)
        if asked:
            raise ValueError(f"nothing of an account: {min(asked)}; there are state and password")
        if state is not None and state not in STATES:
            raise ValueError(f"no such state: {state}; there are {', '.join(STATES)}")
        directory = self._exchange.directory
        user = directory.find(address)
        if user is None and password:
            user = directory.add(User(address, password))
        if user is None:
            raise ValueError("no such user")
        user.state = state or user.state
        user.password = password or user.password
        return in_json({"user": user.address, "state": user.state})

    async def _rights(self, request: web.Request) -> web.Response:
        """`{"user": "a@contoso.example", "send_as": ["*"]}`: replaces the rights that are named."""
        asked = await request.json()
        user = self._exchange.directory.find(asked.pop("user"))
        if user is None:
            raise ValueError("no such user")
        for right, mailboxes in asked.items():
            if right not in RIGHTS:
                raise ValueError(f"no such right: {right}")
            setattr(user, right, {each.casefold() for each in mailboxes})
        return in_json({"user": user.address})

    async def _application(self, request: web.Request) -> web.Response:
        """The keys of an `[[application]]` table: `client_id` says which, the others are changed. One that was not
        there is made.
        """
        asked = await request.json()
        directory = self._exchange.directory
        known = directory.applications.get(asked["client_id"].casefold())
        if known is None:
            known = directory.register(application_file.read(asked, Path()))
        else:
            application_file.change(known, asked, Path())
        return in_json({"tenant": known.tenant, "client_id": known.client_id})
