"""A mailbox that is read, over a scripted server: what is asked, and what comes of every kind of answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.ews.build import NOON, failure, fault, response, success
from tests.unit.ews.server import Half, Request, Script, Server, cuts, hangs, http, says, serving
from worker.clock import SystemClock
from worker.ews.client import EwsTransport
from worker.ews.endpoint import BasicSignIn, Endpoint
from worker.ews.incoming import EwsIncomingMailbox
from worker.mail.incoming import Changes, File, IncomingMail, StateLost, Unreadable, Vanished
from worker.mail.outcome import Deferred, Rejected, Scope
from worker.mail.transport import WorkingMailbox
from worker.settings import SecretReference

ANNA = WorkingMailbox("P", "anna@contoso.example")
FILE, ITEM = File("f", "a.bin", "application/zip"), File("i", "Fwd", "", item=True)


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_PASSWORD", "secret")


@asynccontextmanager
async def mailbox_on(*scripts: Script, **changes: object) -> AsyncIterator[tuple[EwsIncomingMailbox, Server]]:
    async with serving(*scripts) as server:
        sign_in = BasicSignIn("router@contoso.example", SecretReference("env:ROUTER_PASSWORD"))
        endpoint = replace(Endpoint("P", server.url, sign_in, timeout_seconds=5), **changes)  # type: ignore[arg-type]
        transport = EwsTransport(lambda _: endpoint, lambda *_: None, SystemClock())
        yield transport.incoming(ANNA), server
        await transport.close()


def ok(operation: str, *contents: str) -> Script:
    return says(http(200, response(operation, *(success(operation, each) for each in contents or ("",)))))


def fails(operation: str, *codes: str) -> Script:
    return says(http(200, response(operation, *(failure(operation, each) for each in codes))))


def found(item_id: str) -> str:
    return f'<m:Items><t:Message><t:ItemId Id="{item_id}"/><t:Subject>{item_id}</t:Subject></t:Message></m:Items>'


def asked(server: Server) -> list[str]:
    return [request.headers["soapaction"].rpartition("/")[2].strip('"') for request in server.requests]


class Sunk:
    def __init__(self) -> None:
        self.all = b""

    async def take(self, portion: bytes) -> None:
        self.all += portion


async def test_a_note_that_was_never_kept_is_made() -> None:
    missing = fails("GetUserConfiguration", "ErrorItemNotFound")
    scripts = (missing, fails("UpdateUserConfiguration", "ErrorItemNotFound"), ok("CreateUserConfiguration"))
    async with mailbox_on(*scripts) as (mailbox, server):
        assert await mailbox.recall() is None
        assert await mailbox.keep("note") is None

    assert asked(server) == ["GetUserConfiguration", "UpdateUserConfiguration", "CreateUserConfiguration"]
    assert all(b'Name="CrmMailRouter"' in request.body for request in server.requests)


async def test_a_full_mailbox_keeps_no_note_and_says_so() -> None:
    async with mailbox_on(fails("UpdateUserConfiguration", "ErrorQuotaExceeded")) as (mailbox, server):
        outcome = await mailbox.keep("note")

    assert isinstance(outcome, Deferred)
    assert outcome.reason.scope is Scope.MAILBOX
    assert "ProhibitSendReceiveQuota" in outcome.reason.remedy
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [failure("SyncFolderItems", "ErrorInvalidSyncStateData"), ""])
async def test_a_state_is_lost_whichever_way_that_is_said(answer: str) -> None:
    whole = response("SyncFolderItems", answer) if answer else fault("ErrorInvalidSyncStateData")
    async with mailbox_on(says(http(200 if answer else 500, whole))) as (mailbox, _):
        assert await mailbox.changes("state", 10) == StateLost()


async def test_a_page_without_a_state_is_not_believed() -> None:
    async with mailbox_on(ok("SyncFolderItems", "<m:Changes/>")) as (mailbox, _):
        outcome = await mailbox.changes("state", 10)

    assert isinstance(outcome, Deferred)
    assert (outcome.reason.code, outcome.reason.scope) == ("answer-incomplete", Scope.MAILBOX)


async def test_characters_that_xml_cannot_carry_cost_no_page() -> None:
    page = (
        "<m:SyncState>s</m:SyncState><m:IncludesLastItemInRange>true</m:IncludesLastItemInRange>"
        '<m:Changes><t:Create><t:Message><t:ItemId Id="a"/><t:Subject>&#x0b;&#xD83D;</t:Subject></t:Message></t:Create>'
        "</m:Changes>"
    )
    async with mailbox_on(ok("SyncFolderItems", page)) as (mailbox, _):
        outcome = await mailbox.changes("", 10)

    assert isinstance(outcome, Changes)
    assert [each.id for each in outcome.arrivals] == ["a"]


ITEMS = {
    "ErrorItemNotFound": (Vanished, None),
    "ErrorItemCorrupt": (Unreadable, Scope.MESSAGE),
    "ErrorCorruptData": (Unreadable, Scope.MESSAGE),
    "ErrorContentConversionFailed": (Unreadable, Scope.MESSAGE),
    "ErrorMimeContentConversionFailed": (Unreadable, Scope.MESSAGE),
    "ErrorInvalidIdMalformed": (Unreadable, Scope.MESSAGE),
    "ErrorVirusDetected": (Unreadable, Scope.MESSAGE),
    "ErrorMessageSizeExceeded": (Unreadable, Scope.MESSAGE),
    "ErrorServerBusy": (Deferred, Scope.MAILBOX),
    "ErrorMailboxStoreUnavailable": (Deferred, Scope.MESSAGE),
    "ErrorPasswordExpired": (Deferred, Scope.PROFILE),
    "ErrorInternalServerError": (Deferred, Scope.MESSAGE),
    "ErrorTimeoutExpired": (Deferred, Scope.MESSAGE),
    "ErrorAccessDenied": (Deferred, Scope.MESSAGE),
    "ErrorFromNextYear": (Deferred, Scope.MESSAGE),
}


@pytest.mark.parametrize("code", ITEMS)
async def test_what_one_mail_of_several_comes_to(code: str) -> None:
    expected, scope = ITEMS[code]
    answers = response(
        "GetItem", success("GetItem", found("a")), failure("GetItem", code), success("GetItem", found("c"))
    )
    async with mailbox_on(says(http(200, answers))) as (mailbox, server):
        first, second, third = await mailbox.fetch(["a", "b", "c"])

    assert [each.id for each in (first, third) if isinstance(each, IncomingMail)] == ["a", "c"]
    assert isinstance(second, expected)
    if isinstance(second, Unreadable | Deferred):
        assert (second.reason.code, second.reason.scope) == (code, scope)
        assert second.reason.remedy
        assert "draft" not in second.reason.remedy
    assert len(server.requests) == 1


WHOLE = {
    "cut": (cuts, "no-answer-cut"),
    "half": (says(Half(http(200, response("GetItem"))[:-9])), "no-answer-cut"),
    "html": (says(http(200, b"<html/>")), "answer-unreadable"),
    "unavailable": (says(http(502)), "http-502"),
    "denied": (says(http(401)), "http-401"),
    "fault": (says(http(500, fault("ErrorInternalServerError"))), "ErrorInternalServerError"),
}


@pytest.mark.parametrize("kind", WHOLE)
async def test_a_request_that_failed_as_a_whole_is_about_more_than_one_mail(kind: str) -> None:
    script, code = WHOLE[kind]
    async with mailbox_on(script) as (mailbox, server):
        outcomes = await mailbox.fetch(["a", "b"])

    assert len(outcomes) == 2
    for each in outcomes:
        assert isinstance(each, Deferred)
        assert (each.reason.code, each.reason.scope.beyond_message) == (code, True)
        assert each.reason.remedy
    assert len(server.requests) in (1, 3), "one by one where one may be the cause"


async def test_where_answers_are_missing_each_mail_is_asked_for_alone() -> None:
    async with mailbox_on(ok("GetItem", found("a"))) as (mailbox, server):
        outcomes = await mailbox.fetch(["a", "b"])

    assert all(isinstance(each, IncomingMail) for each in outcomes)
    assert len(server.requests) == 3


@pytest.mark.parametrize("kind", WHOLE)
async def test_a_mail_that_spoils_the_request_for_several_is_the_only_one_held_up(kind: str) -> None:
    """Such as one with a body larger than what may be read of an XML text."""
    spoilt, code = WHOLE[kind]

    async def script(request: Request) -> bytes | None:
        item_id = "b" if b'Id="b"' in request.body else "a"
        return (
            await spoilt(request) if item_id == "b" else http(200, response("GetItem", success("GetItem", found("a"))))
        )

    async with mailbox_on(script) as (mailbox, _):
        first, second = await mailbox.fetch(["a", "b"])

    assert isinstance(second, Deferred)
    if code.startswith("no-answer") or kind == "denied":
        return  # the poll, or nobody, goes on one by one
    assert isinstance(first, IncomingMail)
    assert not second.reason.scope.beyond_message


async def test_a_request_for_one_mail_that_is_never_answered_may_be_that_mails_fault() -> None:
    async with mailbox_on(cuts) as (mailbox, _):
        (outcome,) = await mailbox.fetch(["a"])

    assert isinstance(outcome, Deferred)
    assert outcome.reason.scope is Scope.MESSAGE


async def test_batches_hold_ten_at_most() -> None:
    async def script(request: Request) -> bytes:
        return http(200, response("GetItem", *[success("GetItem", found("x"))] * request.body.count(b"<t:ItemId ")))

    async with mailbox_on(script) as (mailbox, server):
        assert len(await mailbox.fetch([f"{number}" for number in range(23)])) == 23

    assert [request.body.count(b"<t:ItemId ") for request in server.requests] == [10, 10, 3]


@pytest.mark.parametrize(
    "refusal",
    [
        says(http(500, fault("ErrorSchemaValidation"))),
        fails("GetItem", "ErrorInvalidPropertyRequest", "ErrorInvalidPropertyRequest"),
    ],
)
async def test_a_server_that_makes_no_plain_text_is_asked_without_from_then_on(refusal: Script) -> None:
    async with mailbox_on(refusal, ok("GetItem", found("a"), found("b"))) as (mailbox, server):
        for _ in range(2):
            outcomes = await mailbox.fetch(["a", "b"])
            assert [each.id for each in outcomes if isinstance(each, IncomingMail)] == ["a", "b"]

    assert [b"item:TextBody" in request.body for request in server.requests] == [True, False, False]


async def test_a_shape_refused_for_another_cause_is_not_given_up() -> None:
    async with mailbox_on(says(http(500, fault("ErrorSchemaValidation")))) as (mailbox, server):
        for _ in range(2):
            (outcome,) = await mailbox.fetch(["a"])
            assert isinstance(outcome, Deferred)

    assert [b"item:TextBody" in request.body for request in server.requests] == [True, False, True, False]


def attached(inner: str, kind: str = "FileAttachment") -> Script:
    return ok("GetAttachment", f'<m:Attachments><t:{kind}><t:AttachmentId Id="f"/>{inner}</t:{kind}></m:Attachments>')


async def test_an_empty_file_is_empty() -> None:
    sunk = Sunk()
    async with mailbox_on(attached("<t:Name>a</t:Name>"), attached("<t:Content/>")) as (mailbox, _):
        assert await mailbox.content(FILE, sunk.take) is None
        assert await mailbox.content(FILE, sunk.take) is None

    assert sunk.all == b""


async def test_what_has_no_internet_form_comes_as_it_is_shown() -> None:
    sunk = Sunk()
    task = attached("<t:Task><t:Subject>Call back</t:Subject></t:Task>", "ItemAttachment")
    async with mailbox_on(fails("GetAttachment", "ErrorUnsupportedMimeConversion"), task) as (mailbox, server):
        assert await mailbox.content(ITEM, sunk.take) is None

    assert b"Call back" in sunk.all
    assert sunk.all.startswith(b"<?xml")
    assert [b"IncludeMimeContent>true" in request.body for request in server.requests] == [True, False]


async def test_a_link_to_somewhere_else_is_kept_as_it_is_shown() -> None:
    sunk = Sunk()
    link = attached("<t:AttachLongPathName>https://files.example/1</t:AttachLongPathName>", "ReferenceAttachment")
    async with mailbox_on(link) as (mailbox, _):
        assert await mailbox.content(FILE, sunk.take) is None

    assert b"https://files.example/1" in sunk.all


FILES = {
    "ErrorAccessDenied": Scope.MESSAGE,
    "ErrorMailboxStoreUnavailable": Scope.MESSAGE,
    "ErrorServerBusy": Scope.MAILBOX,
}


@pytest.mark.parametrize("code", FILES)
async def test_what_is_told_of_one_file_speaks_of_no_other(code: str) -> None:
    async with mailbox_on(fails("GetAttachment", code)) as (mailbox, _):
        outcomes = (await mailbox.content(FILE, Sunk().take), await mailbox.embedded(ITEM))

    assert [(type(each), each.reason.scope) for each in outcomes if isinstance(each, Deferred)] == [
        (Deferred, FILES[code])
    ] * 2


CONTENTS = {
    "gone": (fails("GetAttachment", "ErrorItemNotFound"), Vanished),
    "corrupt": (fails("GetAttachment", "ErrorItemCorrupt"), Unreadable),
    "no such id": (fails("GetAttachment", "ErrorInvalidAttachmentId"), Unreadable),
    "busy": (says(http(503)), Deferred),
    "busy inside": (fails("GetAttachment", "ErrorServerBusy"), Deferred),
    "fault": (says(http(500, fault("ErrorServerBusy"))), Deferred),
    "html": (says(http(200, b"<html><body>Sign in</body></html>")), Deferred),
    "nothing": (says(http(200)), Deferred),
    "cut": (cuts, Deferred),
    "half": (says(Half(http(200, response("GetAttachment", "<t:Content>" + "QUJD" * 1000))[:-99])), Deferred),
    "half, but whole HTTP": (says(http(200, response("GetAttachment", "<t:Content>" + "QUJD" * 1000)[:-99])), Deferred),
    "no messages": (says(http(200, response("GetAttachment"))), Deferred),
    "no attachment": (ok("GetAttachment", "<m:Attachments/>"), Deferred),
    "denied": (says(http(401)), Deferred),
}


@pytest.mark.parametrize("kind", CONTENTS)
async def test_a_content_that_does_not_come_whole_is_not_taken_for_one(kind: str) -> None:
    script, expected = CONTENTS[kind]
    async with mailbox_on(script) as (mailbox, server):
        outcome = await mailbox.content(FILE, Sunk().take)

    assert isinstance(outcome, expected), outcome
    if isinstance(outcome, Unreadable | Deferred):
        assert outcome.reason.remedy
        assert outcome.reason.request_id
    assert len(server.requests) == 1


async def test_a_content_that_stops_coming_is_given_up() -> None:
    async with mailbox_on(hangs, timeout_seconds=0.2) as (mailbox, _):
        outcome = await mailbox.content(FILE, Sunk().take)

    assert isinstance(outcome, Deferred)
    assert outcome.reason.code == "no-answer-timeout"


async def test_a_source_that_there_is_not_is_unreadable() -> None:
    async with mailbox_on(ok("GetItem", found("a"))) as (mailbox, _):
        outcome = await mailbox.source("a", Sunk().take)

    assert isinstance(outcome, Unreadable)
    assert outcome.reason.code == "no-source"


async def test_an_attached_mail_is_read_without_plain_text_where_there_is_none() -> None:
    mail = attached("<t:Message><t:Subject>inner</t:Subject></t:Message>", "ItemAttachment")
    async with mailbox_on(fails("GetAttachment", "ErrorInvalidPropertyRequest"), mail) as (mailbox, server):
        outcome = await mailbox.embedded(ITEM)

    assert isinstance(outcome, IncomingMail)
    assert outcome.subject == "inner"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (attached("<t:Name>a</t:Name>", "ItemAttachment"), Unreadable),
        (fails("GetAttachment", "ErrorItemNotFound"), Vanished),
        (says(http(503)), Deferred),
    ],
)
async def test_an_attached_mail_that_cannot_be_had(script: Script, expected: type) -> None:
    async with mailbox_on(script) as (mailbox, _):
        assert isinstance(await mailbox.embedded(ITEM), expected)


@pytest.mark.parametrize(
    "script",
    [
        *(fails("GetConversationItems", code) for code in ("ErrorItemNotFound", "ErrorInvalidIdMalformed")),
        *(fails("GetConversationItems", code) for code in ("ErrorAccessDenied", "ErrorInternalServerError")),
        says(http(500, fault("ErrorInvalidOperation"))),
        says(http(200)),
        says(http(400)),
        says(http(404)),
        says(http(501)),
    ],
)
async def test_a_server_that_cannot_tell_knows_nothing_of_ours(script: Script) -> None:
    """What a mail belongs to is good to know, and no reason to hold it up."""
    async with mailbox_on(script) as (mailbox, _):
        assert await mailbox.sent_in("AAQk") == ()


@pytest.mark.parametrize("script", [fails("GetConversationItems", "ErrorServerBusy"), says(http(401)), cuts])
async def test_a_server_in_trouble_is_asked_again(script: Script) -> None:
    async with mailbox_on(script) as (mailbox, _):
        assert isinstance(await mailbox.sent_in("AAQk"), Deferred)


FINISHED: dict[tuple[str, ...], tuple[type, Scope] | None] = {
    (): None,
    ("ErrorItemNotFound",): None,
    ("ErrorAccessDenied",): (Rejected, Scope.MAILBOX),
    ("ErrorItemNotFound", "ErrorAccessDenied"): (Rejected, Scope.MAILBOX),
    ("ErrorAccessDenied", "ErrorServerBusy"): (Deferred, Scope.MAILBOX),
    ("ErrorItemCorrupt", "ErrorQuotaExceeded"): (Deferred, Scope.MAILBOX),
    ("ErrorInternalServerError",): (Deferred, Scope.MESSAGE),
    ("ErrorItemCorrupt",): (Deferred, Scope.MESSAGE),
    ("ErrorItemSave",): (Deferred, Scope.MESSAGE),
    ("ErrorMoveCopyFailed",): (Deferred, Scope.MESSAGE),
    ("ErrorQuotaExceeded",): (Deferred, Scope.MAILBOX),
    ("ErrorItemSavePropertyError",): (Rejected, Scope.MESSAGE),
}


@pytest.mark.parametrize("codes", FINISHED)
@pytest.mark.parametrize(("how", "operation"), [("mark-read", "UpdateItem"), ("delete", "DeleteItem")])
async def test_what_finishing_comes_to(codes: tuple[str, ...], how: str, operation: str) -> None:
    answers = [success(operation), *(failure(operation, code) for code in codes)]
    async with mailbox_on(says(http(200, response(operation, *answers)))) as (mailbox, _):
        outcome = await mailbox.finish([f"{number}" for number in range(len(answers))], how)

    assert (outcome and (type(outcome), outcome.reason.scope)) == FINISHED[codes]
    if isinstance(outcome, Rejected) and outcome.reason.code == "ErrorAccessDenied":
        assert "FullAccess" in outcome.reason.remedy


def folder(folder_id: str, name: str = "Done") -> str:
    return f'<t:Folder><t:FolderId Id="{folder_id}"/><t:DisplayName>{name}</t:DisplayName></t:Folder>'


def listed(*folders: str, last: bool = True) -> Script:
    inner = f'<m:RootFolder IncludesLastItemInRange="{str(last).lower()}"><t:Folders>{"".join(folders)}</t:Folders>'
    return ok("FindFolder", f"{inner}</m:RootFolder>")


MOVED = ok("MoveItem", "<m:Items/>")


async def test_a_folder_is_found_once_on_whatever_page_it_stands() -> None:
    scripts = (listed(folder("x", "Other"), last=False), listed(folder("f")), MOVED)
    async with mailbox_on(*scripts) as (mailbox, server):
        for name in ("DONE", "done"):
            assert await mailbox.finish(["a"], f"move:{name}") is None

    assert asked(server) == ["FindFolder", "FindFolder", "MoveItem", "MoveItem"]
    assert b'<t:FolderId Id="f"' in server.requests[-1].body


async def test_a_folder_that_somebody_makes_meanwhile_is_the_one() -> None:
    scripts = (listed(), fails("CreateFolder", "ErrorFolderExists"), listed(folder("theirs")), MOVED)
    async with mailbox_on(*scripts) as (mailbox, server):
        assert await mailbox.finish(["a"], "move:Done") is None

    assert b'<t:FolderId Id="theirs"' in server.requests[-1].body


@pytest.mark.parametrize("code", ["ErrorToFolderNotFound", "ErrorFolderNotFound"])
async def test_a_folder_that_has_gone_is_looked_for_again_once(code: str) -> None:
    gone = fails("MoveItem", code)
    made = ok("CreateFolder", f"<m:Folders>{folder('new', '')}</m:Folders>")
    async with mailbox_on(listed(folder("old")), gone, listed(), made, MOVED) as (mailbox, server):
        assert await mailbox.finish(["a"], "move:Done") is None
    async with mailbox_on(listed(folder("old")), gone, listed(folder("old")), gone) as (mailbox, again):
        assert isinstance(await mailbox.finish(["a"], "move:Done"), Deferred)

    assert b'<t:FolderId Id="new"' in server.requests[-1].body
    assert len(again.requests) == 4


@pytest.mark.parametrize(
    ("scripts", "expected"),
    [
        ((fails("FindFolder", "ErrorAccessDenied"),), Rejected),
        ((listed(), fails("CreateFolder", "ErrorCreateSubfolderAccessDenied")), Rejected),
        ((listed(), fails("CreateFolder", "ErrorServerBusy")), Deferred),
        ((ok("FindFolder"),), Deferred),
        ((cuts,), Deferred),
    ],
)
async def test_a_folder_that_cannot_be_had(scripts: tuple[Script, ...], expected: type) -> None:
    async with mailbox_on(*scripts) as (mailbox, _):
        assert isinstance(await mailbox.finish(["a"], "move:Done"), expected)


async def test_a_folder_that_cannot_be_had_just_now_is_no_mails_fault() -> None:
    async with mailbox_on(fails("FindFolder", "ErrorInternalServerError")) as (mailbox, _):
        outcome = await mailbox.finish(["a"], "move:Done")

    assert isinstance(outcome, Deferred)
    assert outcome.reason.scope is Scope.MAILBOX


async def test_one_batch_that_is_refused_holds_up_no_other() -> None:
    refused = says(http(200, response("UpdateItem", *[failure("UpdateItem", "ErrorAccessDenied")] * 10)))
    async with mailbox_on(refused, ok("UpdateItem")) as (mailbox, server):
        outcome = await mailbox.finish([f"{number}" for number in range(11)], "mark-read")

    assert isinstance(outcome, Rejected)
    assert len(server.requests) == 2


async def test_the_newest_are_read_on_until_an_older_second_shows() -> None:
    def page(first: int, time: str, *, last: bool) -> Script:
        rows = "".join(
            f'<t:Message><t:ItemId Id="{number}"/><t:DateTimeReceived>{time}</t:DateTimeReceived></t:Message>'
            for number in range(first, first + 50)
        )
        root = f'<m:RootFolder IncludesLastItemInRange="{str(last).lower()}"><t:Items>{rows}</t:Items></m:RootFolder>'
        return ok("FindItem", root)

    new, old = "2026-11-23T12:00:00Z", "2026-11-23T11:59:59Z"
    scripts = (page(0, new, last=False), page(49, new, last=False), page(99, old, last=False))
    async with mailbox_on(*scripts) as (mailbox, server):
        newest = await mailbox.newest(NOON + timedelta(minutes=1))

    assert isinstance(newest, tuple)
    assert [each.id for each in newest] == [f"{number}" for number in range(99)]
    assert len(server.requests) == 3


async def test_what_came_since_a_time_is_read_with_the_second_before() -> None:
    def page(times: dict[str, int], *, last: bool) -> Script:
        rows = "".join(
            f'<t:Message><t:ItemId Id="{name}"/><t:DateTimeReceived>2026-11-23T12:00:0{second}Z</t:DateTimeReceived>'
            "</t:Message>"
            for name, second in times.items()
        )
        root = f'<m:RootFolder IncludesLastItemInRange="{str(last).lower()}"><t:Items>{rows}</t:Items></m:RootFolder>'
        return ok("FindItem", root)

    scripts = (page({"e": 9, "d": 5}, last=False), page({"c": 4, "b": 4, "a": 3}, last=False))
    async with mailbox_on(*scripts) as (mailbox, server):
        newest = await mailbox.newest(NOON + timedelta(seconds=5))

    assert isinstance(newest, tuple)
    assert [each.id for each in newest] == ["e", "d", "c", "b"]
    assert len(server.requests) == 2
