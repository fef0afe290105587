"""States of accounts and mailboxes, and rights given and taken while the sandbox runs: what each gives in EWS."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import spnego

from tests.integration.ews_by_hand import Answer, Client, folder_id, message
from worker.sandbox.application import Application
from worker.sandbox.directory import STATES, Directory, State, User
from worker.sandbox.exchange import Exchange
from worker.sandbox.server import Sandbox

ANNA, BERT, ROUTER = "anna@contoso.example", "bert@contoso.example", "router@contoso.example"
APPLICATION = "8d1a4c9e-0c1d-4a55-9a51-27c4a4e0f3b1"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    directory = Directory()
    for address in (ANNA, BERT, ROUTER):
        directory.add(User(address, "sandbox"))
    directory.users[ROUTER].impersonates = {ANNA}
    directory.register(Application("contoso.example", APPLICATION, "secret"))
    async with Sandbox(Exchange(directory)) as started:
        yield started


async def _order(sandbox: Sandbox, path: str, **order: Any) -> tuple[int, str]:
    url = f"{sandbox.witness_url}/{path}"
    async with aiohttp.ClientSession() as session, session.post(url, json=order) as response:
        return response.status, await response.text()


async def _set(sandbox: Sandbox, path: str, **order: Any) -> None:
    status, text = await _order(sandbox, path, **order)
    assert status == 200, text


def _told(answer: Answer) -> object:
    """The codes; the HTTP status where there are none."""
    return answer.codes if answer.body else answer.status


async def _bearer(sandbox: Sandbox) -> str:
    form = {"client_id": APPLICATION, "client_secret": "secret", "grant_type": "client_credentials"}
    form["scope"] = "https://outlook.office365.com/.default"
    url = f"{sandbox.authority}/contoso.example/oauth2/v2.0/token"
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as response:
        return f"Bearer {(await response.json())['access_token']}"


NON_EXISTENT = ["fault", "ErrorNonExistentMailbox"]


TOLD: dict[State, tuple[object, object]] = {
    # to the account itself; to one that impersonates it
    "ok": (["NoError"], ["NoError"]),
    "password-expired": (["fault", "ErrorPasswordExpired"], ["NoError"]),
    "locked": (401, ["NoError"]),
    "disabled": (401, ["NoError"]),
    "ews-disabled": (403, 403),
    "moving": (["ErrorMailboxMoveInProgress"], ["ErrorMailboxMoveInProgress"]),
    "moved": (["ErrorNonExistentMailbox"], NON_EXISTENT),
    "gone": (["ErrorNonExistentMailbox"], NON_EXISTENT),
    "quota": (["NoError"], ["NoError"]),
}


@pytest.mark.parametrize("state", STATES)
async def test_a_state(sandbox: Sandbox, state: State) -> None:
    own, impersonated = TOLD[state]
    await _set(sandbox, "accounts", user=ANNA, state=state)
    token = await _bearer(sandbox)
    async with (
        Client(sandbox.url, ANNA) as anna,
        Client(sandbox.url, ROUTER, acting_as=ANNA) as router,
        Client(sandbox.url, "", acting_as=ANNA, authorization=token) as application,
    ):
        assert _told(await anna.find("inbox")) == own
        assert _told(await router.find("inbox")) == impersonated
        assert _told(await application.find("inbox")) == impersonated
        if state == "quota":
            assert (await anna.create(message())).codes == ["ErrorQuotaExceeded"]
        await _set(sandbox, "accounts", user=ANNA, state="ok")
        assert (await anna.create(message())).codes == ["NoError"]
        assert (await router.find("inbox")).codes == ["NoError"]


async def test_a_state_counts_for_ntlm_too(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:

        async def post(message: bytes | None = None) -> tuple[int, str]:
            headers = {"Authorization": f"NTLM {base64.b64encode(message).decode()}"} if message else {}
            async with session.post(sandbox.url, data=b"<nothing/>", headers=headers) as response:
                await response.read()
                return response.status, response.headers.get("WWW-Authenticate", "")

        client = spnego.client(ANNA, "sandbox", protocol="ntlm")
        _, challenge = await post(client.step())
        assert (await post(client.step(base64.b64decode(challenge.removeprefix("NTLM ")))))[0] == 400
        await _set(sandbox, "accounts", user=ANNA, state="locked")
        assert (await post())[0] == 401
        await _set(sandbox, "accounts", user=ANNA, state="ok")
        assert (await post())[0] == 400


async def test_passwords_change_and_accounts_come(sandbox: Sandbox) -> None:
    await _set(sandbox, "accounts", user=ANNA, password="another")
    await _set(sandbox, "accounts", user="carl@contoso.example", password="new")
    for address, password, status in (
        (ANNA, "sandbox", 401),
        (ANNA, "another", 200),
        ("carl@contoso.example", "new", 200),
    ):
        async with Client(sandbox.url, address, password) as client:
            assert (await client.find("inbox")).status == status
    for order in ({"user": ANNA, "state": "tired"}, {"user": "x@y.example"}, {"user": ANNA, "colour": "red"}):
        assert (await _order(sandbox, "accounts", **order))[0] == 400


async def test_ews_is_retired(sandbox: Sandbox) -> None:
    token = await _bearer(sandbox)
    async with (
        Client(sandbox.url, ANNA) as anna,
        Client(sandbox.url, "", acting_as=ANNA, authorization=token) as application,
    ):

        async def statuses(**options: object) -> tuple[int, int]:
            await _set(sandbox, "options", **options)
            return (await anna.find("inbox")).status, (await application.find("inbox")).status

        assert await statuses(ews_enabled=False) == (403, 403)
        assert await statuses(ews_enabled=True, ews_allowed_app_ids=[]) == (200, 403)
        assert await statuses(ews_allowed_app_ids=[APPLICATION]) == (200, 200)
        assert await statuses(ews_allowed_app_ids=None) == (200, 200)


async def test_an_application_is_changed(sandbox: Sandbox) -> None:
    await _set(sandbox, "applications", client_id=APPLICATION, mailboxes=[BERT])
    token = await _bearer(sandbox)
    for address, codes in ((ANNA, ["fault", "ErrorImpersonateUserDenied"]), (BERT, ["NoError"])):
        async with Client(sandbox.url, "", acting_as=address, authorization=token) as client:
            assert (await client.find("inbox")).codes == codes
    await _set(sandbox, "applications", client_id="another", tenant="fabrikam.example", client_secret="s")
    assert set(sandbox.exchange.directory.applications) == {APPLICATION, "another"}
    for order in ({"client_id": "third"}, {"client_id": APPLICATION, "certificate": "/nonexistent.pem"}):
        assert (await _order(sandbox, "applications", **order))[0] == 400


async def test_reading_needs_full_access_or_impersonation(sandbox: Sandbox) -> None:
    inbox = folder_id("inbox", ANNA)
    configuration = (
        f'<m:GetUserConfiguration><m:UserConfigurationName Name="Router">{inbox}</m:UserConfigurationName>'
        "<m:UserConfigurationProperties>All</m:UserConfigurationProperties></m:GetUserConfiguration>"
    )
    item = sandbox.exchange.arrive(ANNA, b"Subject: Hello\r\n\r\nText")
    async with Client(sandbox.url, ROUTER) as router, Client(sandbox.url, ROUTER, acting_as=ANNA) as acting:

        async def codes(client: Client) -> list[str]:
            answers = (
                await client.sync(folder=inbox),
                await client.ask(configuration),
                await client.get((item.id, "")),
                await client.ask(
                    "<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape>"
                    f"<m:FolderIds>{inbox}</m:FolderIds></m:GetFolder>"
                ),
            )
            return [each.codes[-1] for each in answers]

        assert await codes(router) == ["ErrorAccessDenied"] * 3 + ["ErrorFolderNotFound"]
        assert await codes(acting) == ["NoError", "ErrorItemNotFound", "NoError", "NoError"]
        await _set(sandbox, "rights", user=ROUTER, full_access=[ANNA], impersonates=[])
        assert await codes(router) == ["NoError", "ErrorItemNotFound", "NoError", "NoError"]
        assert await codes(acting) == ["ErrorImpersonateUserDenied"] * 4
        await _set(sandbox, "rights", user=ROUTER, full_access=[])
        assert await codes(router) == ["ErrorAccessDenied"] * 3 + ["ErrorFolderNotFound"]


async def test_sending_for_others_while_rights_come_and_go(sandbox: Sandbox) -> None:
    async with Client(sandbox.url, ROUTER) as router:

        async def send() -> str:
            draft = await router.draft(sent_from=ANNA)
            answer = await router.send(draft, folder=folder_id("sentitems", ROUTER))
            return answer.codes[0]

        assert await send() == "ErrorSendAsDenied"
        assert await router.counts("drafts", "sentitems") == [1, 0]  # the draft stays behind
        await _set(sandbox, "rights", user=ROUTER, send_on_behalf=[ANNA])
        assert await send() == "NoError"
        await _set(sandbox, "rights", user=ROUTER, send_as=[ANNA])
        assert await send() == "NoError"
        await _set(sandbox, "rights", user=ROUTER, send_as=[], send_on_behalf=[])
        assert await send() == "ErrorSendAsDenied"
    assert [(each.sent_from, each.sender) for each in sandbox.sent] == [(ANNA, ROUTER), (ANNA, ANNA)]
