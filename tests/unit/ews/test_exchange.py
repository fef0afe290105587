"""One endpoint and the mailboxes behind it, over a scripted server: what is sent, what comes of it, what is counted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from lxml import etree

from tests.unit.ews.build import DRAFT, FULL, NOON, PLAIN, TYPES, failure, fault, page, response, row, success
from tests.unit.ews.server import Half, Request, Script, Server, cuts, http, says, serving
from worker import __version__
from worker.clock import SystemClock
from worker.ews.client import EwsTransport
from worker.ews.endpoint import BasicSignIn, Endpoint
from worker.ews.mailbox import EwsMailbox
from worker.mail.outcome import Deferred, Delivered, Rejected, Scope, Unknown
from worker.mail.transport import Drafted, Look, Sight, WorkingMailbox
from worker.settings import SecretReference

ANNA = WorkingMailbox("P", "anna@contoso.example")
DRAFTED = http(200, response("CreateItem", success("CreateItem", "<m:Items/>")))
SENT = http(200, response("SendItem", success("SendItem")))
REFUSED_ID = http(200, response("CreateItem", failure("CreateItem", "ErrorInvalidPropertySet")))


class Lane:
    """A mailbox on a scripted server, and what was observed of its requests."""

    def __init__(self, server: Server, **changes: object) -> None:
        sign_in = BasicSignIn("router@contoso.example", SecretReference("env:ROUTER_PASSWORD"))
        endpoint = replace(Endpoint("P", server.url, sign_in, timeout_seconds=5), **changes)  # type: ignore[arg-type]
        self.observed: list[tuple[str, str, str]] = []
        self.transport = EwsTransport(lambda _: endpoint, self._observe, SystemClock(), timedelta(days=7))
        self.mailbox: EwsMailbox = self.transport.outgoing(ANNA)

    def _observe(self, profile: str, operation: str, result: str, seconds: float) -> None:
        assert seconds >= 0
        self.observed.append((profile, operation, result))


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_PASSWORD", "secret")


@asynccontextmanager
async def lane_on(*scripts: Script, **changes: object) -> AsyncIterator[tuple[Lane, Server]]:
    async with serving(*scripts) as server:
        lane = Lane(server, **changes)
        yield lane, server
        await lane.transport.close()


async def test_a_request_says_who_it_is_and_whom_it_is_for() -> None:
    async with lane_on(says(SENT), impersonate=True) as (lane, server):
        await lane.mailbox.send([DRAFT])
        await lane.mailbox.send([DRAFT])

    first, second = (request.headers for request in server.requests)
    assert first["content-type"] == "text/xml; charset=utf-8"
    assert first["user-agent"] == f"crm-mail-router/{__version__}"
    assert first["x-anchormailbox"] == ANNA.address
    assert first["return-client-request-id"] == "true"
    assert first["soapaction"].endswith('/SendItem"')
    assert first["authorization"].startswith("Basic ")
    assert first["client-request-id"] != second["client-request-id"]
    assert b"<t:PrimarySmtpAddress>anna@contoso.example</t:PrimarySmtpAddress>" in server.requests[0].body


@pytest.mark.parametrize(
    ("script", "draft", "result"),
    [
        (says(DRAFTED), Drafted, "ok"),
        (says(http(200, response("CreateItem", failure("CreateItem", "ErrorItemSave")))), Unknown, "error"),
        (says(http(200, response("CreateItem", failure("CreateItem", "ErrorServerBusy")))), Deferred, "busy"),
        (says(http(503)), Deferred, "busy"),
        (says(http(401)), Deferred, "sign-in"),
        (says(http(403)), Deferred, "denied"),
        (says(http(200, response("CreateItem", failure("CreateItem", "ErrorAccessDenied")))), Deferred, "denied"),
        (says(http(413)), Rejected, "error"),
        (says(http(502)), Unknown, "error"),
        (cuts, Unknown, "no-answer"),
        (says(Half(DRAFTED[:-5])), Unknown, "no-answer"),
        (says(http(200, response("CreateItem"))), Unknown, "error"),
        (says(http(200, response("CreateItem", success("CreateItem") * 2))), Unknown, "error"),
    ],
)
async def test_every_draft_has_an_outcome_and_every_request_is_counted(
    script: Script, draft: type, result: str
) -> None:
    async with lane_on(script) as (lane, server):
        (outcome,) = await lane.mailbox.draft([PLAIN])

    assert type(outcome) is draft
    assert lane.observed == [("P", "CreateItem", result)]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "busy",
    [
        http(200, response("CreateItem", failure("CreateItem", "ErrorServerBusy"))),
        http(503),
        http(500, fault("ErrorServerBusy")),
    ],
)
async def test_busy_is_counted_as_such_whatever_it_speaks_about(busy: bytes) -> None:
    """In an account's mailbox it is the trouble of the whole profile."""
    async with lane_on(says(busy), shared_mailbox=True) as (lane, _):
        (outcome,) = await lane.mailbox.draft([PLAIN])

    assert isinstance(outcome, Deferred)
    assert outcome.reason.scope is Scope.PROFILE
    assert lane.observed == [("P", "CreateItem", "busy")]


async def test_outcomes_say_which_request_to_look_for() -> None:
    broken = http(200, response("SendItem", failure("SendItem", "ErrorSendAsDenied")), "request-id: abc\r\n")
    async with lane_on(says(broken), cuts) as (lane, server):
        (denied,) = await lane.mailbox.send([DRAFT])
        (lost,) = await lane.mailbox.send([DRAFT])

    assert isinstance(denied, Deferred)
    assert (denied.reason.scope, denied.reason.request_id) == (Scope.MAILBOX, "abc")
    assert isinstance(lost, Unknown)
    assert lost.reason.request_id == server.requests[1].headers["client-request-id"]


async def test_a_server_that_cannot_be_reached_did_nothing() -> None:
    async with lane_on(says(SENT), url="https://no-such-host.invalid/") as (lane, _):
        (outcome,) = await lane.mailbox.send([DRAFT])

    assert isinstance(outcome, Deferred)
    assert (outcome.reason.code, outcome.reason.scope) == ("unreachable", Scope.SERVER)
    assert "no-such-host.invalid" in outcome.reason.message
    assert lane.observed == [("P", "SendItem", "no-answer")]


async def test_a_password_is_never_sent_in_clear_text_across_a_network() -> None:
    async with lane_on(says(SENT), url="http://mail.contoso.example/") as (lane, _):
        (outcome,) = await lane.mailbox.send([DRAFT])

    assert isinstance(outcome, Deferred)
    assert (outcome.reason.code, outcome.reason.scope) == ("clear-text-refused", Scope.PROFILE)


@pytest.mark.parametrize(("own", "scope"), [(False, Scope.PROFILE), (True, Scope.MAILBOX)])
async def test_a_missing_secret_pauses_those_who_need_it(
    monkeypatch: pytest.MonkeyPatch,
    own: bool,  # noqa: FBT001 - a table
    scope: Scope,
) -> None:
    monkeypatch.delenv("ROUTER_PASSWORD")
    async with lane_on(says(SENT), own_credentials=own) as (lane, server):
        (outcome,) = await lane.mailbox.send([DRAFT])

    assert isinstance(outcome, Deferred)
    assert (outcome.reason.code, outcome.reason.scope) == ("secret-missing", scope)
    assert server.requests == []


async def test_a_ca_file_that_is_not_there_pauses_the_profile() -> None:
    async with lane_on(says(SENT), url="https://127.0.0.1:9/", ca_file="/no/such/file.pem") as (lane, _):
        (outcome,) = await lane.mailbox.send([DRAFT])

    assert isinstance(outcome, Deferred)
    assert (outcome.reason.code, outcome.reason.scope) == ("ca-file", Scope.PROFILE)


async def test_a_password_changed_meanwhile_is_tried_and_the_act_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with lane_on(says(SENT), says(http(401)), says(SENT)) as (lane, server):
        await lane.mailbox.send([DRAFT])
        monkeypatch.setenv("ROUTER_PASSWORD", "another")
        (outcome,) = await lane.mailbox.send([DRAFT])

    assert isinstance(outcome, Delivered)
    assert len({request.headers["authorization"] for request in server.requests}) == 2
    assert len(lane.observed) == 2


def message_ids(request: Request) -> list[str | None]:
    return [element.text for element in etree.fromstring(request.body).iter(f"{{{TYPES}}}InternetMessageId")]


async def test_a_server_that_answers_for_one_of_several_folders_is_asked_for_each() -> None:
    async def first_alone(_request: Request) -> bytes:
        return http(200, response("FindItem", page()))

    async with lane_on(first_alone) as (lane, server):
        for _ in range(2):
            assert isinstance(await lane.mailbox.look({PLAIN.stamp: NOON}), Look)

    folders = [request.body.count(b"<t:DistinguishedFolderId ") for request in server.requests]
    assert folders == [3, *[1] * 6], "and never for several again"


@pytest.mark.parametrize("code", ["ErrorInvalidPropertySet", "ErrorInvalidPropertyRequest"])
async def test_a_server_that_lets_nobody_set_the_message_id_is_asked_without(code: str) -> None:
    refused = http(200, response("CreateItem", failure("CreateItem", code)))
    async with lane_on(says(refused), says(DRAFTED)) as (lane, server):
        (first,) = await lane.mailbox.draft([PLAIN])
        (second,) = await lane.mailbox.draft([PLAIN])
        (other,) = await lane.mailbox.draft([FULL])

    assert isinstance(first, Unknown)
    assert (second, other) == (Drafted(), Drafted())
    assert [message_ids(request) for request in server.requests] == [[PLAIN.message_id], [], []]


async def test_a_property_refused_for_another_cause_fails_that_mail_alone() -> None:
    async with lane_on(says(REFUSED_ID), says(REFUSED_ID), says(DRAFTED)) as (lane, server):
        (first,) = await lane.mailbox.draft([PLAIN])
        (second,) = await lane.mailbox.draft([PLAIN])
        await lane.mailbox.draft([FULL])

    assert isinstance(first, Unknown)
    assert isinstance(second, Rejected)
    assert message_ids(server.requests[2]) == [FULL.message_id]


async def test_batches_hold_ten_at_most() -> None:
    drafts = [replace(DRAFT, id=f"id-{number}") for number in range(23)]

    async def script(request: Request) -> bytes:
        return http(200, response("SendItem", *[success("SendItem")] * request.body.count(b"<t:ItemId ")))

    async with lane_on(script) as (lane, server):
        outcomes = await lane.mailbox.send(drafts)

    assert outcomes == [Delivered("")] * 23
    assert [request.body.count(b"<t:ItemId ") for request in server.requests] == [10, 10, 3]


@pytest.mark.parametrize(
    "answer",
    [
        http(200, response("FindItem", page(), page(), failure("FindItem", "ErrorFolderNotFound"))),
        http(200, response("FindItem", page(), page())),
        http(200, response("FindItem", page(), page(), success("FindItem"))),
        http(200, response("FindItem", *[page()] * 4)),
        http(500, fault("ErrorInternalServerError")),
        http(502),
    ],
)
async def test_a_look_that_is_not_whole_is_none(answer: bytes) -> None:
    async with lane_on(says(answer)) as (lane, _):
        outcome = await lane.mailbox.look({PLAIN.stamp: NOON})

    assert isinstance(outcome, Deferred)
    assert outcome.reason.scope is Scope.MAILBOX


async def test_a_look_reads_what_the_pages_say() -> None:
    live, sent = row(5, PLAIN.stamp), row(4, FULL.stamp)
    answer = http(200, response("FindItem", page(live), page(), page(sent)))
    async with lane_on(says(answer)) as (lane, _):
        look = await lane.mailbox.look({PLAIN.stamp: NOON, FULL.stamp: NOON})

    assert isinstance(look, Look)
    assert [draft.version for draft in look.of(PLAIN.stamp).live] == ["k"]
    assert look.of(FULL.stamp).has_left
    assert look.strays == ()


async def test_only_what_was_swapped_is_deleted() -> None:
    item = '<m:Items><t:Message><t:ItemId Id="one" ChangeKey="new"/></t:Message></m:Items>'
    swap = response("UpdateItem", success("UpdateItem", item), failure("UpdateItem", "ErrorIrresolvableConflict"))
    delete = response("DeleteItem", success("DeleteItem"))
    async with lane_on(says(http(200, swap)), says(http(200, delete))) as (lane, server):
        await lane.mailbox.retire([replace(DRAFT, id="one"), replace(DRAFT, id="two")])

    assert len(server.requests) == 2
    assert b'Id="one" ChangeKey="new"' in server.requests[1].body
    assert b"two" not in server.requests[1].body


@pytest.mark.parametrize("script", [cuts, says(http(200, response("UpdateItem", failure("UpdateItem", "E"))))])
async def test_nothing_is_deleted_that_was_not_swapped(script: Script) -> None:
    async with lane_on(script) as (lane, server):
        await lane.mailbox.retire([DRAFT])

    assert len(server.requests) == 1


async def test_mailboxes_of_one_endpoint_share_its_connections() -> None:
    async with lane_on(says(SENT)) as (lane, server):
        await lane.mailbox.send([DRAFT])
        await lane.transport.outgoing(WorkingMailbox("P", "bert@contoso.example")).send([DRAFT])

    assert {request.connection for request in server.requests} == {1}
    assert [request.headers["x-anchormailbox"] for request in server.requests] == [
        "anna@contoso.example",
        "bert@contoso.example",
    ]


async def test_nothing_was_seen_of_a_stamp_nobody_used() -> None:
    answer = http(200, response("FindItem", page(), page(), page()))
    async with lane_on(says(answer)) as (lane, _):
        look = await lane.mailbox.look({PLAIN.stamp: NOON})

    assert isinstance(look, Look)
    assert look.of(PLAIN.stamp) == Sight()
