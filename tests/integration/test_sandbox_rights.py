"""Who may do what: passwords, impersonation, folders of others, and in whose name a mail leaves."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.ews_by_hand import Client, folder_id, message
from worker.sandbox.directory import ALL, Directory, User
from worker.sandbox.exchange import Exchange
from worker.sandbox.server import Sandbox

ANNA, BERT, ROUTER = "anna@contoso.example", "bert@contoso.example", "router@contoso.example"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    directory = Directory()
    for address in (ANNA, BERT, ROUTER):
        directory.add(User(address, "sandbox", address.partition("@")[0].capitalize()))
    directory.add(User("shadow@contoso.example", "sandbox", has_mailbox=False))
    async with Sandbox(Exchange(directory)) as started:
        yield started


def _give(sandbox: Sandbox, right: str, *mailboxes: str) -> None:
    setattr(sandbox.exchange.directory.users[ROUTER], right, set(mailboxes))


@pytest.mark.parametrize(
    ("username", "password", "status"),
    [
        (ANNA, "sandbox", 200),
        ("CONTOSO\\anna", "sandbox", 200),
        ("ANNA@contoso.example", "sandbox", 200),
        (ANNA, "Sandbox", 401),
        ("nobody@contoso.example", "sandbox", 401),
        ("nobody@elsewhere.example", "sandbox", 401),
    ],
)
async def test_sign_in(sandbox: Sandbox, username: str, password: str, status: int) -> None:
    async with Client(sandbox.url, username, password) as client:
        answer = await client.find("inbox")
    assert answer.status == status
    assert status == 200 or answer.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("right", "address", "codes"),
    [
        ((), ANNA, ["fault", "ErrorImpersonateUserDenied"]),
        ((BERT,), ANNA, ["fault", "ErrorImpersonateUserDenied"]),
        ((ANNA,), ANNA, ["NoError"]),
        ((ALL,), "anna+tag@contoso.example", ["NoError"]),
        ((ALL,), "nobody@contoso.example", ["fault", "ErrorNonExistentMailbox"]),
        ((ALL,), "shadow@contoso.example", ["ErrorNonExistentMailbox"]),
    ],
)
async def test_impersonation(sandbox: Sandbox, right: tuple[str, ...], address: str, codes: list[str]) -> None:
    _give(sandbox, "impersonates", *right)
    async with Client(sandbox.url, ROUTER, acting_as=address) as client:
        assert (await client.find("drafts")).codes == codes


async def test_who_is_impersonated_is_the_one_who_sends(sandbox: Sandbox) -> None:
    _give(sandbox, "impersonates", ALL)
    async with Client(sandbox.url, ROUTER, acting_as=ANNA) as client:
        sent = folder_id("sentitems", ANNA)
        assert (await client.send(await client.draft(sent_from=ANNA), folder=sent)).codes == ["NoError"]
        assert (await client.send(await client.draft(sent_from=BERT), folder=sent)).codes == ["ErrorSendAsDenied"]
        assert await client.counts("drafts", "sentitems") == [1, 1]  # the refused draft stays behind
    assert [(each.sent_from, each.sender, each.mailbox) for each in sandbox.sent] == [(ANNA, ANNA, ANNA)]


async def test_folders_of_others_need_full_access(sandbox: Sandbox) -> None:
    annas = folder_id("drafts", ANNA)
    async with Client(sandbox.url, ROUTER) as router, Client(sandbox.url, ANNA) as anna:
        draft = await anna.draft()
        assert (await router.find(annas)).codes == ["ErrorFolderNotFound"]
        assert (await router.create(message(), folder=annas)).codes == ["ErrorAccessDenied"]
        for refused in (await router.get(draft), await router.send(draft), await router.delete(draft)):
            assert refused.codes == ["ErrorAccessDenied"]
        assert (await router.find(folder_id("drafts", "nobody@contoso.example"))).codes == ["ErrorNonExistentMailbox"]
        _give(sandbox, "full_access", ANNA)
        assert (await router.find(annas)).ids == [draft]
        assert (await router.create(message(), folder=annas)).codes == ["NoError"]


@pytest.mark.parametrize(
    ("right", "code", "sender"),
    [("", "ErrorSendAsDenied", ""), ("send_as", "NoError", ANNA), ("send_on_behalf", "NoError", ROUTER)],
)
async def test_in_whose_name(sandbox: Sandbox, right: str, code: str, sender: str) -> None:
    if right:
        _give(sandbox, right, ANNA)
    async with Client(sandbox.url, ROUTER) as router:
        draft = await router.draft(sent_from=ANNA)
        assert (await router.send(draft, folder=folder_id("sentitems", ROUTER))).codes == [code]
        assert await router.counts("drafts", "sentitems") == ([1, 0] if code != "NoError" else [0, 1])
    assert [(each.sent_from, each.sender) for each in sandbox.sent] == ([(ANNA, sender)] if sender else [])


async def test_full_access_alone_does_not_let_anybody_send(sandbox: Sandbox) -> None:
    _give(sandbox, "full_access", ANNA)
    async with Client(sandbox.url, ROUTER) as router:
        created = await router.create(message(sent_from=ANNA), folder=folder_id("drafts", ANNA))
        sent = await router.send(*created.ids, folder=folder_id("sentitems", ANNA))
        assert sent.codes == ["ErrorSendAsDenied"]


async def test_first_trap_copy_to_the_delegates_own_folder(sandbox: Sandbox) -> None:
    _give(sandbox, "full_access", ANNA)
    _give(sandbox, "send_as", ANNA)
    async with Client(sandbox.url, ROUTER) as router:
        created = await router.create(message(sent_from=ANNA), folder=folder_id("drafts", ANNA))
        assert (await router.send(*created.ids)).codes == ["NoError"]
        assert await router.counts(folder_id("drafts", ANNA), folder_id("sentitems", ANNA), "sentitems") == [1, 0, 0]
        assert not sandbox.sent
        assert (await router.send(*created.ids, folder=folder_id("sentitems", ANNA))).codes == ["NoError"]
        assert await router.counts(folder_id("drafts", ANNA), folder_id("sentitems", ANNA)) == [0, 1]
    assert len(sandbox.sent) == 1


async def test_second_trap_copy_of_an_own_draft_to_the_principals_folder(sandbox: Sandbox) -> None:
    _give(sandbox, "full_access", ANNA)
    _give(sandbox, "send_as", ANNA)
    async with Client(sandbox.url, ROUTER) as router:
        draft = await router.draft(sent_from=ANNA)
        assert (await router.send(draft, folder=folder_id("sentitems", ANNA))).codes == ["NoError"]
        assert await router.counts("drafts", "sentitems", folder_id("sentitems", ANNA)) == [1, 0, 0]
    assert [each.sent_from for each in sandbox.sent] == [ANNA]
