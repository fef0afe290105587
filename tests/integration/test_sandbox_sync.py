"""SyncFolderItems and UserConfiguration objects, asked by hand."""

import base64

from tests.integration.ews_by_hand import Answer, Client, folder_id, message
from worker.sandbox import users
from worker.sandbox.exchange import Exchange
from worker.sandbox.options import Options
from worker.sandbox.server import Sandbox

ANNA = "anna@contoso.example"


async def _received(anna: Client, *subjects: str) -> list[tuple[str, str]]:
    """Mails to herself; the copies in the Inbox."""
    for each in subjects:
        created = await anna.create(message(to=ANNA, subject=each), disposition="SendOnly")
        assert created.codes == ["NoError"]
    return (await anna.find("inbox")).ids[: len(subjects)][::-1]


def _state(answer: Answer) -> str:
    (state,) = answer.texts("//m:SyncState")
    return state


def _changes(answer: Answer) -> list[str]:
    found = answer.xml.xpath("//*[local-name()='Changes']/*")
    assert isinstance(found, list)
    return [str(getattr(each, "tag", "")).rpartition("}")[2] for each in found]


async def test_pages_newest_first_until_the_last(anna: Client) -> None:
    await _received(anna, "1", "2", "3", "4", "5")
    told, state, last = [], "", "false"
    while last == "false":
        page = await anna.sync(state, 2, ("item:Subject", "item:DateTimeReceived", "item:ItemClass"))
        assert page.codes == ["NoError"]
        told += page.texts("//t:Create/t:Message/t:Subject")
        assert page.texts("//t:ItemClass") == ["IPM.Note"] * len(page.ids)
        state = _state(page)
        (last,) = page.texts("//m:IncludesLastItemInRange")
    assert told == ["5", "4", "3", "2", "1"]
    assert _changes(await anna.sync(state)) == []


async def test_what_comes_in_between_two_pages_is_told_after_them(anna: Client) -> None:
    await _received(anna, "1", "2", "3")
    page = await anna.sync(most=2)
    await _received(anna, "4")
    rest = await anna.sync(_state(page), 2, ("item:Subject",))
    assert rest.texts("//t:Subject") == ["1"]
    assert rest.texts("//m:IncludesLastItemInRange") == ["false"]
    after = await anna.sync(_state(rest), 2, ("item:Subject",))
    assert after.texts("//t:Subject") == ["4"]
    assert after.texts("//m:IncludesLastItemInRange") == ["true"]


async def test_what_happened_since(anna: Client) -> None:
    one, two, three, four = await _received(anna, "1", "2", "3", "4")
    state = _state(await anna.sync())
    assert (await anna.mark_read(one)).codes == ["NoError"]
    await anna.delete(two)
    assert (await anna.update(three, "/crm 1", "AlwaysOverwrite")).codes == ["NoError"]
    await anna.move(four, folder="junkemail")
    await _received(anna, "5")
    page = await anna.sync(state)
    assert _changes(page) == ["Create", "Delete", "Update", "Delete", "ReadFlagChange"]
    assert page.texts("//t:Delete/t:ItemId/@Id") == [four[0], two[0]]
    assert page.texts("//t:ReadFlagChange/t:IsRead") == ["true"]
    assert page.texts("//t:ReadFlagChange/t:ItemId/@Id") == [one[0]]
    assert await _told_again(anna, state) == _changes(page)


async def _told_again(anna: Client, state: str) -> list[str]:
    """A state is good for more than one question."""
    return _changes(await anna.sync(state))


async def test_moved_away_and_back_is_new(anna: Client) -> None:
    (mail,) = await _received(anna, "1")
    state = _state(await anna.sync())
    (away,) = (await anna.move(mail, folder="junkemail")).ids
    (back,) = (await anna.move(away, folder="inbox")).ids
    page = await anna.sync(state)
    assert _changes(page) == ["Create", "Delete"]
    assert page.texts("//t:Create/t:Message/t:ItemId/@Id") == [back[0]]
    assert back[0] != mail[0]


async def test_what_is_ignored_and_how_many_at_once(sandbox: Sandbox, anna: Client) -> None:
    one, two = await _received(anna, "1", "2")
    assert [each for each, _ in (await anna.sync(ignore=two[0])).ids] == [one[0]]
    sandbox.exchange.options.sync_limit = 1
    assert len((await anna.sync()).ids) == 1
    for most in (0, 513):
        assert (await anna.sync(most=most)).codes == ["fault", "ErrorSchemaValidation"]
    assert (await anna.sync(fields=("item:Body",))).texts("//t:Body") == []


async def test_states_that_are_not_known() -> None:
    exchange = Exchange(users.invented("contoso.example", None), Options(most_gone=1))
    async with Sandbox(exchange) as sandbox, Client(sandbox.url, ANNA) as anna:
        mails = await _received(anna, "1", "2", "3")
        state = _state(await anna.sync())
        others = _state(await anna.sync(folder="drafts"))
        forged = base64.b64encode(base64.b64decode(state).replace(b" 0 ", b" 1 ", 1)).decode()
        for wrong in (others, forged, "garbage", "AAAA", state[:40], "\N{SNOWMAN}"):
            assert (await anna.sync(wrong)).codes == ["ErrorInvalidSyncStateData"], wrong
        assert (await anna.sync(state)).codes == ["NoError"]
        await anna.delete(*mails[:2])
        assert (await anna.sync(state)).codes == ["ErrorInvalidSyncStateData"]
        state = _state(await anna.sync())
        exchange.forget_sync_states(ANNA)
        assert (await anna.sync(state)).codes == ["ErrorInvalidSyncStateData"]
        assert (await anna.sync()).codes == ["NoError"]


async def test_a_server_that_began_anew_knows_nothing_of_the_one_before(anna: Client) -> None:
    """Two servers on which the same happened: neither ids nor states nor subscriptions of the one mean anything to
    the other.
    """
    ((old, _),) = await _received(anna, "1")
    state = _state(await anna.sync())
    async with Sandbox(Exchange(users.invented("contoso.example", None))) as second, Client(second.url, ANNA) as later:
        ((new, _),) = await _received(later, "2")
        assert (await later.sync(state)).codes == ["ErrorInvalidSyncStateData"]
        assert new != old
        assert (await later.get((old, ""))).codes == ["ErrorItemNotFound"]
        folders = [await each.ask(_GET_INBOX) for each in (anna, later)]
        assert len({each.texts("//t:FolderId/@Id")[0] for each in folders}) == 2
        subscribed = [await each.ask(_SUBSCRIBE) for each in (anna, later)]
        assert len({each.texts("//m:SubscriptionId")[0] for each in subscribed}) == 2


_GET_INBOX = (
    "<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape>"
    f"<m:FolderIds>{folder_id('inbox')}</m:FolderIds></m:GetFolder>"
)
_SUBSCRIBE = (
    f"<m:Subscribe><m:StreamingSubscriptionRequest><t:FolderIds>{folder_id('inbox')}</t:FolderIds><t:EventTypes>"
    "<t:EventType>NewMailEvent</t:EventType></t:EventTypes></m:StreamingSubscriptionRequest></m:Subscribe>"
)


async def test_folders_of_others(sandbox: Sandbox, anna: Client) -> None:
    async with Client(sandbox.url, "delegate@contoso.example", "sandbox-delegate") as delegate:
        await _received(anna, "1")
        assert len((await delegate.sync(folder=folder_id("inbox", ANNA))).ids) == 1
        sandbox.exchange.directory.users["delegate@contoso.example"].full_access.clear()
        assert (await delegate.sync(folder=folder_id("inbox", ANNA))).codes == ["ErrorAccessDenied"]


def _named(name: str, prefix: str = "m") -> str:
    return f'<{prefix}:UserConfigurationName Name="{name}">{folder_id("inbox")}</{prefix}:UserConfigurationName>'


async def _write(anna: Client, operation: str, content: str, name: str = "Notes") -> list[str]:
    answer = await anna.ask(
        f"<m:{operation}UserConfiguration><m:UserConfiguration>{_named(name, 't')}{content}"
        f"</m:UserConfiguration></m:{operation}UserConfiguration>"
    )
    return answer.codes


async def _read(anna: Client, properties: str = "All", name: str = "Notes") -> Answer:
    return await anna.ask(
        f"<m:GetUserConfiguration>{_named(name)}<m:UserConfigurationProperties>{properties}"
        "</m:UserConfigurationProperties></m:GetUserConfiguration>"
    )


async def _delete(anna: Client) -> list[str]:
    return (await anna.ask(f"<m:DeleteUserConfiguration>{_named('Notes')}</m:DeleteUserConfiguration>")).codes


DICTIONARY = (
    "<t:Dictionary><t:DictionaryEntry><t:DictionaryKey><t:Type>String</t:Type><t:Value>k</t:Value></t:DictionaryKey>"
    "<t:DictionaryValue><t:Type>String</t:Type><t:Value>v &amp; w</t:Value></t:DictionaryValue></t:DictionaryEntry>"
    "</t:Dictionary>"
)


async def test_an_applications_own_object(anna: Client) -> None:
    assert (await _read(anna)).codes == ["ErrorItemNotFound"]
    assert await _write(anna, "Update", "<t:BinaryData>YQ==</t:BinaryData>") == ["ErrorItemNotFound"]
    assert await _delete(anna) == ["ErrorItemNotFound"]
    assert await _write(anna, "Create", f"{DICTIONARY}<t:BinaryData>YQ==</t:BinaryData>") == ["NoError"]
    assert await _write(anna, "Create", "") == ["ErrorItemSave"]
    first = await _read(anna)
    assert first.texts("//t:BinaryData") == ["YQ=="]
    assert first.texts("//t:DictionaryValue/t:Value") == ["v & w"]
    assert await _write(anna, "Update", "<t:XmlData>eA==</t:XmlData><t:BinaryData>Yg==</t:BinaryData>") == ["NoError"]
    second = await _read(anna, "Id BinaryData", "notes")
    assert second.texts("//t:BinaryData") == ["Yg=="]
    assert second.texts("//t:XmlData") == []
    assert second.ids[0][1] != first.ids[0][1]
    assert (await _read(anna)).texts("//t:DictionaryKey/t:Value") == ["k"]
    assert await anna.counts("inbox") == [0]
    assert await _delete(anna) == ["NoError"]
    assert (await _read(anna)).codes == ["ErrorItemNotFound"]


async def test_objects_that_are_refused(sandbox: Sandbox, anna: Client) -> None:
    assert await _write(anna, "Create", "<t:BinaryData>?</t:BinaryData>") == ["fault", "ErrorSchemaValidation"]
    assert await _write(anna, "Create", "<t:BinaryData>YQ==</t:BinaryData>") == ["NoError"]
    assert (await _read(anna, "Everything")).codes == ["fault", "ErrorSchemaValidation"]
    sandbox.exchange.options.max_mailbox_bytes = 10
    assert await _write(anna, "Update", "<t:BinaryData>YWJjZGVmZ2hpamts</t:BinaryData>") == ["ErrorQuotaExceeded"]
    assert (await _read(anna)).texts("//t:BinaryData") == ["YQ=="]
    assert await _write(anna, "Create", "", "") == ["fault", "ErrorSchemaValidation"]


def _hierarchy(folder: str = "", state: str = "") -> str:
    known = f"<m:SyncState>{state}</m:SyncState>" if state else ""
    below = f"<m:SyncFolderId>{folder_id(folder)}</m:SyncFolderId>" if folder else ""
    return (
        "<m:SyncFolderHierarchy><m:FolderShape><t:BaseShape>AllProperties</t:BaseShape></m:FolderShape>"
        f"{below}{known}</m:SyncFolderHierarchy>"
    )


async def test_which_folders_there_are_since(sandbox: Sandbox, anna: Client) -> None:
    everything = await anna.ask(_hierarchy())
    names = everything.texts("//t:Create//t:DisplayName")
    assert {"Top of Information Store", "Inbox", "Calendar"} <= set(names)
    assert "Root" not in names
    state, below_inbox = _state(everything), _state(await anna.ask(_hierarchy("inbox")))
    inbox = sandbox.exchange.mailbox(ANNA).folders["inbox"]
    for name in ("New", "Elsewhere"):
        parent = inbox if name == "New" else inbox.parent
        assert parent is not None
        sandbox.exchange.store.create_folder(parent, name)
    told = await anna.ask(_hierarchy("inbox", below_inbox))
    assert told.texts("//t:Create/t:Folder/t:DisplayName") == ["New"]
    assert told.texts("//m:IncludesLastFolderInRange") == ["true"]
    assert (await anna.ask(_hierarchy("inbox", _state(told)))).texts("//t:DisplayName") == []
    assert (await anna.ask(_hierarchy(state=state))).texts("//t:DisplayName") == ["New", "Elsewhere"]
    for wrong in (below_inbox, _state(await anna.sync()), "garbage"):
        assert (await anna.ask(_hierarchy(state=wrong))).codes == ["ErrorInvalidSyncStateData"], wrong
    assert (await anna.sync(below_inbox)).codes == ["ErrorInvalidSyncStateData"]
    sandbox.exchange.forget_sync_states(ANNA)
    assert (await anna.ask(_hierarchy(state=state))).codes == ["ErrorInvalidSyncStateData"]
    assert (await anna.ask("<m:SyncFolderHierarchy/>")).codes == ["fault", "ErrorSchemaValidation"]


async def test_folders_are_made(anna: Client) -> None:
    def made(name: str) -> str:
        return (
            f"<m:CreateFolder><m:ParentFolderId>{folder_id('msgfolderroot')}</m:ParentFolderId><m:Folders><t:Folder>"
            f"<t:DisplayName>{name}</t:DisplayName></t:Folder></m:Folders></m:CreateFolder>"
        )

    created = await anna.ask(made("Done &amp; dusted"))
    (folder,) = created.texts("//t:FolderId/@Id")
    assert (await anna.ask(made("done &amp; DUSTED"))).codes == ["ErrorFolderExists"]
    assert (await anna.ask(made(""))).codes == ["ErrorFolderSave"]
    (mail,) = await _received(anna, "1")
    by_id = f'<t:FolderId Id="{folder}"/>'
    assert (await anna.move(mail, folder=by_id)).codes == ["NoError"]
    assert await anna.counts(by_id, "inbox") == [1, 0]
    constant = '<t:Constant Value="Done &amp; dusted"/>'
    for condition, names in (
        (f"<t:IsEqualTo>{{}}<t:FieldURIOrConstant>{constant}</t:FieldURIOrConstant></t:IsEqualTo>", ["Done & dusted"]),
        ('<t:Contains ContainmentMode="Substring">{}<t:Constant Value="mail"/></t:Contains>', ["Junk Email"]),
    ):
        path = '<t:FieldURI FieldURI="folder:DisplayName"/>'
        found = await anna.ask(
            '<m:FindFolder Traversal="Shallow"><m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape>'
            f"<m:Restriction>{condition.format(path)}</m:Restriction>"
            f"<m:ParentFolderIds>{folder_id('msgfolderroot')}</m:ParentFolderIds></m:FindFolder>"
        )
        assert found.texts("//t:DisplayName") == names
