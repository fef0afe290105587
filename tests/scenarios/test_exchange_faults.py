"""Whatever Exchange does or fails to do: each request ends as one accepted mail, or as a failure with cause and remedy,
and nobody else's mail is held up by it.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio

from scripts.eventually import eventually
from scripts.fleet import Fleet
from scripts.samples import request
from tests.scenarios.accounts import ACCOUNTS, DELEGATE, ENVIRONMENT, PASSWORD_FILES
from worker.sandbox.faults import KINDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

EWS_TIMEOUT_SECONDS: Final = 6.0
"""A quarter of it is how long a mail may wait for its mailbox's turn, on a busy machine too."""

SLOW_SECONDS: Final = 1.4 * EWS_TIMEOUT_SECONDS
"""Longer than the router waits: a late draft is one more draft, a late send must not be a second mail."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(module_amqp_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    directory = tmp_path_factory.mktemp("fleet")
    for name in PASSWORD_FILES:
        (directory / name).write_text("not the password\n")
    environment = {**ENVIRONMENT, "MAILROUTER_EWS_TIMEOUT_SECONDS": str(EWS_TIMEOUT_SECONDS)}
    async with (
        Fleet(directory, broker_url=module_amqp_url, environment=environment, profiles=ACCOUNTS) as fleet,
        fleet.listening(),
    ):
        await fleet.order("options", slow_seconds=SLOW_SECONDS)
        yield fleet


@dataclass(frozen=True)
class Strike:
    """A fault that strikes one mail once, and what the CRM hears: a deferral with this code and scope, if any, then
    that the mail was accepted; or that it failed.
    """

    fault: str
    code: str = ""
    scope: str = "mailbox"
    failed: bool = False

    @property
    def course(self) -> list[tuple[str, str, str]]:
        if self.failed:
            return [("failed", self.code, self.scope)]
        return [*([("deferred", self.code, self.scope)] if self.code else []), ("accepted", "", "")]


STRIKES: Final = (
    Strike("busy", "http-503"),
    Strike("busy-send", "http-503"),
    Strike("busy-find", "http-503"),
    Strike("busyfault", "ErrorServerBusy"),
    Strike("busyfault-send", "ErrorServerBusy"),
    Strike("busyanswer", "ErrorServerBusy"),
    Strike("busyanswer-send", "ErrorServerBusy"),
    Strike("batchstop", "ErrorServerBusy"),
    Strike("unauthorized", "http-401", "profile"),
    Strike("forbidden", "http-403"),
    Strike("sendasdenied", "ErrorSendAsDenied"),
    Strike("quota", "ErrorQuotaExceeded"),
    Strike("gone", "ErrorNonExistentMailbox"),
    Strike("moving", "ErrorMailboxMoveInProgress"),
    # What got no clear answer is looked for at once; a look that got none is tried again later.
    Strike("slow"),
    Strike("slow-send"),
    Strike("slow-find", "no-answer-timeout"),
    Strike("cut"),
    Strike("cut-send"),
    Strike("cut-find", "no-answer-cut"),
    Strike("lost"),
    Strike("lost-send"),
    Strike("lost-find", "no-answer-cut"),
    Strike("half"),
    Strike("half-send"),
    Strike("half-find", "no-answer-cut"),
    Strike("nonsense"),
    Strike("nonsense-send"),
    Strike("nonsense-find", "answer-unreadable"),
    Strike("html200"),
    Strike("html200-send"),
    Strike("html502"),
    Strike("html502-send"),
    Strike("html502-find", "http-502"),
    Strike("fault200"),
    Strike("fault200-send"),
    Strike("internal"),
    Strike("timeout"),
    Strike("stale"),
    Strike("toolarge", "ErrorMessageSizeExceeded", "message", failed=True),
    Strike("toomany", "ErrorExceededMaxRecipientLimit", "message", failed=True),
    Strike("badrecipients", "ErrorInvalidRecipients", "recipient", failed=True),
)

TROUBLES: Final = {
    "busy": ("http-503", "mailbox"),
    "busyfault": ("ErrorServerBusy", "mailbox"),
    "busyanswer": ("ErrorServerBusy", "mailbox"),
    "sendasdenied": ("ErrorSendAsDenied", "mailbox"),
    "quota": ("ErrorQuotaExceeded", "mailbox"),
    "gone": ("ErrorNonExistentMailbox", "mailbox"),
    "moving": ("ErrorMailboxMoveInProgress", "mailbox"),
    "forbidden": ("http-403", "mailbox"),
    "unauthorized": ("http-401", "profile"),
}
"""Faults that stay until they are taken back, and what the CRM hears of each."""


async def test_each_fault_that_strikes_once(fleet: Fleet) -> None:
    of_sending = {kind for kind, each in KINDS.items() if each.operations & {"CreateItem", "SendItem"}}
    assert {each.fault.partition("-")[0] for each in STRIKES} == of_sending
    struck = [request(each.fault, f"anna+{each.fault}-once@contoso.example") for each in STRIKES]
    others = _others("beside", 24)
    await fleet.publish([*struck, *others])
    await fleet.until(lambda: fleet.reached["accepted"] + fleet.reached["failed"] == len(struck) + len(others), 30)

    for each in STRIKES:
        assert _course(fleet, each.fault) == each.course, each.fault
        _assert_explained(fleet, each.fault)
    _assert_undisturbed(fleet, others)
    left = await _left(fleet, [*struck, *others])
    assert left == [*(not each.failed for each in STRIKES), *[1] * len(others)]
    assert (await fleet.stats())["faults"] == Counter(each.fault.partition("-")[0] for each in STRIKES)


async def test_troubles_that_stay_are_told_once_and_end_by_themselves(fleet: Fleet) -> None:
    for fault in TROUBLES:
        await fleet.order("faults", kind=fault, mailbox=f"{fault}@contoso.example")
    told = {**TROUBLES, "locked": ("http-401", "profile"), "mistyped": ("http-401", "mailbox")}
    troubled = [request(f"staying-{each}", f"{each}@contoso.example") for each in told]
    before = (await fleet.stats())["faults"]
    others = [*_others("meanwhile", 12), request("own-meanwhile", "own@contoso.example")]
    await fleet.publish([*troubled, *others])
    ids = [event["data"]["email_id"] for event in troubled]
    await fleet.until(lambda: all(fleet.about(each) for each in (*ids, "own-meanwhile")), 20)

    async def tried_again() -> bool:
        faults = (await fleet.stats())["faults"]
        return all(faults[fault] >= before[fault] + 2 for fault in TROUBLES)

    await eventually(tried_again, 20)
    for name, (code, scope) in told.items():
        assert _course(fleet, f"staying-{name}") == [("deferred", code, scope)], name
    await fleet.clear_faults()
    for name, password in PASSWORD_FILES.items():
        (fleet.directory / name).write_text(password + "\n")
    await fleet.until(lambda: all(len(fleet.about(each)) == 2 for each in ids), 60)

    for each in ids:
        assert _course(fleet, each)[1] == ("accepted", "", ""), each
        _assert_explained(fleet, each)
    _assert_undisturbed(fleet, others)
    assert await _left(fleet, [*troubled, *others]) == [1] * len(troubled + others)


async def test_other_ways_of_signing_in_and_sending(fleet: Fleet) -> None:
    """A sender whom the account may not send for stops nobody else of that account."""
    await fleet.order("faults", kind="sendasdenied", mailbox="desk0@contoso.example")
    senders = {"own": "own", "boss": DELEGATE.partition("@")[0], "desk1": "desk1", "desk2": "desk2"}
    denied = [request(f"denied-{number}", "desk0@contoso.example") for number in range(3)]
    unwilling = request("unwilling", "unwilling@contoso.example")
    await fleet.publish([*denied, unwilling])
    await fleet.until(lambda: all(fleet.about(each["data"]["email_id"]) for each in (*denied, unwilling)), 20)
    events = [request(f"way-{each}", f"{each}@contoso.example") for each in senders]
    await fleet.publish(events)
    await fleet.until(lambda: all(fleet.about(f"way-{each}") for each in senders), 20)
    await fleet.clear_faults()
    await fleet.until(lambda: all(len(fleet.about(each["data"]["email_id"])) == 2 for each in denied), 20)

    _assert_undisturbed(fleet, events)
    assert _course(fleet, "unwilling") == [("failed", "credentials-not-allowed", "mailbox")]
    assert await _left(fleet, [*events, *denied, unwilling]) == [1] * len(events + denied) + [0]
    mails = {mail["stamp"].partition(" ")[2]: mail for mail in await fleet.mails()}
    for event, sender in zip(events, senders.values(), strict=True):
        mail = mails[event["id"]]
        assert mail["sent_from"] == event["data"]["from"]["address"]
        assert mail["sender"] == f"{sender}@contoso.example"


async def test_the_message_id_told_is_the_one_the_mail_left_with(fleet: Fleet) -> None:
    """Also where the server gives it one of its own, and while a mail dwells in Drafts and Outbox on its way."""
    dwell = {"in_drafts_seconds": 0.2, "in_outbox_seconds": 0.2}
    events = []
    for way in ("overwrite", "refuse", "keep"):
        await fleet.order("options", message_id=way, dwell=dwell)
        named = [request(f"{way}-{number}", f"{way}@contoso.example") for number in range(3)]
        named.append(request(f"{way}-lost", f"{way}+lost-send-once@contoso.example"))
        await fleet.publish(named)
        ids = [event["data"]["email_id"] for event in named]
        await fleet.until(lambda ids=ids: all(fleet.about(each) for each in ids), 20)  # type: ignore[misc]
        events += named
    await fleet.order("options", dwell={})

    assert await _left(fleet, events) == [1] * len(events)
    mails = {mail["stamp"].partition(" ")[2]: mail["message_id"] for mail in await fleet.mails()}
    for event in events:
        (told,) = fleet.about(event["data"]["email_id"])
        assert told["data"]["message_id"] == mails[event["id"]], event["data"]["email_id"]


async def test_exchange_away_and_back(fleet: Fleet) -> None:
    assert fleet.sandbox is not None
    await fleet.arrived()
    assert await fleet.sandbox.end() == 0
    events = [request(f"away-{number}", f"user{number % 3}@contoso.example") for number in range(6)]
    await fleet.publish(events)
    ids = [event["data"]["email_id"] for event in events]
    await fleet.until(lambda: all(fleet.about(each) for each in ids), 20)
    await fleet.start_sandbox()
    await fleet.until(lambda: all(len(fleet.about(each)) == 2 for each in ids), 60)

    for each in ids:
        assert _course(fleet, each) == [("deferred", "unreachable", "server"), ("accepted", "", "")]
        _assert_explained(fleet, each)
    assert await _left(fleet, events) == [1] * len(events)
    await fleet.until_queued("crm.mail.outbound", 0, 10)


def _others(prefix: str, count: int) -> list[dict[str, Any]]:
    return [request(f"{prefix}-{number}", f"user{number % 6}@contoso.example") for number in range(count)]


def _course(fleet: Fleet, email_id: str) -> list[tuple[str, str, str]]:
    """What was told of an e-mail, repeats included: state, and the reason's code and scope."""
    return [
        (told["type"].split(".")[2], reason.get("code", ""), reason.get("scope", ""))
        for told in fleet.statuses
        if told["data"]["email_id"] == email_id
        for reason in [told["data"].get("reason", {})]
    ]


def _assert_explained(fleet: Fleet, email_id: str) -> None:
    """Every reason with cause and remedy, no attempt used up, and every deferral with the time of the next try."""
    for told in fleet.about(email_id):
        data = told["data"]
        assert data["attempt"] == 1, email_id
        assert ("retry_at" in data) == (told["type"] == "crm.email.deferred.v1")
        if "reason" in data:
            assert data["reason"]["message"], email_id
            assert data["reason"]["remedy"], email_id


def _assert_undisturbed(fleet: Fleet, events: Iterable[dict[str, Any]]) -> None:
    for event in events:
        email_id = event["data"]["email_id"]
        assert _course(fleet, email_id) == [("accepted", "", "")], email_id


async def _left(fleet: Fleet, events: Iterable[dict[str, Any]]) -> list[int]:
    """How many mails left for each event."""
    await fleet.arrived()
    counts = Counter(mail["stamp"].partition(" ")[2] for mail in await fleet.mails())
    return [counts[event["id"]] for event in events]
